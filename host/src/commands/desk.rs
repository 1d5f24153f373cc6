//! What `diff` and `replay` run on: inputs from S3 or a folder, and outputs that go to a folder which is gone afterwards.

use std::sync::Arc;

use anyhow::Context as _;
use tempfile::TempDir;

use super::compiler::{runtime_here, with_notice};
use super::inputs::connections;
use super::inputs::objects;
use super::machine::{GuestThreads, cores};
use crate::catalog::DatasetVersion;
use crate::cli::DeskArgs;
use crate::dataset::Variables;
use crate::job::Digest;
use crate::object::aside::Aside;
use crate::object::folder::FolderStore;
use crate::object::{ObjectStore, ObjectWriter};
use crate::registry::{Name, Registry};
use crate::replay;
use crate::rollout::Fetched;
use crate::runtime::Runtime;
use crate::sink::Stores;
use crate::sink::sqlite::SqliteSink;
use crate::trust::{Kms, Policy};

/// A runtime and stores for versions that are tried: nothing that they write is kept.
pub(super) struct Desk {
    pub(super) runtime: Runtime,
    pub(super) guests: GuestThreads,
    pub(super) slots: usize,
    pub(super) variables: Variables,
    /// The objects that items read.
    pub(super) inputs: Arc<dyn ObjectStore>,
    /// The same objects, with outputs written aside.
    pub(super) stores: Stores,
    aside: Arc<dyn ObjectWriter>,
    policy: Policy,
    _folder: TempDir,
}

impl Desk {
    pub(super) async fn open(args: DeskArgs) -> anyhow::Result<Self> {
        let slots = args.slots.unwrap_or_else(cores).max(1);
        let inputs = objects(args.local.as_deref()).await?;
        let folder = tempfile::tempdir().context("a temporary folder")?;
        let aside: Arc<dyn ObjectWriter> = Arc::new(FolderStore::new(folder.path().join("s3")));
        let stores = Stores {
            objects: Arc::new(Aside { inputs: inputs.clone(), outputs: aside.clone() }),
            tables: Arc::new(SqliteSink::open(&folder.path().join("tables.sqlite"))?),
            databases: connections(&args.connections, None)?,
        };
        let policy = match &args.trust {
            Some(file) => Policy::load(file, &Kms::default()).await?,
            None => Policy::none(),
        };
        Ok(Self {
            runtime: runtime_here(slots, &args.compile)?,
            guests: GuestThreads::start(slots)?,
            slots,
            variables: args.variables.variables(),
            inputs,
            stores,
            aside,
            policy,
            _folder: folder,
        })
    }

    /// A release, verified and opened.
    pub(super) async fn load(
        &self,
        registry: &dyn Registry,
        name: &Name,
        release: &Digest,
    ) -> anyhow::Result<DatasetVersion> {
        let fetched = Fetched::get(registry, &self.policy, name, release).await?;
        let component = fetched.release.title();
        Ok(with_notice(&component, fetched.load(&self.variables, &self.runtime, &self.stores)).await?)
    }

    pub(super) fn replay(&self) -> replay::Desk {
        replay::Desk {
            stores: self.stores.clone(),
            aside: self.aside.clone(),
            guests: self.guests.handle().clone(),
            slots: self.slots,
        }
    }
}
