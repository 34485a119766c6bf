//! More segments than files may be open: by the pool's own bound, and by the system's.

use super::tests::{rows, spec, write};
use super::*;
use crate::layout::PageOrder;
use crate::storage::StoredFile;
use crate::testing::{Access, OverDisk};
use std::sync::atomic::AtomicUsize;

/// A system that allows so many open files.
struct Limited {
    most: usize,
    open: Arc<AtomicUsize>,
    opened: AtomicUsize,
}

struct LimitedFile(Box<dyn StoredFile>, Arc<AtomicUsize>);

impl Limited {
    fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Arc::default(), opened: AtomicUsize::new(0) })
    }

    fn file(&self, access: Access, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        if self.open.load(Relaxed) >= self.most {
            return Err(io::Error::from_raw_os_error(24));
        }
        let file = access.on_disk(path)?;
        self.open.fetch_add(1, Relaxed);
        self.opened.fetch_add(1, Relaxed);
        Ok(Box::new(LimitedFile(file, Arc::clone(&self.open))))
    }
}

impl StoredFile for LimitedFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}

impl Drop for LimitedFile {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Relaxed);
    }
}

const N_SEGMENTS: u32 = 20;

/// A store without a page cache over many segments.
fn many(system: &Arc<Limited>, pool: usize) -> (tempfile::TempDir, Store, Vec<SegmentId>) {
    let folder = tempfile::tempdir().unwrap();
    let disk = OverDisk({
        let system = system.clone();
        move |access: Access, path: &Path| system.file(access, path)
    });
    let store = Store::open_with(Arc::new(disk), &folder.path().join("kv"), 0, pool).unwrap();
    let ids = (0..N_SEGMENTS).map(|seed| write(&store, spec(seed, PageOrder::LayerMajor)).unwrap()).collect();
    (folder, store, ids)
}

fn open_all(store: &Store, ids: &[SegmentId]) -> Vec<Segment> {
    ids.iter().map(|id| store.open_segment(id).unwrap().unwrap()).collect()
}

#[test]
fn a_pool_of_three_reads_many_open_segments_and_holds_its_bound() {
    let system = Limited::new(usize::MAX);
    let (_folder, store, ids) = many(&system, 3);
    let segments = open_all(&store, &ids);
    assert_eq!((system.open.load(Relaxed), store.shared.files.n_open()), (3, 3));
    for _ in 0..2 {
        for segment in &segments {
            assert_eq!(*segment.page(5, 1).unwrap(), rows(5, 1));
            assert_eq!(system.open.load(Relaxed), 3);
        }
    }
    let opened = system.opened.load(Relaxed);
    for page in [0, 1] {
        assert_eq!(*segments[19].page(2, page).unwrap(), rows(2, page));
    }
    assert_eq!(system.opened.load(Relaxed), opened, "the last one read is still open");
    drop(segments);
    assert_eq!(system.open.load(Relaxed), 0);
}

#[test]
fn many_threads_share_a_pool_of_two() {
    let system = Limited::new(usize::MAX);
    let (_folder, store, ids) = many(&system, 2);
    let segments = open_all(&store, &ids);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (segments, system) = (&segments, &system);
            scope.spawn(move || {
                for round in 0..200 {
                    let segment = &segments[(round * (thread + 1)) % segments.len()];
                    assert_eq!(*segment.page(2, 0).unwrap(), rows(2, 0));
                    assert!(system.open.load(Relaxed) <= 2 + 4, "beside the pool, one for each thread");
                }
            });
        }
    });
}

#[test]
fn where_the_system_allows_fewer_files_than_the_pool_the_pool_makes_room() {
    let system = Limited::new(4);
    let (_folder, store, ids) = many(&system, 100);
    let segments = open_all(&store, &ids);
    for segment in &segments {
        assert_eq!(*segment.page(5, 1).unwrap(), rows(5, 1));
    }
    assert_eq!(system.open.load(Relaxed), 2, "half of what there was room for is left to others");
    // Writing, listing and removing need a file too.
    let more = write(&store, spec(99, PageOrder::PageMajor)).unwrap();
    assert_eq!(store.list().unwrap().len(), ids.len() + 1);
    assert!(store.remove(&more).unwrap() > 0);
}

#[test]
fn where_the_system_allows_no_file_at_all_it_is_said_what_to_do() {
    let system = Limited::new(2);
    let (_folder, store, ids) = many(&system, 100);
    let others: Vec<_> = ids[..2]
        .iter()
        .map(|id| system.file(Access::Open, &store.shared.segment_path(id)).unwrap())
        .collect();
    let error = store.open_segment(&ids[2]).unwrap_err();
    assert!(matches!(error, KvError::TooManyFiles { .. }) && !error.is_damage(), "{error}");
    assert!(error.to_string().contains("ulimit -n"), "{error}");
    drop(others);
    assert!(store.open_segment(&ids[2]).unwrap().is_some());
}

#[test]
fn what_was_removed_is_read_on_by_whose_file_is_open_and_gone_for_the_others() {
    let system = Limited::new(usize::MAX);
    let (_folder, store, ids) = many(&system, 2);
    let segments = open_all(&store, &ids[..3]);
    // The first one's file has made room for the third's.
    for id in &ids[..3] {
        store.remove(id).unwrap();
    }
    for open in [1, 2] {
        assert_eq!(*segments[open].page(2, 0).unwrap(), rows(2, 0));
    }
    let gone = segments[0].page(2, 0).unwrap_err();
    assert!(matches!(gone, KvError::Gone { .. }) && gone.is_damage(), "{gone}");
    assert_eq!(gone.damaged_segment(), Some(ids[0]));

    // Made again, it is read on; what else takes its place is refused.
    write(&store, spec(0, PageOrder::LayerMajor)).unwrap();
    assert_eq!(*segments[0].page(2, 0).unwrap(), rows(2, 0));
    let _others = open_all(&store, &ids[3..6]);
    store.remove(&ids[0]).unwrap();
    let mut writer = store.create(spec(0, PageOrder::LayerMajor)).unwrap();
    for (layer, page) in [(2, 0), (2, 1), (5, 0), (5, 1)] {
        writer.push_page(layer, page, &rows(layer + 1, page)).unwrap();
    }
    writer.finish().unwrap();
    let forged = segments[0].page(2, 0).unwrap_err();
    assert!(matches!(forged, KvError::Checksum { .. }), "{forged}");
    assert_eq!(forged.damaged_segment(), Some(ids[0]));
}
