use super::*;
use crate::header::Header;
use crate::identity::{Context, RowKind};
use crate::layout::{PageOrder, StoredLayer};
use crate::page::{Dtype, PageBuf, PageShape};
use crate::storage::Disk;
use crate::testing::{Fault, SimDisk, Unsynced};

const SHAPE: PageShape = PageShape { n_kv_heads: 1, head_dim: 4 };
const ROOT: &str = "/kv";
const CACHE: u64 = 1 << 20;

pub(super) fn spec(seed: u32, order: PageOrder) -> SegmentSpec {
    let context = Context {
        weights: [1; 32],
        tokenizer: [2; 32],
        header: "Answer from the documents.",
        document_header: "Report",
        numerics: "int8-2",
    };
    SegmentSpec {
        context: context.id(),
        row_kind: RowKind::Isolated,
        dtype: Dtype::Int8,
        order,
        layers: [2, 5].map(|layer| StoredLayer { layer, shape: SHAPE, first_page: 0 }).into(),
        tokens: (0..70).map(|at| seed * 1_000 + at).collect(),
    }
}

pub(super) fn rows(layer: u32, page: u64) -> PageBuf {
    let mut rows = PageBuf::new(SHAPE, Dtype::Int8);
    for slot in 0..if page == 0 { 64 } else { 6 } {
        let at = (u64::from(layer) * 100 + page * 10) as f32 + slot as f32;
        rows.write_row(slot, &[at, 1.0, -at, 0.5], &[2.0, at, 0.0, 1.0]).unwrap();
    }
    rows
}

pub(super) fn write(store: &Store, spec: SegmentSpec) -> Result<SegmentId> {
    let mut writer = store.create(spec)?;
    // Against the order of the file.
    for (layer, page) in [(5, 1), (2, 0), (5, 0), (2, 1)] {
        writer.push_page(layer, page, &rows(layer, page))?;
    }
    writer.finish()
}

fn sim(disk: &SimDisk) -> Result<Store> {
    Store::open(Arc::new(disk.clone()), Path::new(ROOT), CACHE)
}

fn on_disk() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Arc::new(Disk), &folder.path().join("kv"), CACHE).unwrap();
    (folder, store)
}

#[test]
fn pages_come_back_bit_for_bit_in_a_new_process_by_one_read() {
    for order in [PageOrder::PageMajor, PageOrder::LayerMajor] {
        let (folder, store) = on_disk();
        let id = write(&store, spec(1, order)).unwrap();
        let store = Store::open(Arc::new(Disk), &folder.path().join("kv"), CACHE).unwrap();
        let segment = store.open_segment(&id).unwrap().unwrap();
        assert_eq!((segment.tokens(), segment.order()), (&spec(1, order).tokens[..], order));
        assert_eq!((segment.n_pages(), segment.used_slots(0), segment.used_slots(1)), (2, 64, 6));
        let (before, opened) = (store.counters(), segment.bytes_read());
        assert_eq!(opened, before.bytes_read, "another store's reads are not this one's");
        let pages = segment.pages(&[2, 5], &[0, 1]).unwrap();
        let read = store.counters();
        assert_eq!(read.reads - before.reads, 1, "all pages lie together");
        assert_eq!(segment.bytes_read() - opened, read.bytes_read - before.bytes_read);
        assert_eq!(read.bytes_read - before.bytes_read, 4 * SHAPE.page_bytes(Dtype::Int8) as u64);
        for (page, (layer, at)) in pages.iter().zip([(2, 0), (2, 1), (5, 0), (5, 1)]) {
            assert_eq!(**page, rows(layer, at));
            assert!(Arc::ptr_eq(page, &segment.page(layer, at).unwrap()));
        }
        assert_eq!((store.counters().reads, store.counters().cache_hits), (read.reads, 4));
        assert!(matches!(segment.page(3, 0), Err(KvError::NoSuchPage { layer: 3, .. })));
        assert!(matches!(segment.page(2, 2), Err(KvError::NoSuchPage { page: 2, .. })));
        assert!(store.verify(&id).unwrap());
        assert_eq!(store.list().unwrap(), [Listed { id, bytes: segment.file_bytes() }]);
    }
}

#[test]
fn any_flipped_byte_is_damage() {
    let disk = SimDisk::default();
    let store = sim(&disk).unwrap();
    let id = write(&store, spec(1, PageOrder::PageMajor)).unwrap();
    let file = disk.open(&store.shared.segment_path(&id)).unwrap();
    let mut byte = [0];
    for at in 0..file.len().unwrap() {
        file.read_at(at, &mut byte).unwrap();
        file.write_at(at, &[byte[0] ^ 0x04]).unwrap();
        let error = store.verify(&id).unwrap_err();
        assert!(error.is_damage(), "byte {at}: {error}");
        assert_eq!(error.damaged_segment(), Some(id), "byte {at}: {error}");
        file.write_at(at, &byte).unwrap();
    }
    assert!(store.verify(&id).unwrap());
}

#[test]
fn any_cut_or_lengthened_file_is_damage() {
    let (_folder, store) = on_disk();
    let id = write(&store, spec(1, PageOrder::PageMajor)).unwrap();
    let path = store.shared.segment_path(&id);
    let good = std::fs::read(&path).unwrap();
    for len in (0..good.len()).step_by(61) {
        std::fs::write(&path, &good[..len]).unwrap();
        assert!(store.open_segment(&id).unwrap_err().is_damage(), "cut to {len} bytes");
    }
    std::fs::write(&path, [&good[..], &[0]].concat()).unwrap();
    assert!(matches!(store.open_segment(&id), Err(KvError::FileLength { .. })));
}

#[test]
fn a_file_cut_while_open_is_an_error() {
    let (_folder, store) = on_disk();
    let id = write(&store, spec(1, PageOrder::PageMajor)).unwrap();
    let segment = store.open_segment(&id).unwrap().unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(store.shared.segment_path(&id)).unwrap();
    file.set_len(segment.file_bytes() - 10).unwrap();
    assert!(matches!(segment.page(5, 1), Err(KvError::Truncated { got: 1014, .. })));
    assert!(segment.page(5, 0).is_ok());
}

#[test]
fn a_swapped_but_valid_file_is_refused_naming_both() {
    let (_folder, store) = on_disk();
    let [a, b] = [1, 2].map(|seed| write(&store, spec(seed, PageOrder::PageMajor)).unwrap());
    std::fs::create_dir_all(store.shared.fan_out_folder(&a)).unwrap();
    std::fs::copy(store.shared.segment_path(&b), store.shared.segment_path(&a)).unwrap();
    let error = store.open_segment(&a).unwrap_err();
    assert!(
        matches!(error, KvError::WrongSegment { expected, got, .. } if (expected, got) == (a, b)),
        "{error}"
    );
    assert!(error.to_string().contains(&a.to_string()) && error.to_string().contains(&b.to_string()));
}

#[test]
fn forged_tokens_and_forged_rows_are_refused() {
    let (_folder, store) = on_disk();
    let id = write(&store, spec(1, PageOrder::PageMajor)).unwrap();
    let path = store.shared.segment_path(&id);
    let good = std::fs::read(&path).unwrap();
    let layout = Header::decode(&path, &good, good.len() as u64).unwrap().layout;
    let seal = |bytes: &mut [u8], from: u64, end: u64| {
        let end = end as usize;
        let checksum = crate::checksum::Checksum::of(&bytes[from as usize..end - 16]);
        bytes[end - 16..end].copy_from_slice(&checksum.0);
    };
    let mut bytes = good.clone();
    bytes[layout.tokens_at() as usize] ^= 1;
    seal(&mut bytes, layout.tokens_at(), layout.directory_at());
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(store.open_segment(&id), Err(KvError::Identity { .. })));

    // A NaN scale in page (2, 0), and a row past the last token in page (5, 1), under right checksums.
    for (layer, page, at) in [(2, 0, 256 + 3), (5, 1, 63)] {
        let span = layout.page(layer, page).unwrap();
        let mut bytes = good.clone();
        let start = span.offset as usize;
        bytes[start + at - 3..=start + at].copy_from_slice(&f32::NAN.to_le_bytes());
        let checksum = crate::checksum::Checksum::of(&bytes[start..start + span.length as usize]);
        let entry = layout.directory_at() as usize + span.entry as usize * 32;
        bytes[entry + 16..entry + 32].copy_from_slice(&checksum.0);
        seal(&mut bytes, layout.directory_at(), layout.directory_end());
        std::fs::write(&path, &bytes).unwrap();
        let segment = store.open_segment(&id).unwrap().unwrap();
        let error = segment.page(layer, page).unwrap_err();
        assert!(matches!(error, KvError::PageContent { .. }), "{error}");
    }
}

#[test]
fn the_writer_refuses_what_its_spec_does_not_say() {
    let disk = SimDisk::default();
    let store = sim(&disk).unwrap();
    let mut writer = store.create(spec(1, PageOrder::PageMajor)).unwrap();
    let other = PageBuf::new(PageShape { n_kv_heads: 2, head_dim: 4 }, Dtype::Int8);
    assert!(matches!(writer.push_page(2, 0, &other), Err(KvError::PageKind { .. })));
    assert!(matches!(
        writer.push_page(2, 0, &PageBuf::new(SHAPE, Dtype::F32)),
        Err(KvError::PageKind { .. })
    ));
    assert!(matches!(writer.push_page(2, 2, &rows(2, 0)), Err(KvError::NoSuchPage { .. })));
    assert!(matches!(writer.push_page(2, 1, &rows(2, 0)), Err(KvError::UnusedSlots { .. })));
    writer.push_page(2, 1, &rows(2, 1)).unwrap();
    assert!(matches!(writer.push_page(2, 1, &rows(2, 1)), Err(KvError::PushedTwice { .. })));
    let error = writer.finish().unwrap_err();
    assert!(matches!(error, KvError::PagesMissing { layer: 2, page: 0, n_missing: 3, .. }), "{error}");
    assert!(disk.list(&Path::new(ROOT).join("tmp")).unwrap().is_empty(), "nothing is left");
    assert!(store.list().unwrap().is_empty());
    let none = SegmentSpec { tokens: Vec::new(), ..spec(1, PageOrder::PageMajor) };
    assert!(matches!(store.create(none), Err(KvError::Spec { .. })));
}

#[test]
fn what_is_set_aside_is_not_served_and_removal_frees_it() {
    let (_folder, store) = on_disk();
    let id = write(&store, spec(1, PageOrder::PageMajor)).unwrap();
    let bytes = store.open_segment(&id).unwrap().unwrap().file_bytes();
    store.open_segment(&id).unwrap().unwrap().page(2, 0).unwrap();
    assert!(store.set_aside(&id, "Checksum: layer 2/../..").unwrap());
    assert!(store.open_segment(&id).unwrap().is_none() && store.list().unwrap().is_empty());
    assert_eq!(store.counters().cache_bytes, 0);
    let (path, _) = store.quarantined().unwrap().remove(0);
    assert!(path.ends_with(format!("quarantine/{id}.checksum--layer-2------.kv")), "{}", path.display());
    assert!(!store.set_aside(&id, "again").unwrap() && !store.verify(&id).unwrap());
    write(&store, spec(1, PageOrder::PageMajor)).unwrap();
    assert_eq!(store.remove(&id).unwrap(), 2 * bytes);
    assert!(store.quarantined().unwrap().is_empty() && store.list().unwrap().is_empty());
    assert_eq!(store.remove(&id).unwrap(), 0);
}

#[test]
fn many_threads_read_through_a_cache_of_two_pages() {
    let folder = tempfile::tempdir().unwrap();
    let budget = 2 * SHAPE.page_bytes(Dtype::Int8) as u64;
    let store = Store::open(Arc::new(Disk), &folder.path().join("kv"), budget).unwrap();
    let id = write(&store, spec(1, PageOrder::LayerMajor)).unwrap();
    let segment = store.open_segment(&id).unwrap().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8u32 {
            let (segment, store) = (&segment, &store);
            scope.spawn(move || {
                for round in 0..200 {
                    let (layer, page) = ([2, 5][((thread + round) % 2) as usize], u64::from(round / 2 % 2));
                    assert_eq!(*segment.page(layer, page).unwrap(), rows(layer, page));
                    assert_eq!(*segment.pages(&[5, 2], &[1]).unwrap()[1], rows(2, 1));
                    assert!(store.counters().cache_bytes <= budget);
                }
            });
        }
    });
    let counters = store.counters();
    assert_eq!(counters.cache_hits + counters.cache_misses, 8 * 200 * 3);
}

/// Every point at which the power can go during `act`, and every way the unsynced can end.
fn cut_everywhere(
    prepare: impl Fn(&Store),
    act: impl Fn(&Store) -> Result<()>,
    check: impl Fn(&Store, bool, &str),
) {
    let prepared = || {
        let disk = SimDisk::default();
        let store = sim(&disk).unwrap();
        prepare(&store);
        (disk, store)
    };
    let (disk, store) = prepared();
    let start = disk.n_operations();
    act(&store).unwrap();
    let end = disk.n_operations();
    assert!(end > start);
    let cuts = (start..=end).flat_map(|at| [Fault::CutBefore(at), Fault::CutAfter(at)]);
    for cut in cuts {
        let (disk, store) = prepared();
        disk.arm(cut);
        let acknowledged = act(&store).is_ok();
        drop(store);
        let ends = [Unsynced::Vanishes, Unsynced::Survives].into_iter().chain((0..24).map(Unsynced::Drawn));
        for unsynced in ends {
            let what = format!("{cut:?} {unsynced:?} acknowledged {acknowledged}");
            let disk = disk.power_on(unsynced);
            let store = sim(&disk).unwrap();
            check(&store, acknowledged, &what);
            assert!(disk.list(&Path::new(ROOT).join("tmp")).unwrap().is_empty(), "{what}");
            // And the same work done again ends well.
            let _ = act(&store);
            let again = sim(&disk.power_on(Unsynced::Vanishes)).unwrap();
            check(&again, true, &what);
        }
    }
}

#[test]
fn power_cut_at_every_operation_of_creation() {
    let id = spec(1, PageOrder::PageMajor).id();
    let other = spec(2, PageOrder::PageMajor).id();
    cut_everywhere(
        |store| assert!(write(store, spec(2, PageOrder::PageMajor)).is_ok()),
        |store| write(store, spec(1, PageOrder::PageMajor)).map(drop),
        |store, acknowledged, what| {
            let there = store.verify(&id).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(there || !acknowledged, "{what}");
            assert!(store.verify(&other).unwrap(), "{what}");
            assert_eq!(store.list().unwrap().len(), 1 + usize::from(there), "{what}");
        },
    );
}

/// The file of segment 1, as another store wrote it.
fn written_elsewhere() -> (SegmentId, Vec<u8>) {
    let (_folder, store) = on_disk();
    let id = write(&store, spec(1, PageOrder::PageMajor)).unwrap();
    let mut bytes = Vec::new();
    let segment = store.open_segment(&id).unwrap().unwrap();
    io::Read::read_to_end(&mut segment.into_file(), &mut bytes).unwrap();
    (id, bytes)
}

#[test]
fn a_copied_segment_is_served_and_a_damaged_copy_leaves_nothing() {
    let (id, good) = written_elsewhere();
    let (folder, store) = on_disk();
    for at in (0..good.len()).step_by(97) {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        assert!(
            store.copy_in(&id, bytes.len() as u64, &mut &bytes[..]).unwrap_err().is_damage(),
            "byte {at}"
        );
        let cut = store.copy_in(&id, good.len() as u64, &mut &good[..at]).unwrap_err();
        assert!(cut.is_damage(), "cut at {at}: {cut}");
    }
    let other = spec(2, PageOrder::PageMajor).id();
    let wrong = store.copy_in(&other, good.len() as u64, &mut &good[..]).unwrap_err();
    assert!(matches!(wrong, KvError::WrongSegment { .. }), "{wrong}");
    assert!(store.list().unwrap().is_empty());
    assert!(std::fs::read_dir(folder.path().join("kv/tmp")).unwrap().next().is_none());

    store.copy_in(&id, good.len() as u64, &mut &good[..]).unwrap();
    assert!(store.verify(&id).unwrap());
    assert_eq!(*store.open_segment(&id).unwrap().unwrap().page(5, 1).unwrap(), rows(5, 1));
}

#[test]
fn a_forged_copy_does_not_replace_a_sound_segment_but_a_good_one_replaces_a_damaged_one() {
    let (id, good) = written_elsewhere();
    let (_folder, forger) = on_disk();
    let mut writer = forger.create(spec(1, PageOrder::PageMajor)).unwrap();
    for (layer, page) in [(2, 0), (2, 1), (5, 0), (5, 1)] {
        writer.push_page(layer, page, &rows(layer + 1, page)).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), id, "the identity does not cover the rows");
    let mut forged = Vec::new();
    io::Read::read_to_end(&mut forger.open_segment(&id).unwrap().unwrap().into_file(), &mut forged).unwrap();
    assert!(forged != good && forged.len() == good.len());

    let (_folder, store) = on_disk();
    write(&store, spec(1, PageOrder::PageMajor)).unwrap();
    let mut behind = forged.clone();
    behind.push(7);
    let mut from = &behind[..];
    store.copy_in(&id, forged.len() as u64, &mut from).unwrap();
    assert_eq!(from, [7], "the copy was read to its end");
    let path = store.shared.segment_path(&id);
    assert!(std::fs::read(&path).unwrap() == good);

    std::fs::write(&path, &good[..good.len() - 1]).unwrap();
    store.copy_in(&id, good.len() as u64, &mut &good[..]).unwrap();
    assert!(std::fs::read(&path).unwrap() == good);
}

#[test]
fn power_cut_at_every_operation_of_copying_in() {
    let (id, bytes) = written_elsewhere();
    cut_everywhere(
        |_| (),
        |store| store.copy_in(&id, bytes.len() as u64, &mut &bytes[..]),
        |store, acknowledged, what| {
            let there = store.verify(&id).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(there || !acknowledged, "{what}");
        },
    );
}

#[test]
fn power_cut_at_every_operation_of_the_first_open() {
    let mut at = 0;
    loop {
        let disk = SimDisk::default();
        disk.arm(Fault::CutAfter(at));
        let opened = sim(&disk).is_ok();
        for seed in 0..24 {
            let disk = disk.power_on(Unsynced::Drawn(seed));
            let id = write(&sim(&disk).unwrap(), spec(1, PageOrder::PageMajor)).unwrap();
            let store = sim(&disk.power_on(Unsynced::Vanishes)).unwrap();
            assert!(store.verify(&id).unwrap(), "cut after {at}, seed {seed}");
        }
        if opened {
            break;
        }
        at += 1;
    }
}

#[test]
fn power_cut_at_every_operation_of_setting_aside() {
    let id = spec(1, PageOrder::PageMajor).id();
    cut_everywhere(
        |store| assert!(write(store, spec(1, PageOrder::PageMajor)).is_ok()),
        |store| store.set_aside(&id, "damaged").map(drop),
        |store, acknowledged, what| {
            let served = store.verify(&id).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(!(served && acknowledged), "{what}: set aside but served");
            assert!(served || store.quarantined().unwrap().len() == 1, "{what}: lost");
        },
    );
}

#[test]
fn power_cut_at_every_operation_of_removal() {
    let (id, other) = (spec(1, PageOrder::PageMajor).id(), spec(2, PageOrder::PageMajor).id());
    cut_everywhere(
        |store| {
            write(store, spec(1, PageOrder::PageMajor)).unwrap();
            store.set_aside(&id, "damaged").unwrap();
            write(store, spec(1, PageOrder::PageMajor)).unwrap();
            write(store, spec(2, PageOrder::PageMajor)).unwrap();
        },
        |store| store.remove(&id).map(drop),
        |store, acknowledged, what| {
            let there = store.verify(&id).unwrap_or_else(|error| panic!("{what}: {error}"));
            let kept = there || !store.quarantined().unwrap().is_empty();
            assert!(!(kept && acknowledged), "{what}: removed but there");
            assert!(store.verify(&other).unwrap(), "{what}");
        },
    );
}

#[test]
fn a_full_disk_at_any_operation_leaves_nothing_half_made() {
    let id = spec(1, PageOrder::PageMajor).id();
    let disk = SimDisk::default();
    let store = sim(&disk).unwrap();
    let start = disk.n_operations();
    write(&store, spec(1, PageOrder::PageMajor)).unwrap();
    for at in start..disk.n_operations() {
        let disk = SimDisk::default();
        let store = sim(&disk).unwrap();
        disk.arm(Fault::Error(at, io::ErrorKind::StorageFull));
        let error = write(&store, spec(1, PageOrder::PageMajor)).unwrap_err();
        assert!(matches!(error, KvError::Io { .. }) && !error.is_damage(), "{error}");
        assert!(disk.list(&Path::new(ROOT).join("tmp")).unwrap().is_empty(), "operation {at}");
        store.verify(&id).unwrap();
        write(&store, spec(1, PageOrder::PageMajor)).unwrap();
        assert!(store.verify(&id).unwrap());
    }
}

/// A file of version 3 as it was first written. `KV_WRITE_GOLDEN=1` writes it anew, for a new version only.
#[test]
fn the_golden_segment_still_opens_and_is_still_written() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v3-int8.kv");
    let (_folder, store) = on_disk();
    let mut spec = spec(1, PageOrder::PageMajor);
    // No part of the identity's text form but the bytes themselves is pinned here.
    spec.context = crate::identity::ContextId([3; 32]);
    let id = write(&store, spec.clone()).unwrap();
    let path = store.shared.segment_path(&id);
    if std::env::var_os("KV_WRITE_GOLDEN").is_some() {
        std::fs::copy(&path, &golden).unwrap();
    }
    assert!(
        std::fs::read(&path).unwrap() == std::fs::read(&golden).unwrap(),
        "the bytes written have changed"
    );
    std::fs::copy(&golden, &path).unwrap();
    let segment = store.open_segment(&id).unwrap().unwrap();
    assert_eq!(segment.tokens(), spec.tokens);
    let (mut k, mut v) = ([0.0; 4], [0.0; 4]);
    segment.page(5, 1).unwrap().read_row(5, &mut k, &mut v);
    // Row 5 of layer 5 page 1 was [515, 1, -515, 0.5] and [2, 515, 0, 1]: one step is 515 / 127.
    assert_eq!((k, v), ([515.0, 0.0, -515.0, 0.0], [0.0, 515.0, 0.0, 0.0]));
}
