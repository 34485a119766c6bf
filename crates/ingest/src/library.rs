//! The content-addressed files of a data folder: originals, canonical texts and what points into them.
//!
//! ```text
//! root/objects/text/ab/ab…     by kind (the catalog's word), then the first two hex digits
//! root/tmp/N                   being written; removed when the library is opened
//! root/scratch/                originals under their own names while a parser reads them; likewise
//! ```
//!
//! A file is written under a temporary name, synced, renamed, and its folder synced: after a power cut it is whole or
//! not there. Originals are named by SHA-256, the rest by BLAKE3; a read checks the name.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use catalog::{Blob, BlobKind, Digest, NewFile, Object};
use kv::{Storage, StoredFile};
use sha2::{Digest as _, Sha256};

use crate::{Error, Result};

const CHUNK: usize = 1 << 20;
const KINDS: [BlobKind; 5] =
    [BlobKind::Original, BlobKind::Text, BlobKind::Pages, BlobKind::Boxes, BlobKind::Tokens];

/// Cheap to clone. One process at a time may have a data folder open: opening removes temporary files.
#[derive(Clone)]
pub struct Library {
    storage: Arc<dyn Storage>,
    root: Arc<Path>,
    temporaries: Arc<AtomicU64>,
    /// Fan-out folders whose names this process has made durable.
    durable: Arc<Mutex<HashSet<PathBuf>>>,
    /// Held from writing a file to committing the row that names it, and from dropping rows to deleting their files:
    /// a file must not be deleted between being found again and being named again.
    pub(crate) changing: Arc<tokio::sync::Mutex<()>>,
}

impl Library {
    /// Opens or makes the library in `root`, which must exist.
    pub fn open(storage: Arc<dyn Storage>, root: &Path) -> Result<Self> {
        let library = Self {
            storage,
            root: root.into(),
            temporaries: Arc::default(),
            durable: Arc::default(),
            changing: Arc::default(),
        };
        let objects = root.join("objects");
        let folders = [objects.clone(), library.tmp()];
        for folder in folders.into_iter().chain(KINDS.map(|kind| objects.join(kind.as_str()))) {
            library.storage.create_dir(&folder).map_err(|e| io_error("make the folder", &folder, e))?;
        }
        library.sync_dir(&objects)?;
        library.sync_dir(root)?;
        let left_over = library.tmp();
        for path in library.storage.list(&left_over).map_err(|e| io_error("list", &left_over, e))? {
            library.storage.remove(&path).map_err(|e| io_error("remove", &path, e))?;
        }
        match fs::remove_dir_all(library.scratch()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &library.scratch(), e)),
            _ => Ok(library),
        }
    }

    /// Where an object lies, whether or not it is there.
    pub fn path(&self, kind: BlobKind, digest: Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join("objects").join(kind.as_str()).join(&name[..2]).join(name)
    }

    /// Keeps `bytes` under their BLAKE3; durable when this returns.
    pub fn put(&self, kind: BlobKind, bytes: &[u8]) -> Result<Blob> {
        let digest = Digest(*blake3::hash(bytes).as_bytes());
        let blob = Blob { digest, bytes: bytes.len() as u64 };
        let path = self.path(kind, digest);
        if !self.holds(kind, blob)? {
            let mut temporary = Temporary::create(self.clone())?;
            temporary.write(bytes)?;
            temporary.rename(&path)?;
        }
        self.make_durable(&path)?;
        Ok(blob)
    }

    /// Keeps what `from` holds under the digest it must have; durable when this returns. `from` is not read when that
    /// is kept already and sound.
    ///
    /// Errors: [`Error::Damaged`] when it hashes to something else, [`Error::Input`] when it cannot be read; nothing
    /// is kept then.
    pub(crate) fn put_expected(&self, kind: BlobKind, expected: Blob, from: &mut dyn io::Read) -> Result<()> {
        let path = self.path(kind, expected.digest);
        if !self.holds(kind, expected)? {
            let mut temporary = Temporary::create(self.clone())?;
            let mut hasher = Hasher::of(kind);
            let source = temporary.path.clone();
            read_chunks(from, &source, |chunk| {
                hasher.update(chunk);
                temporary.write(chunk)
            })?;
            let got = hasher.digest();
            if got != expected.digest {
                return Err(Error::Damaged { kind, path, expected: expected.digest, got });
            }
            temporary.rename(&path)?;
        }
        self.make_durable(&path)
    }

    /// Keeps a copy of the user's file under the SHA-256 of the bytes that were read; durable when this returns.
    /// `expected`: what it hashed to before; when that is kept already and sound, the file is not read again.
    pub fn put_original(&self, source: &Path, expected: NewFile) -> Result<NewFile> {
        if self.holds_original(expected)? {
            self.make_durable(&self.path(BlobKind::Original, expected.sha256))?;
            return Ok(expected);
        }
        let mut temporary = Temporary::create(self.clone())?;
        let file = hash_file(source, |chunk| temporary.write(chunk))?;
        let path = self.path(BlobKind::Original, file.sha256);
        temporary.rename(&path)?;
        self.make_durable(&path)?;
        Ok(file)
    }

    /// The whole of an object. Errors: [`Error::Missing`], [`Error::Damaged`].
    pub fn read(&self, kind: BlobKind, digest: Digest) -> Result<Vec<u8>> {
        let (path, file) = self.open_object(kind, digest)?;
        let failed = |e| io_error("read", &path, e);
        let mut bytes = vec![0; file.len().map_err(failed)? as usize];
        let read = file.read_at(0, &mut bytes).map_err(failed)?;
        bytes.truncate(read);
        let mut hasher = Hasher::of(kind);
        hasher.update(&bytes);
        let got = hasher.digest();
        if got == digest { Ok(bytes) } else { Err(Error::Damaged { kind, path, expected: digest, got }) }
    }

    /// Reads an object, a piece at a time, and compares it with its name. Errors: [`Error::Missing`],
    /// [`Error::Damaged`].
    pub fn check(&self, kind: BlobKind, digest: Digest) -> Result<()> {
        let (path, file) = self.open_object(kind, digest)?;
        let (mut hasher, mut buffer, mut at) = (Hasher::of(kind), vec![0; CHUNK], 0);
        loop {
            let read = file.read_at(at, &mut buffer).map_err(|e| io_error("read", &path, e))?;
            hasher.update(&buffer[..read]);
            at += read as u64;
            if read < buffer.len() {
                break;
            }
        }
        let got = hasher.digest();
        if got == digest { Ok(()) } else { Err(Error::Damaged { kind, path, expected: digest, got }) }
    }

    fn open_object(&self, kind: BlobKind, digest: Digest) -> Result<(PathBuf, Box<dyn StoredFile>)> {
        let path = self.path(kind, digest);
        match self.storage.open(&path) {
            Ok(file) => Ok((path, file)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Error::Missing { kind, path }),
            Err(e) => Err(io_error("open", &path, e)),
        }
    }

    /// Bytes of an object; `None` when it is not there.
    pub fn size(&self, kind: BlobKind, digest: Digest) -> Result<Option<u64>> {
        let path = self.path(kind, digest);
        match self.storage.open(&path).and_then(|file| file.len()) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_error("get the length of", &path, e)),
        }
    }

    /// Deletes an object, durably; the bytes freed, 0 when there was none.
    pub fn remove(&self, kind: BlobKind, digest: Digest) -> Result<u64> {
        let bytes = self.size(kind, digest)?;
        let path = self.path(kind, digest);
        if bytes.is_some() {
            self.storage.remove(&path).map_err(|e| io_error("remove", &path, e))?;
        }
        match self.storage.sync_dir(folder_of(&path)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("sync the folder", &path, e)),
            _ => Ok(bytes.unwrap_or(0)),
        }
    }

    /// Every object on disk, for the orphan sweep. Files with other names are passed over.
    pub fn list(&self) -> Result<Vec<Object>> {
        let list = |folder: &Path| self.storage.list(folder).map_err(|e| io_error("list", folder, e));
        let mut objects = Vec::new();
        for kind in KINDS {
            for folder in list(&self.root.join("objects").join(kind.as_str()))? {
                for path in list(&folder)? {
                    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
                    let digest = Digest::from_hex(name).filter(|d| self.path(kind, *d) == path);
                    objects.extend(digest.map(|digest| Object::Blob(kind, digest)));
                }
            }
        }
        Ok(objects)
    }

    /// An original under its own name, for a parser that looks at names: titles come from them. Gone when dropped.
    pub(crate) fn under_its_name(&self, sha256: Digest, name: &str) -> Result<NamedOriginal> {
        let scratch = self.scratch();
        let failed = |e| io_error("make the folder", &scratch, e);
        fs::create_dir_all(&scratch).map_err(failed)?;
        let folder = tempfile::tempdir_in(&scratch).map_err(failed)?;
        let path = folder.path().join(plain_name(name));
        if fs::hard_link(self.path(BlobKind::Original, sha256), &path).is_err() {
            let bytes = self.read(BlobKind::Original, sha256)?;
            fs::write(&path, bytes).map_err(|e| io_error("write", &path, e))?;
        }
        Ok(NamedOriginal { path, _folder: folder })
    }

    /// Whether an object is there and sound: one that is damaged is written again like one that is not there.
    fn holds(&self, kind: BlobKind, blob: Blob) -> Result<bool> {
        if self.size(kind, blob.digest)? != Some(blob.bytes) {
            return Ok(false);
        }
        match self.check(kind, blob.digest) {
            Err(error) if error.is_damage() => Ok(false),
            checked => checked.map(|()| true),
        }
    }

    fn holds_original(&self, file: NewFile) -> Result<bool> {
        self.holds(BlobKind::Original, Blob { digest: file.sha256, bytes: file.bytes })
    }

    fn make_fan_out(&self, path: &Path) -> Result<()> {
        let folder = folder_of(path);
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if !durable.contains(folder) {
            self.storage.create_dir(folder).map_err(|e| io_error("make the folder", folder, e))?;
            self.sync_dir(folder_of(folder))?;
            durable.insert(folder.to_owned());
        }
        Ok(())
    }

    /// Also for a file found in place: the process that wrote it may have died before it could sync the folder.
    fn make_durable(&self, path: &Path) -> Result<()> {
        self.make_fan_out(path)?;
        self.sync_dir(folder_of(path))
    }

    fn sync_dir(&self, folder: &Path) -> Result<()> {
        self.storage.sync_dir(folder).map_err(|e| io_error("sync the folder", folder, e))
    }

    fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    fn scratch(&self) -> PathBuf {
        self.root.join("scratch")
    }
}

/// A file that is arriving piece by piece, hashed as it is written. Dropped, it leaves nothing.
pub struct Incoming {
    temporary: Temporary,
    hasher: Hasher,
}

/// A file that has arrived whole under a temporary name; kept with [`Library::keep`], or gone when it is dropped.
pub struct Received {
    temporary: Temporary,
    pub file: NewFile,
}

impl Library {
    pub fn incoming(&self) -> Result<Incoming> {
        Ok(Incoming { temporary: Temporary::create(self.clone())?, hasher: Hasher::of(BlobKind::Original) })
    }

    /// Gives a received file its name, unless those bytes are kept already; durable when this returns. The caller holds
    /// `changing` until a row names the file.
    pub(crate) fn keep(&self, received: Received) -> Result<NewFile> {
        let Received { temporary, file } = received;
        let path = self.path(BlobKind::Original, file.sha256);
        if !self.holds_original(file)? {
            temporary.rename(&path)?;
        }
        self.make_durable(&path)?;
        Ok(file)
    }
}

impl Incoming {
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.temporary.write(bytes)
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.temporary.len
    }

    /// Where it lies meanwhile.
    pub fn path(&self) -> &Path {
        &self.temporary.path
    }

    pub fn finish(self) -> Received {
        let Self { temporary, hasher } = self;
        let file = NewFile { sha256: hasher.digest(), bytes: temporary.len };
        Received { temporary, file }
    }
}

impl Received {
    /// Where it lies meanwhile.
    pub fn path(&self) -> &Path {
        &self.temporary.path
    }
}

/// See [`Library::under_its_name`].
pub(crate) struct NamedOriginal {
    pub path: PathBuf,
    _folder: tempfile::TempDir,
}

/// A file being written; removed unless it gets its final name.
struct Temporary {
    library: Library,
    path: PathBuf,
    file: Box<dyn StoredFile>,
    len: u64,
    renamed: bool,
}

impl Temporary {
    fn create(library: Library) -> Result<Self> {
        let path = library.tmp().join(library.temporaries.fetch_add(1, Relaxed).to_string());
        let file = library.storage.create(&path).map_err(|e| io_error("create", &path, e))?;
        Ok(Self { library, path, file, len: 0, renamed: false })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_at(self.len, bytes).map_err(|e| io_error("write", &self.path, e))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn rename(mut self, to: &Path) -> Result<()> {
        self.library.make_fan_out(to)?;
        self.file.sync().map_err(|e| io_error("sync", &self.path, e))?;
        self.library.storage.rename(&self.path, to).map_err(|e| io_error("rename into place", to, e))?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // What cannot be removed now is removed when the library is next opened.
            let _ = self.library.storage.remove(&self.path);
        }
    }
}

/// What names an object: SHA-256 of originals, BLAKE3 of the rest.
enum Hasher {
    Sha256(Sha256),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    fn of(kind: BlobKind) -> Self {
        match kind {
            BlobKind::Original => Self::Sha256(Sha256::new()),
            _ => Self::Blake3(Box::default()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
        }
    }

    fn digest(self) -> Digest {
        match self {
            Self::Sha256(hasher) => Digest(hasher.finalize().into()),
            Self::Blake3(hasher) => Digest(*hasher.finalize().as_bytes()),
        }
    }
}

/// SHA-256 and length of a user's file, read once in order; each chunk is also given to `keep`.
pub(crate) fn hash_file(path: &Path, mut keep: impl FnMut(&[u8]) -> Result<()>) -> Result<NewFile> {
    let mut file = fs::File::open(path).map_err(|source| Error::Input { path: path.to_owned(), source })?;
    let (mut hasher, mut bytes) = (Hasher::of(BlobKind::Original), 0);
    read_chunks(&mut file, path, |chunk| {
        hasher.update(chunk);
        bytes += chunk.len() as u64;
        keep(chunk)
    })?;
    Ok(NewFile { sha256: hasher.digest(), bytes })
}

/// `path` is for the message alone.
fn read_chunks(
    from: &mut dyn io::Read,
    path: &Path,
    mut keep: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => keep(&buffer[..read])?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::Input { path: path.to_owned(), source }),
        }
    }
}

/// A name of strangers as one that a file can have and that leads nowhere else.
fn plain_name(name: &str) -> String {
    match name {
        "" | "." | ".." => "document".to_owned(),
        name => name.replace(['/', '\0'], "_"),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().expect("objects lie in fan-out folders")
}

fn io_error(operation: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_is_written_again_by_whoever_brings_it() {
        let root = tempfile::tempdir().unwrap();
        let library = Library::open(Arc::new(kv::Disk), root.path()).unwrap();
        let source = root.path().join("a.txt");
        fs::write(&source, "text").unwrap();
        let file = hash_file(&source, |_| Ok(())).unwrap();
        let receive = || {
            let mut incoming = library.incoming().unwrap();
            incoming.write(b"text").unwrap();
            library.keep(incoming.finish()).unwrap();
        };
        let original = (BlobKind::Original, file.sha256);
        let text = (BlobKind::Text, Digest(*blake3::hash(b"text").as_bytes()));
        let expected = Blob { digest: text.1, bytes: 4 };
        let writers: [(_, &dyn Fn()); 4] = [
            (original, &|| assert_eq!(library.put_original(&source, file).unwrap(), file)),
            (original, &receive),
            (text, &|| assert_eq!(library.put(BlobKind::Text, b"text").unwrap(), expected)),
            (text, &|| library.put_expected(BlobKind::Text, expected, &mut &b"text"[..]).unwrap()),
        ];
        for ((kind, digest), write) in writers {
            for damage in [Some("tixt"), Some("te"), None] {
                write();
                let path = library.path(kind, digest);
                damage.map_or_else(|| fs::remove_file(&path), |bytes| fs::write(&path, bytes)).unwrap();
                assert!(library.check(kind, digest).unwrap_err().is_damage());
                write();
                library.check(kind, digest).unwrap();
            }
        }
    }

    #[test]
    fn an_original_lies_under_any_name_that_strangers_give_it() {
        let root = tempfile::tempdir().unwrap();
        let library = Library::open(Arc::new(kv::Disk), root.path()).unwrap();
        let mut incoming = library.incoming().unwrap();
        incoming.write(b"text").unwrap();
        let file = library.keep(incoming.finish()).unwrap();
        for (name, kept) in
            [("a.txt", "a.txt"), ("..", "document"), (".", "document"), ("", "document"), ("../a\0", ".._a_")]
        {
            let original = library.under_its_name(file.sha256, name).unwrap();
            assert_eq!(original.path.file_name().unwrap(), kept);
            assert_eq!(original.path.parent().unwrap().parent().unwrap(), library.scratch());
            assert_eq!(fs::read(&original.path).unwrap(), b"text");
        }
    }
}
