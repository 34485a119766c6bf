//! The store: a folder of segments by id, the one cache of their pages and pool of their files, and what becomes of bad
//! ones.
//!
//! ```text
//! root/segments/ab/ab….kv          segments, by the first two hex digits of the id
//! root/tmp/ab….N                   being written; removed when the store is opened
//! root/quarantine/ab….REASON.kv    set aside: damaged, kept for a look, never served
//! ```

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::cache::PageCache;
use crate::error::{KvError, Result};
use crate::identity::SegmentId;
use crate::pool::{FilePool, OPEN_FILES, is_limit};
use crate::reader::Segment;
use crate::storage::{Storage, StoredFile};
use crate::writer::{SegmentSpec, Writer};

/// The store of one data folder. One process at a time may have it open: opening removes temporary files.
#[derive(Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub storage: Arc<dyn Storage>,
    pub files: Arc<FilePool>,
    pub cache: PageCache,
    pub reads: AtomicU64,
    pub bytes_read: AtomicU64,
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    root: PathBuf,
    temporaries: AtomicU64,
    /// Fan-out folders whose names this process has made durable.
    fan_out: Mutex<HashSet<u8>>,
}

/// What the store has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub reads: u64,
    pub bytes_read: u64,
    pub cache_hits: u64,
    pub cache_misses: u64,
    /// Bytes of pages in the cache now.
    pub cache_bytes: u64,
}

/// A segment in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub id: SegmentId,
    pub bytes: u64,
}

impl Store {
    /// Opens or makes the store in `root`, whose parent must exist, and removes what unfinished writers left.
    pub fn open(storage: Arc<dyn Storage>, root: &Path, page_cache_bytes: u64) -> Result<Self> {
        Self::open_with(storage, root, page_cache_bytes, OPEN_FILES)
    }

    /// The same with other than [`OPEN_FILES`] files of segments open at a time.
    pub(crate) fn open_with(
        storage: Arc<dyn Storage>,
        root: &Path,
        page_cache_bytes: u64,
        open_files: usize,
    ) -> Result<Self> {
        let shared = Shared {
            files: Arc::new(FilePool::new(Arc::clone(&storage), open_files)),
            storage,
            cache: PageCache::new(page_cache_bytes),
            reads: AtomicU64::new(0),
            bytes_read: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            root: root.to_owned(),
            temporaries: AtomicU64::new(0),
            fan_out: Mutex::default(),
        };
        let folders = [shared.segments(), shared.tmp(), shared.quarantine()];
        for folder in std::iter::once(root).chain(folders.iter().map(PathBuf::as_path)) {
            let made = shared.storage.create_dir(folder);
            made.map_err(|source| io_error("make the folder", folder, source))?;
        }
        shared.sync_dir(root)?;
        if let Some(parent) = root.parent() {
            shared.sync_dir(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
        }
        for left_over in shared.list(&shared.tmp())? {
            shared.remove_if_there(&left_over)?;
        }
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Starts a segment; nothing is visible before [`Writer::finish`].
    pub fn create(&self, spec: SegmentSpec) -> Result<Writer> {
        Writer::create(Arc::clone(&self.shared), spec)
    }

    /// Opens a segment. `None`: there is none, prefill it. A damaged one is an error ([`KvError::is_damage`]):
    /// set it aside and prefill it.
    pub fn open_segment(&self, id: &SegmentId) -> Result<Option<Segment>> {
        let file = self.shared.files.open(self.shared.segment_path(id))?;
        file.map(|file| Segment::open(Arc::clone(&self.shared), file, *id)).transpose()
    }

    /// Reads and checks all of a segment from disk; false when there is none.
    pub fn verify(&self, id: &SegmentId) -> Result<bool> {
        match self.open_segment(id)? {
            Some(segment) => segment.verify().map(|()| true),
            None => Ok(false),
        }
    }

    /// Moves a segment where it is never served. `reason` becomes part of the file name. False when there is none.
    pub fn set_aside(&self, id: &SegmentId, reason: &str) -> Result<bool> {
        let from = self.shared.segment_path(id);
        let to = self.shared.quarantine().join(format!("{id}.{}.kv", file_name_part(reason)));
        match self.shared.storage.rename(&from, &to) {
            Ok(()) => self.shared.cache.forget(id),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(io_error("set aside", &from, source)),
        }
        // The new name first: at no time is the loss of both names durable.
        self.shared.sync_dir(&self.shared.quarantine())?;
        self.shared.sync_dir(&self.shared.fan_out_folder(id))?;
        Ok(true)
    }

    /// Removes a segment and what was set aside under its id; the bytes freed, 0 when there was none.
    pub fn remove(&self, id: &SegmentId) -> Result<u64> {
        let mut freed = self.shared.remove_if_there(&self.shared.segment_path(id))?;
        // Behind it: nobody opens it any more to fill the cache again.
        self.shared.cache.forget(id);
        for path in self.shared.list(&self.shared.quarantine())? {
            if file_text(&path).starts_with(&id.to_string()) {
                freed += self.shared.remove_if_there(&path)?;
            }
        }
        // Also when nothing was there: an earlier call may have failed between the removal and its sync.
        self.shared.sync_dir_if_there(&self.shared.fan_out_folder(id))?;
        self.shared.sync_dir(&self.shared.quarantine())?;
        Ok(freed)
    }

    /// All segments, by id. Files with other names are not the store's and are passed over.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for folder in self.shared.list(&self.shared.segments())? {
            let fan_out = file_text(&folder);
            if fan_out.len() != 2 || !fan_out.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                continue;
            }
            for path in self.shared.list(&folder)? {
                let id = file_text(&path).strip_suffix(".kv").and_then(|hex| hex.parse().ok());
                if let Some(id) = id.filter(|id| self.shared.segment_path(id) == path) {
                    listed.push(Listed { id, bytes: self.shared.file_bytes(&path)? });
                }
            }
        }
        Ok(listed)
    }

    /// Names and sizes of what was set aside.
    pub fn quarantined(&self) -> Result<Vec<(PathBuf, u64)>> {
        let paths = self.shared.list(&self.shared.quarantine())?;
        paths.into_iter().map(|path| Ok((path.clone(), self.shared.file_bytes(&path)?))).collect()
    }

    pub fn counters(&self) -> Counters {
        Counters {
            reads: self.shared.reads.load(Relaxed),
            bytes_read: self.shared.bytes_read.load(Relaxed),
            cache_hits: self.shared.hits.load(Relaxed),
            cache_misses: self.shared.misses.load(Relaxed),
            cache_bytes: self.shared.cache.bytes(),
        }
    }
}

impl Shared {
    pub fn segment_path(&self, id: &SegmentId) -> PathBuf {
        self.fan_out_folder(id).join(format!("{id}.kv"))
    }

    /// A name no other writer has, so that two may write the same segment; the last rename wins, with equal bytes.
    pub fn temporary_path(&self, id: &SegmentId) -> PathBuf {
        self.tmp().join(format!("{id}.{}", self.temporaries.fetch_add(1, Relaxed)))
    }

    /// The folder of a segment, there and durable. A folder that merely exists may have been made by a process
    /// that died before it could sync.
    pub fn ensure_fan_out(&self, id: &SegmentId) -> Result<PathBuf> {
        let folder = self.fan_out_folder(id);
        let mut durable = self.fan_out.lock().unwrap_or_else(PoisonError::into_inner);
        if !durable.contains(&id.0[0]) {
            let made = self.storage.create_dir(&folder);
            made.map_err(|source| io_error("make the folder", &folder, source))?;
            self.sync_dir(&self.segments())?;
            durable.insert(id.0[0]);
        }
        Ok(folder)
    }

    pub fn create(&self, path: &Path) -> Result<Box<dyn StoredFile>> {
        let created = self.files.make_room_for(|| self.storage.create(path));
        created.map_err(|source| io_error("create", path, source))
    }

    pub fn sync_dir(&self, folder: &Path) -> Result<()> {
        let synced = self.files.make_room_for(|| self.storage.sync_dir(folder));
        synced.map_err(|source| io_error("sync the folder", folder, source))
    }

    fn sync_dir_if_there(&self, folder: &Path) -> Result<()> {
        match self.files.make_room_for(|| self.storage.sync_dir(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(|source| io_error("sync the folder", folder, source)),
        }
    }

    fn fan_out_folder(&self, id: &SegmentId) -> PathBuf {
        self.segments().join(format!("{:02x}", id.0[0]))
    }

    fn segments(&self) -> PathBuf {
        self.root.join("segments")
    }

    fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    fn list(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        self.files
            .make_room_for(|| self.storage.list(folder))
            .map_err(|source| io_error("list", folder, source))
    }

    fn file_bytes(&self, path: &Path) -> Result<u64> {
        let len = self.files.make_room_for(|| self.storage.open(path)).and_then(|file| file.len());
        len.map_err(|source| io_error("get the length of", path, source))
    }

    /// The bytes freed; 0 when there was no such file.
    fn remove_if_there(&self, path: &Path) -> Result<u64> {
        let remove = || -> io::Result<u64> {
            let bytes = self.files.make_room_for(|| self.storage.open(path))?.len()?;
            self.storage.remove(path)?;
            Ok(bytes)
        };
        match remove() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            result => result.map_err(|source| io_error("remove", path, source)),
        }
    }
}

pub(crate) fn io_error(operation: &'static str, path: &Path, source: io::Error) -> KvError {
    let path = path.to_owned();
    match is_limit(&source) {
        true => KvError::TooManyFiles { path, source },
        false => KvError::Io { operation, path, source },
    }
}

fn file_text(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Lower-case letters, digits and hyphens, at most 40.
fn file_name_part(reason: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    reason.chars().take(40).map(plain).collect()
}

#[cfg(test)]
mod many_files;
#[cfg(test)]
mod sparse;
#[cfg(test)]
mod tests;
