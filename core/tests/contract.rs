//! The smallest legal destination and staging destination, written as a stranger would write them.
//!
//! This file may need no editing when the contract grows: a change that makes it fail is a breaking one.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use transload_core::settings::Settings;
use transload_core::{
    AccessKind, AccessRequest, Capabilities, Column, Commit, Dataset, DatasetState, Destination,
    Epoch, Error, ErrorKind, Fence, FileFormat, Inquiry, Job, JobContext, JobOutcome, Load, LoadId,
    Plugin, Publication, Registry, Result, SchemaChange, Scope, SealedManifest, StagedFile,
    StagedObject, StagingAccess, StagingCapabilities, StagingDestination, StorageKind, Survey,
    Table, WriteDisposition, settings,
};

settings! {
    /// The settings of nowhere.
    pub struct NowhereSettings {
        /// How loud it is.
        pub volume: u32 = "0",
    }
}

#[derive(Debug)]
struct Nowhere {
    capabilities: Capabilities,
}

#[async_trait]
impl Destination for Nowhere {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn identity(&self) -> String {
        "nowhere".to_owned()
    }

    fn native_type(&self, _column: &Column) -> Result<String> {
        Ok("anything".to_owned())
    }

    fn widens(&self, _from: &str, _to: &str) -> bool {
        false
    }

    fn check_table(&self, _table: &Table) -> Result<()> {
        Ok(())
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn describe(&self, _inquiry: &Inquiry) -> Result<DatasetState> {
        Ok(DatasetState::default())
    }

    async fn apply(&self, _dataset: &Dataset, _changes: &[SchemaChange]) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn fence(&self, _dataset: &Dataset, _pipeline: &str, owner: &str) -> Result<Fence> {
        Ok(Fence { epoch: Epoch(1), last_load: None, owner: owner.to_owned() })
    }

    async fn run(&self, _job: &Job, _context: &JobContext<'_>) -> Result<JobOutcome> {
        Ok(JobOutcome::default())
    }

    async fn publish(
        &self,
        publication: &Publication,
        _context: &JobContext<'_>,
    ) -> Result<Commit> {
        let mut commit = Commit::default();
        for table in publication.tables() {
            commit.rows.insert(table.table.clone(), table.rows);
        }
        Ok(commit)
    }

    async fn clear(&self, _load: &Load) -> Result<()> {
        Ok(())
    }

    async fn survey(&self, _dataset: &Dataset) -> Result<Survey> {
        Ok(Survey::default())
    }

    async fn drop_staging_tables(&self, _dataset: &Dataset, _tables: &[String]) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Drawer {
    capabilities: StagingCapabilities,
}

#[async_trait]
impl StagingDestination for Drawer {
    fn capabilities(&self) -> &StagingCapabilities {
        &self.capabilities
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn url(&self, key: &str) -> String {
        format!("drawer://{key}")
    }

    async fn stage(&self, _job: &Job, _context: &JobContext<'_>) -> Result<JobOutcome> {
        Ok(JobOutcome::default())
    }

    async fn write_manifest(&self, _manifest: &SealedManifest) -> Result<()> {
        Ok(())
    }

    async fn loads(&self, _scope: &Scope) -> Result<Vec<LoadId>> {
        Ok(Vec::new())
    }

    async fn read_manifests(&self, _scope: &Scope) -> Result<Vec<SealedManifest>> {
        Ok(Vec::new())
    }

    async fn grant(&self, _request: &AccessRequest) -> Result<StagingAccess> {
        Ok(StagingAccess::None)
    }

    async fn fetch(&self, _file: &StagedFile, _to: &Path) -> Result<()> {
        Err(Error::new(ErrorKind::Terminal, "the drawer is empty"))
    }

    async fn list(&self, _scope: &Scope) -> Result<Vec<StagedObject>> {
        Ok(Vec::new())
    }

    async fn remove(&self, _keys: &[String]) -> Result<()> {
        Ok(())
    }
}

fn nowhere(settings: &Settings) -> Result<Arc<dyn Destination>> {
    let _settings: NowhereSettings = settings.read()?;
    let capabilities = Capabilities {
        loads: vec![FileFormat::Parquet],
        write_dispositions: vec![WriteDisposition::Append],
        ..Capabilities::default()
    };
    Ok(Arc::new(Nowhere { capabilities }))
}

fn drawer(_settings: &Settings) -> Result<Arc<dyn StagingDestination>> {
    let capabilities = StagingCapabilities {
        storage: StorageKind::Memory,
        formats: FileFormat::ALL.to_vec(),
        access: vec![AccessKind::LocalPaths],
        max_parallel_uploads: None,
    };
    Ok(Arc::new(Drawer { capabilities }))
}

transload_core::register!(Plugin {
    name: "nowhere",
    aliases: &["void"],
    summary: "takes everything and keeps nothing",
    package: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    contract: transload_core::CONTRACT_VERSION,
    settings: NowhereSettings::KEYS,
    destination: Some(nowhere),
    staging: Some(drawer),
});

#[test]
fn the_smallest_plugin_is_found_by_its_names() {
    let registry = Registry::linked();
    for name in ["nowhere", "void"] {
        let (plugin, create) = registry.destination(name).unwrap();
        assert_eq!(plugin.name, "nowhere");
        let destination = create(&Settings::from_pairs(name, &[("volume", "3")])).unwrap();
        assert_eq!(destination.capabilities().loads, [FileFormat::Parquet]);
    }
    let (_, create) = registry.staging("nowhere").unwrap();
    assert_eq!(create(&Settings::from_pairs("nowhere", &[])).unwrap().url("a/b"), "drawer://a/b");
}

#[test]
fn a_wrong_setting_is_refused_by_name() {
    let (_, create) = Registry::linked()
        .destination("nowhere")
        .map(|(plugin, create)| (*plugin, create))
        .unwrap();
    let error = create(&Settings::from_pairs("nowhere", &[("volume", "loud")])).unwrap_err();
    assert_eq!(error.context("key"), Some("destination.nowhere.volume"));
}

#[tokio::test]
async fn the_smallest_destination_publishes() {
    let registry = Registry::linked();
    let (_, create) = registry.destination("nowhere").unwrap();
    let destination = create(&Settings::from_pairs("nowhere", &[])).unwrap();
    destination.check().await.unwrap();
    let dataset = Dataset::new("d");
    let fence = destination.fence(&dataset, "p", "me").await.unwrap();
    assert_eq!(fence.epoch, Epoch(1));
    let inquiry = Inquiry { dataset, pipeline: "p".into(), schema: "s".into(), load: None };
    assert_eq!(destination.describe(&inquiry).await.unwrap(), DatasetState::default());
}
