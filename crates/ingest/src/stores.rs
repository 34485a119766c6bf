//! The stores of one data folder together: what can be done without a model. Reading a corpus as one consistent
//! snapshot, removing documents, keeping the derived index in step, and cleaning up behind a crash.

use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use base::Id;
use catalog::{Catalog, Corpus, Document, Freed, Object};
use kv::SegmentId;
use search::Stamp;

use crate::{Error, Library, Result};

/// Catalog, files, segments and passage indices. Cheap to clone; every clone shares the same locks.
#[derive(Clone)]
pub struct Stores {
    pub catalog: Catalog,
    pub library: Library,
    pub kv: kv::Store,
    /// One index folder per corpus, named by its id.
    pub(crate) index_root: PathBuf,
    /// Held while a corpus version and its index change, so that no reader meets one without the other.
    pub(crate) publishing: Arc<tokio::sync::Mutex<()>>,
    /// One ingest at a time: they would only share the processor.
    pub(crate) adding: Arc<tokio::sync::Mutex<()>>,
    readers: Arc<Mutex<BTreeMap<(String, u64), usize>>>,
}

/// A corpus version with its passage index. Documents replaced meanwhile stay readable while this is held.
pub struct Snapshot {
    pub corpus: Corpus,
    pub index: search::Index,
    _reading: Reading,
}

struct Reading {
    readers: Arc<Mutex<BTreeMap<(String, u64), usize>>>,
    key: (String, u64),
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = readers.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                readers.remove(&self.key);
            }
        }
    }
}

impl Stores {
    /// `index_root` is made when it is needed.
    pub fn new(catalog: Catalog, library: Library, kv: kv::Store, index_root: PathBuf) -> Self {
        let (publishing, adding, readers) = Default::default();
        Self { catalog, library, kv, index_root, publishing, adding, readers }
    }

    /// The newest version of a corpus with an index that matches it, built again where it does not.
    pub async fn snapshot(&self, corpus: &Corpus) -> Result<Snapshot> {
        let _publishing = self.publishing.lock().await;
        let corpus = self.catalog.corpus(&corpus.owner, corpus.id.as_str()).await?;
        let index = self.open_index(&corpus).await?;
        let key = (corpus.id.to_string(), corpus.version);
        *self.readers().entry(key.clone()).or_default() += 1;
        Ok(Snapshot { corpus, index, _reading: Reading { readers: self.readers.clone(), key } })
    }

    /// Builds the index of a corpus from its texts, whatever was there.
    pub async fn reindex(&self, corpus: &Corpus) -> Result<()> {
        let _publishing = self.publishing.lock().await;
        let corpus = self.catalog.corpus(&corpus.owner, corpus.id.as_str()).await?;
        self.rebuild_index(&corpus).await.map(drop)
    }

    /// Removes a document with its text, its KV and its quotes; `bytes` is what left the disk.
    pub async fn remove_document(&self, document: &Document) -> Result<Freed> {
        let publishing = self.publishing.lock().await;
        let changing = self.library.changing.lock().await;
        let shown = match self.catalog.document(&document.corpus, document.id.as_str()).await {
            Ok(visible) if visible.id == document.id => vec![visible.version.id],
            // An id that is not visible could be the path of another document.
            Ok(_) | Err(catalog::Error::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let (version, freed) = self.catalog.remove_document(document).await?;
        let indexed = self.index_removal(&document.corpus, shown, version).await;
        drop(publishing);
        let freed = self.delete(freed).await?;
        drop(changing);
        indexed.map(|()| freed)
    }

    /// Removes a corpus with everything in it that no other corpus needs; `bytes` is what left the disk.
    pub async fn remove_corpus(&self, corpus: &Id) -> Result<Freed> {
        let _publishing = self.publishing.lock().await;
        let _changing = self.library.changing.lock().await;
        let freed = self.catalog.remove_corpus(corpus).await?;
        self.remove_index(corpus.as_str())?;
        self.delete(freed).await
    }

    /// For the start of the process that owns the data folder: deletes what a crash left without a reference.
    pub async fn sweep(&self) -> Result<Freed> {
        let _publishing = self.publishing.lock().await;
        let _changing = self.library.changing.lock().await;
        let (library, kv) = (self.library.clone(), self.kv.clone());
        let on_disk = blocking(move || {
            let mut objects = library.list()?;
            objects.extend(kv.list()?.iter().map(|listed| Object::Segment(catalog::Digest(listed.id.0))));
            Ok::<_, Error>(objects)
        })
        .await??;
        let freed = self.catalog.orphans(&on_disk).await?;
        let live = self.catalog.corpus_versions().await?;
        for name in self.index_names()? {
            // A stale one may hold words of a document whose removal was cut off.
            let current = live.iter().find(|(id, _)| id.as_str() == name).is_some_and(|(id, version)| {
                Stamp::of(&self.index_path(id)) == Some(Stamp::new(id, *version))
            });
            if !current {
                self.remove_index(&name)?;
            }
        }
        self.delete(freed).await
    }

    /// Deletes versions of a corpus that no reader can see any more. The caller holds no lock.
    pub(crate) async fn collect(&self, corpus: &Id, newest: u64) -> Result<Freed> {
        let _changing = self.library.changing.lock().await;
        let id = corpus.to_string();
        let oldest = {
            let readers = self.readers();
            readers.range((id.clone(), 0)..=(id, newest)).next().map_or(newest, |((_, v), _)| *v)
        };
        let freed = self.catalog.collect(corpus, oldest).await?;
        self.delete(freed).await
    }

    /// Deletes the files and confirms. The caller holds `library.changing` since before the rows were dropped.
    pub(crate) async fn delete(&self, mut freed: Freed) -> Result<Freed> {
        let (library, kv, files) = (self.library.clone(), self.kv.clone(), freed.files.clone());
        freed.bytes = blocking(move || {
            files.iter().try_fold(0, |bytes, file| {
                Ok::<_, Error>(
                    bytes
                        + match file.object {
                            Object::Blob(kind, digest) => library.remove(kind, digest)?,
                            Object::Segment(digest) => kv.remove(&SegmentId(digest.0))?,
                        },
                )
            })
        })
        .await??;
        self.catalog.confirm_deleted(&freed).await?;
        Ok(freed)
    }

    fn readers(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, u64), usize>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_names(&self) -> Result<Vec<String>> {
        let failed = |source| Error::Io { operation: "list", path: self.index_root.clone(), source };
        match fs::read_dir(&self.index_root) {
            Ok(entries) => entries
                .map(|entry| Ok(entry.map_err(failed)?.file_name().to_string_lossy().into_owned()))
                .collect(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(failed(e)),
        }
    }

    pub(crate) fn remove_index(&self, name: &str) -> Result<()> {
        let path = self.index_root.join(name);
        match fs::remove_dir_all(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::Io { operation: "remove", path, source: e })
            }
            _ => Ok(()),
        }
    }
}

/// Runs blocking work on its own thread.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    Ok(tokio::task::spawn_blocking(work).await?)
}
