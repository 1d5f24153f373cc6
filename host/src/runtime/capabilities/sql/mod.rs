//! `sql`: rows of the databases that the dataset is granted by their connections' names, decoded beside the guest. What is waited for
//! a session, and decoding, costs the item no time.

mod ahead;
pub(super) mod handles;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use self::ahead::Reading;
use self::handles::QueryRows;
use super::bindings::gristmill::plugin::sql::{self as wit, Column, Error, QueryOptions};
use super::objects::ObjectsCtx;
use super::tables::words;
use crate::database::{Database, DatabaseError, MEMORY, Patience, Value};
use crate::runtime::BatchContext;
use crate::runtime::limits::{HostMemory, MAX_HOST_MEMORY};
use crate::runtime::time::ItemTime;

/// How often what an item waits for its turn is taken off its time.
const TICK: Duration = Duration::from_millis(100);

/// What an instance has of its databases, beside the handles.
pub(in crate::runtime) struct SqlCtx {
    batch: Arc<BatchContext>,
    io: Handle,
    memory: HostMemory,
    /// Shared with each handle.
    open: Arc<()>,
}

impl SqlCtx {
    pub(super) fn new(batch: Arc<BatchContext>, io: Handle, memory: HostMemory) -> Self {
        Self { batch, io, memory, open: Arc::default() }
    }

    /// The database behind a connection's name, if the dataset grants it.
    fn granted(&self, name: &str) -> Result<&Database, DatabaseError> {
        if !self.batch.grants.sql.iter().any(|grant| grant == name) {
            return Err(DatabaseError::Denied(format!(
                "connection `{name}` is not granted: `[grants] sql` of dataset {} does not name it",
                self.batch.dataset
            )));
        }
        self.batch.databases.named(name)
    }

    /// Whoever has rows under way does not wait long: those who wait for each other would wait for ever.
    fn patience(&self) -> Patience {
        if Arc::strong_count(&self.open) > 1 { Patience::Short } else { Patience::Endless }
    }
}

/// What the functions work on: the instance's databases, its handles, its item's time, and what counts the bytes that were read.
pub(super) struct SqlView<'a> {
    pub(super) ctx: &'a mut SqlCtx,
    pub(super) table: &'a mut ResourceTable,
    pub(super) time: &'a ItemTime,
    pub(super) objects: &'a mut ObjectsCtx,
}

/// Offers the interface to the components of this linker.
pub(super) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> SqlView<'_>,
) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, HasSql>(linker, view)
}

struct HasSql;

impl HasData for HasSql {
    type Data<'a> = SqlView<'a>;
}

impl wit::Host for SqlView<'_> {
    async fn query(
        &mut self,
        connection: String,
        statement: String,
        parameters: Vec<wit::Value>,
        options: QueryOptions,
    ) -> wasmtime::Result<Result<Resource<QueryRows>, Error>> {
        let asked = self.asked(&connection, statement, parameters, options).await;
        Ok(match asked {
            Ok(rows) => Ok(self.table.push(rows)?),
            Err(error) => Err(error.into()),
        })
    }
}

impl SqlView<'_> {
    async fn asked(
        &mut self,
        connection: &str,
        statement: String,
        parameters: Vec<wit::Value>,
        options: QueryOptions,
    ) -> Result<QueryRows, DatabaseError> {
        let database = self.ctx.granted(connection)?.clone();
        let held = self.ctx.memory.take(MEMORY).ok_or_else(|| {
            DatabaseError::TooLarge(format!(
                "connection `{connection}`: too much is read at once: these rows take {MEMORY} bytes of memory beside what is \
                 open, and what is read ahead of a guest may take {MAX_HOST_MEMORY}"
            ))
        })?;
        let watched = self.ctx.batch.databases.clone();
        let asked = async {
            let turn = spared(self.time, database.turn(self.ctx.patience())).await?;
            let parameters: Vec<Value> = parameters.into_iter().map(Value::from).collect();
            let rows = options.block_rows as usize;
            // Where no busy guest can delay it. Whoever stops to wait for it ends it.
            let query = async move { database.query_in(&turn, &statement, &parameters, rows).await };
            let query = AbortOnDropHandle::new(self.ctx.io.spawn(query));
            query.await.unwrap_or_else(|error| {
                Err(DatabaseError::Unavailable(format!("the host failed to ask a database: {error}")))
            })
        };
        let rows = asked.await.inspect_err(|error| watched.note(error))?;
        let encoding = words::encoding(options.encoding);
        Ok(ahead::start(&self.ctx.io, Reading { rows, encoding, held, watched }, self.ctx.open.clone()))
    }
}

/// Waits for what is not the item's to answer for: that is taken off its time while it waits.
async fn spared<T>(time: &ItemTime, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        let start = Instant::now();
        let done = tokio::time::timeout(TICK, work.as_mut()).await;
        time.spare(start.elapsed());
        if let Ok(done) = done {
            return done;
        }
    }
}

impl wit::HostRows for SqlView<'_> {
    fn columns(&mut self, this: Resource<QueryRows>) -> wasmtime::Result<Vec<Column>> {
        Ok(self.table.get(&this)?.columns.iter().map(words::column).collect())
    }

    async fn next(&mut self, this: Resource<QueryRows>) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let start = Instant::now();
        let next = self.table.get_mut(&this)?.blocks.recv().await;
        Ok(match next.transpose() {
            Ok(Some(next)) => {
                self.time.spare(next.work.min(start.elapsed()));
                self.objects.count(next.fetched);
                Ok(next.block)
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error.into()),
        })
    }

    fn drop(&mut self, this: Resource<QueryRows>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl From<wit::Value> for Value {
    fn from(value: wit::Value) -> Self {
        match value {
            wit::Value::Null => Self::Null,
            wit::Value::Boolean(value) => Self::Boolean(value),
            wit::Value::Int64(number) => Self::Int64(number),
            wit::Value::Float64(number) => Self::Float64(number),
            wit::Value::Text(text) => Self::Text(text),
            wit::Value::Binary(bytes) => Self::Binary(bytes),
        }
    }
}

impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::NoSuchConnection(message) | DatabaseError::Denied(message) => Self::Denied(message),
            DatabaseError::Invalid(message) => Self::Invalid(message),
            DatabaseError::Unavailable(message) => Self::Unavailable(message),
            DatabaseError::TooLarge(message) => Self::TooLarge(message),
        }
    }
}
