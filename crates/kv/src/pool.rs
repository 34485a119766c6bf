//! Open files of segments, so many at a time: a question that sees a whole corpus has a segment open for every part of it,
//! and a process may have few files open.
//!
//! A file is opened again, by its path, when it is read after others took its place. What is at a segment's path never
//! changes, but it may go: who removes a document's segment ends the reading of it. Readers whose file is open read on,
//! the others are told ([`KvError::Gone`]). Nobody who wants an answer is meant to be among those others. A replaced version's
//! segments stay until nobody has a snapshot of it; who asks about a removed document is cancelled first; a damaged
//! segment is set aside and made again, and then the reader opens it anew. A file that took the place of one that was gone is held against the
//! checksums of the first.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{KvError, Result};
use crate::storage::{Storage, StoredFile};
use crate::store::io_error;

/// Files open at a time, beside those that are being read at that moment. Small against the 256 files that some systems
/// allow a process, large against the threads that read.
pub(crate) const OPEN_FILES: usize = 128;

/// No more open files for the process, for the system: the same numbers on Linux, macOS and the BSDs.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

pub(crate) struct FilePool {
    storage: Arc<dyn Storage>,
    open: Mutex<Open>,
}

struct Open {
    most: usize,
    /// By number of the pooled file, with when it was last used.
    files: HashMap<u64, (Arc<dyn StoredFile>, u64)>,
    /// Use time → number; the first is the file unused for longest.
    by_use: BTreeMap<u64, u64>,
    clock: u64,
    next_number: u64,
}

/// One reader's file, which is open or is opened when it is needed.
pub(crate) struct PooledFile {
    pool: Arc<FilePool>,
    number: u64,
    path: PathBuf,
}

impl FilePool {
    pub fn new(storage: Arc<dyn Storage>, most: usize) -> Self {
        let open = Open {
            most: most.max(1),
            files: HashMap::new(),
            by_use: BTreeMap::new(),
            clock: 0,
            next_number: 0,
        };
        Self { storage, open: Mutex::new(open) }
    }

    /// Opens the file at `path`. `None`: there is none.
    ///
    /// Errors: [`KvError::TooManyFiles`], [`KvError::Io`].
    pub fn open(self: &Arc<Self>, path: PathBuf) -> Result<Option<PooledFile>> {
        let opened = self.make_room_for(|| self.storage.open(&path));
        match opened {
            Ok(file) => Ok(Some(self.pooled(file.into(), path))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(io_error("open", &path, source)),
        }
    }

    /// Takes in a file that is open already.
    pub fn pooled(self: &Arc<Self>, file: Arc<dyn StoredFile>, path: PathBuf) -> PooledFile {
        let mut open = self.lock();
        let number = open.next_number;
        open.next_number += 1;
        open.keep(number, file);
        drop(open);
        PooledFile { pool: Arc::clone(self), number, path }
    }

    /// Opens something; where the system allows no more files, the pool closes its own and tries once more. From then on
    /// it keeps half as many: others in the process open files too, and nobody makes room for them.
    pub fn make_room_for<T>(&self, open: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match open() {
            Err(error) if is_limit(&error) => {
                self.lock().give_up();
                open()
            }
            opened => opened,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub fn n_open(&self) -> usize {
        self.lock().files.len()
    }
}

impl Open {
    fn touch(&mut self, number: u64) -> Option<Arc<dyn StoredFile>> {
        let (file, used_at) = self.files.get_mut(&number)?;
        self.by_use.remove(used_at);
        self.clock += 1;
        *used_at = self.clock;
        self.by_use.insert(self.clock, number);
        Some(Arc::clone(file))
    }

    fn keep(&mut self, number: u64, file: Arc<dyn StoredFile>) {
        self.remove(number);
        while self.files.len() >= self.most {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.files.remove(&oldest);
        }
        self.clock += 1;
        self.by_use.insert(self.clock, number);
        self.files.insert(number, (file, self.clock));
    }

    fn give_up(&mut self) {
        // Another thread's, or another process's, are the many files: nothing is known of what there is room for.
        if self.files.is_empty() {
            return;
        }
        self.most = (self.files.len() / 2).clamp(1, self.most);
        self.files.clear();
        self.by_use.clear();
    }

    fn remove(&mut self, number: u64) {
        if let Some((_, used_at)) = self.files.remove(&number) {
            self.by_use.remove(&used_at);
        }
    }
}

impl PooledFile {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file; it stays open while the caller has it.
    ///
    /// Errors: [`KvError::Gone`], [`KvError::TooManyFiles`], [`KvError::Io`].
    pub fn file(&self) -> Result<Arc<dyn StoredFile>> {
        if let Some(file) = self.pool.lock().touch(self.number) {
            return Ok(file);
        }
        let opened = self.pool.make_room_for(|| self.pool.storage.open(&self.path));
        let file: Arc<dyn StoredFile> = match opened {
            Ok(file) => file.into(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KvError::Gone { path: self.path.clone() });
            }
            Err(source) => return Err(io_error("open", &self.path, source)),
        };
        self.pool.lock().keep(self.number, Arc::clone(&file));
        Ok(file)
    }
}

impl Drop for PooledFile {
    fn drop(&mut self) {
        self.pool.lock().remove(self.number);
    }
}

/// Whether the system refused another open file.
pub(crate) fn is_limit(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}
