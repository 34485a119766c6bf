//! Disks for tests: [`OverDisk`], the real one with other files, and [`SimDisk`], whose power can be cut.
//!
//! Every file and folder of a [`SimDisk`] has a live and a durable image. What a cut may do follows the promises of [`Storage`] and no more: an unsynced write survives, vanishes or
//! is torn, each on its own; an unsynced change of a name survives or vanishes, each on its own; a rename
//! into another folder may leave both names. Only a synced file's bytes and a synced folder's names are sure.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::storage::{Disk, Storage, StoredFile};

/// How a file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Open,
    Create,
}

impl Access {
    /// The file as [`Disk`] gives it.
    pub fn on_disk(self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        match self {
            Self::Open => Disk.open(path),
            Self::Create => Disk.create(path),
        }
    }
}

/// [`Disk`], but its files are what the function gives.
pub struct OverDisk<F>(pub F);

impl<F> Storage for OverDisk<F>
where
    F: Fn(Access, &Path) -> io::Result<Box<dyn StoredFile>> + Send + Sync,
{
    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        (self.0)(Access::Open, path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        (self.0)(Access::Create, path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        Disk.create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        Disk.list(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        Disk.sync_dir(path)
    }
}

/// Clones share the disk. The folder `/` always exists.
#[derive(Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// When something goes wrong, counted in operations from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The power goes; the operation does not happen.
    CutBefore(u64),
    /// The operation happens, then the power goes, and the caller never hears of it.
    CutAfter(u64),
    /// The operation alone fails, as on a full disk.
    Error(u64, io::ErrorKind),
}

/// What becomes of all that was not synced when the power went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    Vanishes,
    Survives,
    /// Each write and each name on its own, drawn from this seed; writes may be torn.
    Drawn(u64),
}

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    live: Names,
    durable: Names,
    /// Changes of names since the sync of their folder, oldest first.
    unsynced: Vec<NameChange>,
    n_operations: u64,
    fault: Option<Fault>,
    dark: bool,
}

type Names = BTreeMap<PathBuf, Node>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

#[derive(Default, Clone)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<(u64, Vec<u8>)>,
}

#[derive(Clone)]
enum NameChange {
    Add { path: PathBuf, node: Node },
    Remove { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf, node: Node, added: bool },
}

impl SimDisk {
    /// Arms one fault; operations are counted from the disk's first.
    pub fn arm(&self, fault: Fault) {
        self.lock().fault = Some(fault);
    }

    pub fn n_operations(&self) -> u64 {
        self.lock().n_operations
    }

    /// The power went.
    pub fn is_dark(&self) -> bool {
        self.lock().dark
    }

    /// First half of an operation that lies elsewhere and is durable by itself, such as a database commit: it counts
    /// like those of the disk. An error: it does not happen. Gives its number.
    pub fn begin_step(&self) -> io::Result<u64> {
        self.lock().begin()
    }

    /// Second half: it has happened. An error: the power went, and the caller does not hear of it.
    pub fn end_step(&self, number: u64) -> io::Result<()> {
        let mut state = self.lock();
        state.end(number)?;
        if state.dark { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    /// The disk as the next start finds it. Handles of the old one are dead with their process.
    pub fn power_on(&self, unsynced: Unsynced) -> SimDisk {
        let state = self.lock();
        let mut draw = Draw { unsynced, seed: if let Unsynced::Drawn(seed) = unsynced { seed } else { 0 } };
        let mut names = state.durable.clone();
        for change in &state.unsynced {
            draw.change(&mut names, change);
        }
        let whole = names.clone();
        names.retain(|path, _| is_folder(&whole, parent(path)));
        let inodes = state.inodes.iter().map(|inode| draw.inode(inode)).collect();
        let state = State { inodes, live: names.clone(), durable: names, ..State::default() };
        SimDisk { state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One operation, with whatever is to go wrong at it.
    fn step<T>(&self, operation: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.lock();
        let number = state.begin()?;
        let result = operation(&mut state);
        state.end(number)?;
        result
    }

    fn file(&self, inode: usize) -> Box<dyn StoredFile> {
        Box::new(SimFile { disk: self.clone(), inode })
    }
}

/// Decides what survives a cut.
struct Draw {
    unsynced: Unsynced,
    seed: u64,
}

impl Draw {
    /// SplitMix64 (Steele, Lea and Flood, 2014).
    fn next(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn survives(&mut self) -> bool {
        match self.unsynced {
            Unsynced::Vanishes => false,
            Unsynced::Survives => true,
            Unsynced::Drawn(_) => self.next() & 1 == 0,
        }
    }

    fn change(&mut self, names: &mut Names, change: &NameChange) {
        match change {
            NameChange::Add { path, node } if self.survives() => {
                names.insert(path.clone(), *node);
            }
            NameChange::Remove { path } if self.survives() => {
                names.remove(path);
            }
            NameChange::Rename { from, to, node, added } => {
                let add = *added || self.survives();
                if add && !*added {
                    names.insert(to.clone(), *node);
                }
                if add && (parent(from) == parent(to) || self.survives()) {
                    names.remove(from);
                }
            }
            NameChange::Add { .. } | NameChange::Remove { .. } => {}
        }
    }

    fn inode(&mut self, inode: &Inode) -> Inode {
        let mut bytes = inode.durable.clone();
        for (offset, write) in &inode.unsynced {
            if self.survives() {
                let torn = matches!(self.unsynced, Unsynced::Drawn(_)) && self.next() & 1 == 0;
                let len = if torn { self.next() as usize % write.len().max(1) } else { write.len() };
                overwrite(&mut bytes, *offset, &write[..len]);
            }
        }
        Inode { live: bytes.clone(), durable: bytes, unsynced: Vec::new() }
    }
}

fn overwrite(bytes: &mut Vec<u8>, offset: u64, write: &[u8]) {
    let at = offset as usize;
    bytes.resize(bytes.len().max(at + write.len()), 0);
    bytes[at..at + write.len()].copy_from_slice(write);
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn is_folder(names: &Names, path: &Path) -> bool {
    path == Path::new("/") || names.get(path) == Some(&Node::Folder)
}

impl State {
    /// Counts an operation; an error when it does not happen.
    fn begin(&mut self) -> io::Result<u64> {
        let n = self.n_operations;
        self.n_operations += 1;
        match self.fault {
            _ if self.dark => Err(io::Error::other("the power is off")),
            Some(Fault::CutBefore(at)) if at == n => {
                self.dark = true;
                Err(io::Error::other("the power went"))
            }
            Some(Fault::Error(at, kind)) if at == n => Err(kind.into()),
            _ => Ok(n),
        }
    }

    /// After the operation happened; an error when its caller does not hear of it.
    fn end(&mut self, n: u64) -> io::Result<()> {
        if self.fault == Some(Fault::CutAfter(n)) {
            self.dark = true;
            return Err(io::Error::other("the power went"));
        }
        Ok(())
    }

    fn inode_of(&self, path: &Path) -> io::Result<usize> {
        match self.live.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Folder) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn need_folder(&self, path: &Path) -> io::Result<()> {
        if is_folder(&self.live, path) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn add(&mut self, path: &Path, node: Node) -> io::Result<()> {
        self.need_folder(parent(path))?;
        if self.live.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.live.insert(path.into(), node);
        self.unsynced.push(NameChange::Add { path: path.into(), node });
        Ok(())
    }

    /// Makes the folder's part of every change durable; a rename out of it takes its new name along.
    fn sync_names(&mut self, folder: &Path) {
        let State { durable, unsynced, .. } = self;
        unsynced.retain_mut(|change| match change {
            NameChange::Add { path, node } if parent(path) == folder => {
                durable.insert(path.clone(), *node);
                false
            }
            NameChange::Remove { path } if parent(path) == folder => {
                durable.remove(path);
                false
            }
            NameChange::Rename { from, to, node, added } if [parent(from), parent(to)].contains(&folder) => {
                if !*added {
                    durable.insert(to.clone(), *node);
                    *added = true;
                }
                if parent(from) == folder {
                    durable.remove(from);
                }
                parent(from) != folder
            }
            _ => true,
        });
    }
}

impl Storage for SimDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        Ok(self.file(self.step(|state| state.inode_of(path))?))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        let inode = self.step(|state| {
            let inode = state.inodes.len();
            state.add(path, Node::File(inode))?;
            state.inodes.push(Inode::default());
            Ok(inode)
        })?;
        Ok(self.file(inode))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.step(|state| if is_folder(&state.live, path) { Ok(()) } else { state.add(path, Node::Folder) })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(|state| {
            let node = Node::File(state.inode_of(from)?);
            state.need_folder(parent(to))?;
            state.live.remove(from);
            state.live.insert(to.into(), node);
            state.unsynced.push(NameChange::Rename { from: from.into(), to: to.into(), node, added: false });
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step(|state| {
            state.inode_of(path)?;
            state.live.remove(path);
            state.unsynced.push(NameChange::Remove { path: path.into() });
            Ok(())
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.step(|state| {
            state.need_folder(path)?;
            Ok(state.live.keys().filter(|name| parent(name) == path).cloned().collect())
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.step(|state| {
            state.need_folder(path)?;
            state.sync_names(path);
            Ok(())
        })
    }
}

struct SimFile {
    disk: SimDisk,
    inode: usize,
}

impl StoredFile for SimFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.disk.step(|state| {
            let rest = state.inodes[self.inode].live.get(offset as usize..).unwrap_or_default();
            let len = rest.len().min(buf.len());
            buf[..len].copy_from_slice(&rest[..len]);
            Ok(len)
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.step(|state| {
            let inode = &mut state.inodes[self.inode];
            overwrite(&mut inode.live, offset, bytes);
            inode.unsynced.push((offset, bytes.to_vec()));
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.step(|state| {
            let inode = &mut state.inodes[self.inode];
            inode.durable = inode.live.clone();
            inode.unsynced.clear();
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.step(|state| Ok(state.inodes[self.inode].live.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(disk: &SimDisk, folder: &str) -> Vec<PathBuf> {
        disk.list(Path::new(folder)).unwrap_or_default()
    }

    #[test]
    fn only_what_was_synced_is_sure() {
        let disk = SimDisk::default();
        let path = Path::new("/a");
        let file = disk.create(path).unwrap();
        file.write_at(0, b"one").unwrap();
        assert!(names(&disk.power_on(Unsynced::Vanishes), "/").is_empty());
        disk.sync_dir(Path::new("/")).unwrap();
        let after = disk.power_on(Unsynced::Vanishes);
        assert_eq!(after.open(path).unwrap().len().unwrap(), 0, "the name is durable, the bytes are not");
        file.sync().unwrap();
        file.write_at(3, b"two").unwrap();
        assert_eq!(disk.power_on(Unsynced::Vanishes).open(path).unwrap().len().unwrap(), 3);
        assert_eq!(disk.power_on(Unsynced::Survives).open(path).unwrap().len().unwrap(), 6);
        let lengths: std::collections::BTreeSet<_> = (0..64)
            .map(|seed| disk.power_on(Unsynced::Drawn(seed)).open(path).unwrap().len().unwrap())
            .collect();
        assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6], "writes are torn anywhere");
    }

    #[test]
    fn a_rename_never_loses_both_names() {
        let disk = SimDisk::default();
        let (from, to) = (Path::new("/a/x"), Path::new("/b/x"));
        for folder in ["/a", "/b"] {
            disk.create_dir(Path::new(folder)).unwrap();
        }
        disk.create(from).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk.sync_dir(Path::new("/a")).unwrap();
        disk.rename(from, to).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..64 {
            let after = disk.power_on(Unsynced::Drawn(seed));
            seen.insert((names(&after, "/a").len(), names(&after, "/b").len()));
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(0, 1), (1, 0), (1, 1)]);
        disk.sync_dir(Path::new("/b")).unwrap();
        assert_eq!(names(&disk.power_on(Unsynced::Vanishes), "/b"), [to]);
    }
}
