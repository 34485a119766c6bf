//! A data folder behind one power switch: its files lie on a simulated disk, and its catalog commits only while the
//! power is on. Catalog and passage index are real files, whose state is copied aside and back.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use base::Id;
use catalog::{Catalog, CommitSeam, Corpus, LOCAL_OWNER, Object, State};
use ingest::{AddOptions, AddReport, ImportOptions, Ingest, Library, Progress, Result, Stores};
use kv::{
    SegmentId, Storage,
    testing::{SimDisk, Unsynced},
};

use crate::workplace::{engine, go_on};

#[derive(Clone)]
struct Switch(SimDisk);

impl std::fmt::Debug for Switch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Switch")
    }
}

impl CommitSeam for Switch {
    fn before(&self) -> std::io::Result<u64> {
        self.0.begin_step()
    }

    fn after(&self, step: u64) -> std::io::Result<()> {
        self.0.end_step(step)
    }
}

/// Where the catalog and the index of an image lie, and its disk.
pub struct Image {
    files: PathBuf,
    pub disk: SimDisk,
}

/// A process that has the data folder open.
pub struct Powered {
    pub disk: SimDisk,
    pub ingest: Ingest,
}

pub struct House {
    temp: tempfile::TempDir,
    images: u32,
}

impl House {
    pub fn new() -> Self {
        // In memory where that is possible: syncing catalog and index to a real disk proves nothing here.
        let memory = Path::new("/dev/shm");
        let temp = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        fs::create_dir_all(temp.path().join("reports")).unwrap();
        Self { temp, images: 0 }
    }

    fn data(&self) -> PathBuf {
        self.temp.path().join("data")
    }

    /// The user's folder holds exactly these files.
    pub fn write_files(&self, files: &BTreeMap<&str, String>) {
        let folder = self.temp.path().join("reports");
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        files.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
    }

    pub fn inputs(&self) -> [PathBuf; 1] {
        [self.temp.path().join("reports")]
    }

    /// Where a corpus leaves for and comes from: on a disk of its own, which never fails.
    pub fn archive(&self) -> PathBuf {
        self.temp.path().join("reports.ibid")
    }

    /// An empty data folder, its catalog not made yet.
    pub fn empty(&mut self) -> Image {
        let _ = fs::remove_dir_all(self.data());
        fs::create_dir_all(self.data()).unwrap();
        let disk = SimDisk::default();
        let folders: Vec<PathBuf> = self.data().ancestors().map(Path::to_owned).collect();
        for folder in folders.iter().rev().skip(1) {
            disk.create_dir(folder).unwrap();
            disk.sync_dir(folder.parent().unwrap()).unwrap();
        }
        self.save(disk)
    }

    /// Keeps the data folder as it is now; nobody may have it open.
    pub fn save(&mut self, disk: SimDisk) -> Image {
        let files = self.temp.path().join(format!("image-{}", self.images));
        self.images += 1;
        copy_tree(&self.data(), &files);
        Image { files, disk }
    }

    pub fn forget(&self, image: Image) {
        fs::remove_dir_all(image.files).unwrap();
    }

    /// Puts an image back and opens it; `unsynced` says what became of what its disk had not synced.
    pub async fn open(&self, image: &Image, unsynced: Unsynced) -> Powered {
        let data = self.data();
        fs::remove_dir_all(&data).unwrap();
        copy_tree(&image.files, &data);
        let disk = image.disk.power_on(unsynced);
        let storage = Arc::new(disk.clone());
        let library = Library::open(storage.clone(), &data).unwrap();
        let kv = kv::Store::open(storage, &data.join("kv"), 1 << 20).unwrap();
        let catalog = Catalog::open(&data.join("catalog.sqlite")).await.unwrap();
        let catalog = catalog.with_commit_seam(Arc::new(Switch(disk.clone())));
        let stores = Stores::new(catalog, library, kv, data.join("index"));
        let worker =
            corpus::worker::Worker { program: env!("CARGO_BIN_EXE_ingest-parse").into(), args: Vec::new() };
        let limits = Arc::new(corpus::Limits::default());
        Powered {
            disk,
            ingest: Ingest {
                stores,
                engine: engine(),
                worker: Arc::new(worker),
                limits,
                kv_bytes_per_owner: u64::MAX,
            },
        }
    }
}

impl Powered {
    /// `None` once it was removed.
    pub async fn corpus(&self) -> Option<Corpus> {
        match self.ingest.stores.catalog.corpus(LOCAL_OWNER, "reports").await {
            Err(catalog::Error::NotFound { .. }) => None,
            corpus => Some(corpus.unwrap()),
        }
    }

    pub async fn add(&self, inputs: &[PathBuf]) -> Result<()> {
        self.add_watched(inputs, &go_on).await.map(drop)
    }

    pub async fn add_watched(
        &self,
        inputs: &[PathBuf],
        progress: &(dyn Fn(Progress) -> ControlFlow<()> + Sync),
    ) -> Result<AddReport> {
        let corpus = self.corpus().await.expect("it is there");
        let options = AddOptions { prune: true, ..AddOptions::default() };
        self.ingest.add(&corpus, inputs, options, progress).await
    }

    pub async fn export(&self, to: &Path) {
        let corpus = self.corpus().await.expect("it is there");
        self.ingest.stores.export(&corpus, to, true, &go_on).await.unwrap();
    }

    pub async fn import(&self, archive: &Path) -> Result<()> {
        let options = ImportOptions::default();
        self.ingest.import(archive, &options, &go_on).await.map(drop)
    }

    pub async fn close(self) -> SimDisk {
        self.ingest.stores.catalog.close().await;
        self.disk
    }

    /// What a reader sees: version of the corpus, and text by document path. Every document shown must be whole:
    /// ready, its text readable, its segments sound, and found by the index, which finds nothing else.
    pub async fn shown(&self, what: &str) -> Option<(u64, BTreeMap<String, String>)> {
        let stores = &self.ingest.stores;
        let corpus = self.corpus().await?;
        let mut texts = BTreeMap::new();
        let mut versions = BTreeSet::new();
        for document in stores.catalog.documents(&corpus.id, u64::MAX).await.unwrap() {
            let version = &document.version;
            assert_eq!(version.state, State::Ready, "{what}: {}", document.path);
            let text = stores.library.document_text(&version.stored.unwrap());
            let text = text.unwrap_or_else(|error| panic!("{what}: {}: {error}", document.path)).text;
            let parts = stores.catalog.parts(version.id).await.unwrap();
            assert!(!parts.is_empty(), "{what}: {}", document.path);
            for part in parts {
                let sound = stores.kv.verify(&SegmentId(part.segment.0));
                assert!(part.ready && sound.unwrap(), "{what}: {} part {}", document.path, part.idx);
            }
            versions.insert(version.id.0);
            texts.insert(document.path, text);
        }
        // A word of every text that was ever written.
        let snapshot = stores.snapshot(&corpus).await.unwrap();
        let hits = snapshot.index.search("mill", 100, None).unwrap();
        let found: BTreeSet<u64> = hits.iter().map(|hit| hit.key.version).collect();
        assert_eq!(found, versions, "{what}: the index");
        Some((corpus.version, texts))
    }

    /// After the sweep: every file that the catalog names is there and sound, and no other file is.
    pub async fn check_files(&self, what: &str) {
        let stores = &self.ingest.stores;
        stores.catalog.check_integrity().await.unwrap();
        let live: BTreeSet<Object> = stores.catalog.live_objects().await.unwrap().into_iter().collect();
        let mut on_disk: BTreeSet<Object> = stores.library.list().unwrap().into_iter().collect();
        let segments = stores.kv.list().unwrap();
        on_disk.extend(segments.iter().map(|listed| Object::Segment(catalog::Digest(listed.id.0))));
        assert_eq!(on_disk, live, "{what}: files and rows");
        for object in live {
            match object {
                Object::Blob(kind, digest) => drop(stores.library.read(kind, digest).unwrap()),
                Object::Segment(digest) => assert!(stores.kv.verify(&SegmentId(digest.0)).unwrap(), "{what}"),
            }
        }
        assert!(stores.kv.quarantined().unwrap().is_empty(), "{what}: nothing was damaged");
    }

    pub async fn document(&self, path: &str) -> Option<catalog::Document> {
        let corpus: Id = self.corpus().await?.id;
        self.ingest.stores.catalog.document(&corpus, path).await.ok()
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copy = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &copy);
        } else {
            fs::copy(&path, &copy).unwrap();
        }
    }
}
