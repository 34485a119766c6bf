//! The data folder: its marker with a format version, and the lock that makes one process its owner.

use crate::problem::Failure;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

const MARKER: &str = "ibid.json";
const FORMAT: &str = "ibid-data";
/// Raised when an older program could no longer read the folder.
const VERSION: u32 = 1;
/// What may lie in a folder that has no marker yet.
const BEFORE_MARKER: [&str; 3] = ["config.toml", "lock", "lost+found"];
const MARKER_LIMIT: u64 = 4096;

#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    format: String,
    version: u32,
}

#[derive(Debug, Clone)]
pub struct DataFolder {
    path: PathBuf,
}

/// Who holds the folder, for other processes to read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Holder {
    pub process: u32,
    pub version: String,
    pub command: String,
    /// Present when the holder runs commands for others.
    pub socket: Option<PathBuf>,
}

impl Holder {
    /// Whether there is such a process on this machine, whoever's it is. One that was killed while it started a child may
    /// leave the lock to that child for a moment.
    #[cfg(unix)]
    pub fn runs(&self) -> bool {
        use rustix::{
            io::Errno,
            process::{Pid, test_kill_process},
        };
        let pid = i32::try_from(self.process).ok().and_then(Pid::from_raw);
        pid.is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
    }

    #[cfg(not(unix))]
    pub fn runs(&self) -> bool {
        true
    }
}

/// The folder belongs to this process until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl DataFolder {
    /// Opens the folder, or makes it when it is missing or empty.
    ///
    /// Errors: `foreign_data` when it holds something else, `newer_data` when a newer program wrote it.
    pub fn open(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).with_context(|| format!("cannot use {}", path.display()))?;
        let cannot = || format!("cannot make the data folder {}", path.display());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).with_context(cannot)?;
        let marker = path.join(MARKER);
        let mut text = String::new();
        match File::open(&marker) {
            Ok(file) => {
                file.take(MARKER_LIMIT)
                    .read_to_string(&mut text)
                    .with_context(|| format!("cannot read {}", marker.display()))?;
                check_marker(&path, &text)?;
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                refuse_other_contents(&path)?;
                write_marker(&path).with_context(cannot)?;
            }
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", marker.display())),
        }
        Ok(Self { path })
    }

    /// Words for the owner of a folder that others on this machine may look into; `None` where they may not. One that was
    /// there already keeps the mode that somebody gave it.
    ///
    /// Errors: the folder's mode cannot be read.
    pub fn open_to_others(&self) -> Result<Option<String>> {
        let path = &self.path;
        let found = fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
        let mode = found.permissions().mode() & 0o777;
        Ok((mode & 0o077 != 0).then(|| {
            format!(
                "others on this machine may look into the data folder {} (mode {mode:o}), which holds your documents; to \
                 keep them out: chmod 700 {path:?}",
                path.display()
            )
        }))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn models(&self) -> PathBuf {
        self.path.join("models")
    }

    pub fn catalog(&self) -> PathBuf {
        self.path.join("catalog.sqlite")
    }

    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    fn lock_file(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// `None` while another process holds the folder.
    pub fn try_lock(&self) -> Result<Option<Lock>> {
        let path = self.lock_file();
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(e).with_context(|| format!("cannot lock {}", path.display())),
        }
    }

    /// What the holder wrote; `None` when it is just starting or ending.
    pub fn holder(&self) -> Option<Holder> {
        let text = fs::read_to_string(self.lock_file()).ok()?;
        serde_json::from_str(&text).ok()
    }
}

impl Lock {
    pub fn announce(&mut self, holder: &Holder) -> Result<()> {
        self.write(&serde_json::to_vec(holder)?).context("cannot write the lock file")
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(bytes)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A holder that ends says nothing any more; failing to say so only costs others a retry.
        let _ = self.file.set_len(0);
    }
}

fn check_marker(path: &Path, text: &str) -> Result<(), Failure> {
    let marker: Option<Marker> = serde_json::from_str(text).ok();
    match marker {
        Some(marker) if marker.format == FORMAT && marker.version <= VERSION => Ok(()),
        Some(marker) if marker.format == FORMAT => Err(Failure::new(
            409,
            "newer_data",
            format!(
                "the data folder {} has format version {}, this program knows up to {VERSION}; update ibid or choose \
                 another folder with --data",
                path.display(),
                marker.version
            ),
        )),
        _ => Err(foreign(path, &format!("{MARKER} was not written by ibid"))),
    }
}

fn refuse_other_contents(path: &Path) -> Result<()> {
    for entry in fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))? {
        let name = entry?.file_name();
        let known =
            BEFORE_MARKER.iter().any(|known| name == *known) || name.to_string_lossy().starts_with(".ibid-");
        if !known {
            return Err(foreign(path, &format!("it holds {name:?} and no {MARKER}")).into());
        }
    }
    Ok(())
}

fn foreign(path: &Path, why: &str) -> Failure {
    Failure::new(
        409,
        "foreign_data",
        format!(
            "{} is not a data folder of ibid: {why}; choose an empty or new folder with --data",
            path.display()
        ),
    )
}

fn write_marker(path: &Path) -> std::io::Result<()> {
    let marker = serde_json::to_vec(&Marker { format: FORMAT.into(), version: VERSION })?;
    let mut file = tempfile::Builder::new().prefix(".ibid-").tempfile_in(path)?;
    file.write_all(&marker)?;
    file.as_file().sync_all()?;
    file.persist(path.join(MARKER)).map_err(|e| e.error)?;
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<DataFolder>) -> &'static str {
        result.unwrap_err().downcast_ref::<Failure>().expect("a failure with a code").code
    }

    #[test]
    fn a_new_folder_opens_again_and_strange_ones_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let data = temp.path().join("a/b");
        DataFolder::open(&data).unwrap();
        DataFolder::open(&data).unwrap();

        fs::write(data.join(MARKER), r#"{"format":"ibid-data","version":99}"#).unwrap();
        assert_eq!(code(DataFolder::open(&data)), "newer_data");
        fs::write(data.join(MARKER), "{").unwrap();
        assert_eq!(code(DataFolder::open(&data)), "foreign_data");

        let home = temp.path().join("home");
        fs::create_dir(&home).unwrap();
        fs::write(home.join("thesis.tex"), "x").unwrap();
        assert_eq!(code(DataFolder::open(&home)), "foreign_data");
        assert!(!home.join(MARKER).exists());
    }

    #[test]
    fn only_a_folder_that_others_may_look_into_is_told_with_the_way_to_close_it() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("my data");
        let data = DataFolder::open(&path).unwrap();
        assert_eq!(data.open_to_others().unwrap(), None, "a new one");
        for mode in [0o755, 0o710] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let told = DataFolder::open(&path).unwrap().open_to_others().unwrap().expect("words");
            assert!(told.ends_with(&format!("chmod 700 {path:?}")), "{told}");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "as it was");
        }
    }

    #[test]
    fn one_lock_at_a_time_and_others_read_who_holds_it() {
        let temp = tempfile::tempdir().unwrap();
        let data = DataFolder::open(temp.path()).unwrap();
        let mut lock = data.try_lock().unwrap().expect("free");
        assert!(data.try_lock().unwrap().is_none());
        let holder = Holder { process: 7, version: "1".into(), command: "add".into(), socket: None };
        lock.announce(&holder).unwrap();
        assert_eq!(data.holder().unwrap().process, 7);
        let holder = |process| Holder { process, ..holder.clone() };
        assert!(holder(std::process::id()).runs() && holder(1).runs(), "also where it is somebody else's");
        assert!(!holder(i32::MAX as u32).runs() && !holder(u32::MAX).runs());
        drop(lock);
        assert!(data.holder().is_none());
        assert!(data.try_lock().unwrap().is_some());
    }
}
