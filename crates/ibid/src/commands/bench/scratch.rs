//! A folder for one measurement, on the disk of the data folder; gone when it is dropped.

use crate::{data_folder::DataFolder, owner::open_engine, settings::Settings};
use anyhow::{Context, Result};
use catalog::Catalog;
use ingest::{Ingest, Library, Stores};
use kv::Storage;
use scout::Engine;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    pub fn new(data: &DataFolder) -> Result<Self> {
        let cannot = || format!("cannot make a temporary folder in {}", data.path().display());
        // The name is one that a data folder may hold before its marker is written.
        let folder =
            tempfile::Builder::new().prefix(".ibid-bench-").tempdir_in(data.path()).with_context(cannot)?;
        Ok(Self { folder })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A new folder inside.
    pub fn make(&self, name: &str) -> Result<PathBuf> {
        let path = self.path().join(name);
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }
}

/// Everything an ingest and a question need, over the stores in `folder`. KV goes through `storage`; its page cache
/// is empty.
pub fn assemble(
    catalog: &Catalog,
    engine: Arc<Engine>,
    folder: &Path,
    storage: Arc<dyn Storage>,
    settings: &Settings,
) -> Result<Ingest> {
    let worker = corpus::worker::Worker::of_this_program().context("cannot find this program")?;
    let library = Library::open(Arc::new(kv::Disk), folder)?;
    let segments = kv::Store::open(storage, &folder.join("kv"), cache_bytes(settings))?;
    Ok(Ingest {
        stores: Stores::new(catalog.clone(), library, segments, folder.join("index")),
        engine,
        worker: Arc::new(worker),
        limits: Arc::default(),
        kv_bytes_per_owner: u64::MAX,
    })
}

/// A catalog in `folder`.
pub async fn new_catalog(folder: &Path) -> Result<Catalog> {
    Ok(Catalog::open(&folder.join("catalog.sqlite")).await?)
}

/// Budget of the page cache.
pub fn cache_bytes(settings: &Settings) -> u64 {
    settings.kv_cache_mib.saturating_mul(1 << 20)
}

/// Opens the model anew, with nothing kept of an earlier engine; gives the seconds that took.
pub async fn timed_engine(
    data: &DataFolder,
    settings: &Settings,
    out: &crate::event::Out,
) -> Result<(Arc<Engine>, f64)> {
    let start = std::time::Instant::now();
    let engine = open_engine(data, settings, out).await?;
    Ok((engine, start.elapsed().as_secs_f64()))
}
