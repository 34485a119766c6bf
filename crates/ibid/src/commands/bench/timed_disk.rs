//! The disk with a clock: how long the calls that write took.

use kv::{Disk, Storage, StoredFile};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

#[derive(Default)]
struct Books {
    nanos: AtomicU64,
    bytes: AtomicU64,
}

impl Books {
    fn time<T>(&self, call: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = call();
        self.nanos.fetch_add(start.elapsed().as_nanos() as u64, Relaxed);
        result
    }
}

/// Counts creating, writing, syncing and renaming; reading and listing go through uncounted.
#[derive(Clone, Default)]
pub struct TimedDisk {
    books: Arc<Books>,
}

impl TimedDisk {
    pub fn write_seconds(&self) -> f64 {
        self.books.nanos.load(Relaxed) as f64 / 1e9
    }

    pub fn bytes_written(&self) -> u64 {
        self.books.bytes.load(Relaxed)
    }
}

impl Storage for TimedDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        Disk.open(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        let file = self.books.time(|| Disk.create(path))?;
        Ok(Box::new(TimedFile { file, books: self.books.clone() }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.books.time(|| Disk.create_dir(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.books.time(|| Disk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        Disk.list(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.books.time(|| Disk.sync_dir(path))
    }
}

struct TimedFile {
    file: Box<dyn StoredFile>,
    books: Arc<Books>,
}

impl StoredFile for TimedFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.books.bytes.fetch_add(bytes.len() as u64, Relaxed);
        self.books.time(|| self.file.write_at(offset, bytes))
    }

    fn sync(&self) -> io::Result<()> {
        self.books.time(|| self.file.sync())
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_counted_and_there() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, path) = (TimedDisk::default(), folder.path().join("a"));
        let file = disk.create(&path).unwrap();
        file.write_at(0, b"abc").unwrap();
        file.sync().unwrap();
        assert_eq!(disk.bytes_written(), 3);
        assert!(disk.write_seconds() > 0.0);
        let before = disk.write_seconds();
        let mut read = [0; 3];
        assert_eq!(disk.open(&path).unwrap().read_at(0, &mut read).unwrap(), 3);
        assert_eq!((&read, disk.write_seconds()), (b"abc", before));
    }
}
