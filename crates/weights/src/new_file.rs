//! A file that appears whole and durable, or not at all.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

const BUFFER_BYTES: usize = 1 << 20;

/// A file that is being written under a name of its own. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub(crate) struct NewFile {
    path: PathBuf,
    temporary: PathBuf,
    file: BufWriter<File>,
}

impl NewFile {
    /// Begins the file that will stand at `path`.
    pub fn create(path: &Path) -> Result<Self> {
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        // Its own name per process: two that write the same file must not write into one another's.
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        let file = File::create(&temporary).map_err(io(&temporary, "create"))?;
        Ok(Self { path: path.to_owned(), temporary, file: BufWriter::with_capacity(BUFFER_BYTES, file) })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(io(&self.path, "write"))
    }

    /// Makes the bytes durable, then the name.
    pub fn finish(mut self) -> Result<()> {
        self.file.flush().map_err(io(&self.path, "write"))?;
        self.file.get_ref().sync_all().map_err(io(&self.path, "sync"))?;
        std::fs::rename(&self.temporary, &self.path).map_err(io(&self.path, "put in place"))?;
        match self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => sync_folder(folder),
            None => sync_folder(Path::new(".")),
        }
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // After `finish` there is none. What went wrong before was said; what cannot be removed only takes room.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

/// Makes what was renamed or removed in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io(folder, "sync"))
}

pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, action, source }
}
