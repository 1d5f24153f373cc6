//! `tables`: columns and rows of the objects that `objects` grants, decoded beside the guest. Decoding costs the item no time.

mod ahead;
pub(super) mod handles;
pub(super) mod words;

use std::time::Instant;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use self::handles::TableScan;
use super::bindings::gristmill::plugin::objects::Error;
use super::bindings::gristmill::plugin::tables::{self as wit, ScanOptions};
use super::logging::LoggingCtx;
use super::objects::ObjectsCtx;
use crate::object::ObjectError;
use crate::runtime::limits::MAX_HOST_MEMORY;
use crate::runtime::time::ItemTime;
use crate::table::Scan;

/// What the functions work on: the instance's objects, its handles, and its item's time.
pub(super) struct TablesView<'a> {
    pub(super) objects: &'a mut ObjectsCtx,
    pub(super) table: &'a mut ResourceTable,
    pub(super) time: &'a ItemTime,
    pub(super) logging: &'a LoggingCtx,
}

/// Offers the interface to the components of this linker.
pub(super) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> TablesView<'_>,
) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, HasTables>(linker, view)
}

struct HasTables;

impl HasData for HasTables {
    type Data<'a> = TablesView<'a>;
}

impl wit::Host for TablesView<'_> {
    async fn open(
        &mut self,
        uri: String,
        options: ScanOptions,
    ) -> wasmtime::Result<Result<Resource<TableScan>, Error>> {
        let opened = self.opened(&uri, options).await;
        Ok(match opened {
            Ok(scan) => Ok(self.table.push(scan)?),
            Err(error) => Err(error.into()),
        })
    }
}

impl TablesView<'_> {
    async fn opened(&mut self, uri: &str, options: ScanOptions) -> Result<TableScan, ObjectError> {
        let location = self.objects.granted(uri)?;
        let encoding = words::encoding(options.encoding);
        let request = words::request(options, self.objects.memory().left() as u64);
        let (io, at) = (self.objects.io().clone(), location.clone());
        let scan = self.objects.on_io(move |store| async move { Scan::open(&io, store, &at, &request).await }).await?;
        let memory = usize::try_from(scan.memory()).unwrap_or(usize::MAX);
        let held = self.objects.memory().take(memory).ok_or_else(|| {
            ObjectError::TooLarge(format!(
                "{location}: too much is read at once: this table takes {memory} bytes of memory beside what is open, and what is \
                 read ahead of a guest may take {MAX_HOST_MEMORY}"
            ))
        })?;
        if !scan.hidden().is_empty() {
            let names = scan.hidden().join("`, `");
            let note = format!("{location}: both its path and the file have `{names}`: what the path says is read");
            self.logging.note("tables", &note);
        }
        Ok(ahead::start(self.objects.io(), scan, encoding, held))
    }
}

impl wit::HostScan for TablesView<'_> {
    fn columns(&mut self, this: Resource<TableScan>) -> wasmtime::Result<Vec<wit::Column>> {
        Ok(self.table.get(&this)?.columns.iter().map(words::column).collect())
    }

    async fn next(&mut self, this: Resource<TableScan>) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
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

    fn drop(&mut self, this: Resource<TableScan>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
