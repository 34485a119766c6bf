//! The memory map of one model file: the only `unsafe` of this crate.
//!
//! The length is taken from the open file and compared with the map, and every range handed out is checked against it.
//! What no check can prevent: if another process truncates the file while it is mapped, touching a page past the new
//! end raises SIGBUS and kills this process. Replace model files by renaming a new file over the old one.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use memmap2::Mmap;

use crate::{Error, Result};

/// One read-only mapped file, with the identity it had when it was opened.
#[derive(Debug)]
pub(crate) struct MappedFile {
    path: PathBuf,
    map: Mmap,
    stamp: Stamp,
}

/// What tells one version of a file from another without reading it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Stamp {
    /// Length in bytes.
    pub size: u64,
    /// Modification time, nanoseconds since 1970 (saturating).
    pub mtime_ns: u64,
    /// Device and inode number; zero where the platform has none.
    pub inode: (u64, u64),
}

impl MappedFile {
    pub fn open(path: &Path) -> Result<Self> {
        let io = |action| move |source| Error::Io { path: path.to_owned(), action, source };
        let metadata = std::fs::metadata(path).map_err(io("open"))?;
        // A pipe would block `open` until someone writes to it.
        if !metadata.is_file() {
            return Err(Error::NotAModel {
                path: path.to_owned(),
                reason: "it is not a regular file".into(),
            });
        }
        let file = File::open(path).map_err(io("open"))?;
        let metadata = file.metadata().map_err(io("read the size of"))?;
        let stamp = Stamp::of(&metadata);
        // SAFETY: the map is read-only and lives as long as the slices lent from it. Its length is that of the open
        // file, compared below. Writers that shorten or change the file under us are outside what can be checked;
        // the module's description and `Model`'s say what happens then.
        let map = unsafe { Mmap::map(&file) }.map_err(io("map"))?;
        if map.len() as u64 != stamp.size {
            return Err(Error::Invalid {
                path: path.to_owned(),
                offset: 0,
                what: "length of the file",
                expected: format!("{} bytes, as when it was opened", stamp.size),
                got: format!("{}", map.len()),
            });
        }
        Ok(Self { path: path.to_owned(), map, stamp })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// Bytes of a range that was checked against the file's length when the file was opened.
    pub fn slice(&self, range: &Range<u64>) -> &[u8] {
        let (Ok(start), Ok(end)) = (usize::try_from(range.start), usize::try_from(range.end)) else {
            return &[];
        };
        self.map.get(start..end).unwrap_or_default()
    }
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        let mtime_ns = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        #[cfg(unix)]
        let inode = {
            use std::os::unix::fs::MetadataExt;
            (metadata.dev(), metadata.ino())
        };
        #[cfg(not(unix))]
        let inode = (0, 0);
        Self { size: metadata.len(), mtime_ns, inode }
    }
}
