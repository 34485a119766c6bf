//! The seam to the disk: the few operations from which durability is built. [`Disk`] is the real one; `testing`
//! has one whose power can be cut.
//!
//! What a caller may rely on after a power cut: bytes of a file that was synced, and names in a folder that was
//! synced. Nothing else.

use std::fs::{self, OpenOptions};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Names in folders.
pub trait Storage: Send + Sync {
    /// Opens a file for reading; `NotFound` when there is none.
    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>>;
    /// Makes a new, empty file; `AlreadyExists` when the name is taken.
    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>>;
    /// Makes a folder in an existing one; no error when it exists.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, replacing what had it, in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file's name; `NotFound` when there is none.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Names of the files and folders in a folder, sorted; `NotFound` when there is no such folder.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    /// Makes the folder's names durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// Bytes of one open file. Reads may run on many threads.
pub trait StoredFile: Send + Sync {
    /// Fills `buf` from `offset` on; fewer bytes only at the end of the file.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
    /// Fills one buffer after the other from `offset` on; fewer bytes only at the end of the file.
    fn read_parts_at(&self, offset: u64, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut filled = 0;
        for buf in bufs {
            let got = self.read_at(offset + filled as u64, buf)?;
            filled += got;
            if got < buf.len() {
                break;
            }
        }
        Ok(filled)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes the file's bytes and length durable; its name is the folder's.
    fn sync(&self) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// The machine's own file system. Files are readable by their owner alone: they hold what documents say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Storage for Disk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        Ok(Box::new(DiskFile(fs::File::open(path)?)))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Box::new(DiskFile(file)))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            result => result,
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut paths = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }
}

struct DiskFile(fs::File);

impl StoredFile for DiskFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.0.read_at(&mut buf[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn read_parts_at(&self, offset: u64, mut bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut filled = 0;
        // Buffers that are full, or hold nothing, are let go: with none left nothing is asked for.
        IoSliceMut::advance_slices(&mut bufs, 0);
        while !bufs.is_empty() {
            // As many buffers as the system takes at once.
            match rustix::io::preadv(&self.0, bufs, offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => {
                    filled += n;
                    IoSliceMut::advance_slices(&mut bufs, n);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_filled_one_after_the_other_to_the_end_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..10_000u32).map(|i| (i * 31 % 251) as u8).collect();
        fs::write(&path, &bytes).unwrap();
        let file = Disk.open(&path).unwrap();
        // More parts than a system takes at once, empty ones among them.
        for (n_parts, offset, got) in [(3000, 0, 6000), (3000, 7001, 2999), (1, 10_000, 0), (0, 0, 0)] {
            let mut parts = vec![[0u8; 4]; n_parts];
            let mut bufs: Vec<IoSliceMut<'_>> = Vec::new();
            for (i, part) in parts.iter_mut().enumerate() {
                bufs.push(IoSliceMut::new(&mut part[..i % 3 * 3 / 2]));
            }
            let lengths: Vec<usize> = bufs.iter().map(|buf| buf.len()).collect();
            let expected = got.min(lengths.iter().sum());
            assert_eq!(file.read_parts_at(offset, &mut bufs).unwrap(), expected, "{n_parts} from {offset}");
            let read: Vec<u8> =
                parts.iter().zip(lengths).flat_map(|(part, len)| part[..len].to_vec()).collect();
            assert_eq!(read[..expected], bytes[offset as usize..][..expected]);
            assert!(read[expected..].iter().all(|&byte| byte == 0));
        }
    }
}
