//! A data folder with its stores, a folder of documents, and an ingest over both.

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use catalog::{Catalog, Corpus, Document, LOCAL_OWNER};
use ingest::{AddOptions, AddReport, Error, Ingest, Library, Progress, Stores};
use kv::Disk;
use scout::{Engine, Numerics};

use crate::tiny_model;

pub struct Workplace {
    pub temp: tempfile::TempDir,
    pub ingest: Ingest,
    pub corpus: Corpus,
}

/// One engine for all tests: it is immutable.
pub fn engine() -> Arc<Engine> {
    static ENGINE: OnceLock<Arc<Engine>> = OnceLock::new();
    ENGINE.get_or_init(|| open_engine(1)).clone()
}

pub fn open_engine(seed: u64) -> Arc<Engine> {
    let temp = tempfile::tempdir().unwrap();
    let model = tiny_model::write(temp.path(), seed);
    Arc::new(Engine::open(&model, Numerics::Fast, temp.path(), &mut |_| ()).unwrap())
}

pub async fn open_stores(data: &Path) -> Stores {
    let disk = Arc::new(Disk);
    let library = Library::open(disk.clone(), data).unwrap();
    let kv = kv::Store::open(disk, &data.join("kv"), 1 << 20).unwrap();
    let catalog = Catalog::open(&data.join("catalog.sqlite")).await.unwrap();
    Stores::new(catalog, library, kv, data.join("index"))
}

impl Workplace {
    pub async fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join("reports")).unwrap();
        let data = temp.path().join("data");
        fs::create_dir(&data).unwrap();
        let stores = open_stores(&data).await;
        let corpus = stores.catalog.create_corpus(LOCAL_OWNER, "reports").await.unwrap();
        let worker =
            corpus::worker::Worker { program: env!("CARGO_BIN_EXE_ingest-parse").into(), args: Vec::new() };
        let limits = Arc::new(corpus::Limits::default());
        let ingest = Ingest {
            stores,
            engine: engine(),
            worker: Arc::new(worker),
            limits,
            kv_bytes_per_owner: u64::MAX,
        };
        Self { temp, ingest, corpus }
    }

    pub fn data(&self) -> PathBuf {
        self.temp.path().join("data")
    }

    pub fn folder(&self) -> PathBuf {
        self.temp.path().join("reports")
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.folder().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The process ends and another one opens the data folder.
    pub async fn reopen(&mut self) {
        self.ingest.stores.catalog.close().await;
        self.ingest.stores = open_stores(&self.data()).await;
        self.ingest.stores.sweep().await.unwrap();
    }

    pub async fn add(&self) -> AddReport {
        self.add_with(AddOptions::default()).await.unwrap()
    }

    pub async fn add_with(&self, options: AddOptions) -> Result<AddReport, Error> {
        self.add_watched(options, &go_on).await
    }

    pub async fn add_watched(
        &self,
        options: AddOptions,
        progress: &(dyn Fn(Progress) -> ControlFlow<()> + Sync),
    ) -> Result<AddReport, Error> {
        self.ingest.add(&self.corpus, &[self.folder()], options, progress).await
    }

    pub async fn documents(&self) -> Vec<Document> {
        self.ingest.stores.catalog.documents(&self.corpus.id, u64::MAX).await.unwrap()
    }

    pub async fn document(&self, path: &str) -> Document {
        self.ingest.stores.catalog.document(&self.corpus.id, path).await.unwrap()
    }

    /// Relative path → bytes of everything content-addressed.
    pub fn kept_files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        for folder in ["objects", "kv"] {
            read_tree(&self.data().join(folder), &self.data(), &mut files);
        }
        files
    }

    pub fn kept_bytes(&self) -> u64 {
        self.kept_files().values().map(|bytes| bytes.len() as u64).sum()
    }
}

fn read_tree(folder: &Path, root: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_tree(&path, root, files);
        } else {
            files.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
        }
    }
}

/// Who never stops.
pub fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Sentences enough for several parts; `topic` makes texts differ.
pub fn prose(topic: &str, n_sentences: usize) -> String {
    (0..n_sentences)
        .map(|i| format!("In year {i} the {topic} of the mill grew to {} tons.\n\n", i * 37 + 5))
        .collect()
}
