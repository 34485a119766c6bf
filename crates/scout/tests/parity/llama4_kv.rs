//! Stored rows of Llama 4: what a segment keeps, and that a set of segments is a set.

use crate::golden::{flat, open};
use kv::{Disk, Segment, SegmentId, Store};
use scout::{Bare, Batch, Engine, Numerics, Step};
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| open(&model(), Numerics::Fast));
static BARE: LazyLock<Bare> = LazyLock::new(|| Bare::open(&model(), Numerics::Fast).unwrap());

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/recall")
}

/// splitmix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn shuffle<T>(items: &mut [T], state: &mut u64) {
    for i in (1..items.len()).rev() {
        items.swap(i, (random(state) % (i as u64 + 1)) as usize);
    }
}

/// Segments of `n` parts of different lengths.
fn write_segments(root: &Path, n: u64) -> Vec<SegmentId> {
    let store = Store::open(Arc::new(Disk), root, 1 << 20).unwrap();
    let part = |seed: u64| {
        let mut state = seed;
        let len = 40 + random(&mut state) % 150;
        let ids: Vec<u32> = (0..len).map(|_| 32 + (random(&mut state) % 90) as u32).collect();
        let pages = ENGINE.prefill_part(&ids, &mut |_| ControlFlow::Continue(())).unwrap();
        let spec = ENGINE.segment_spec(ENGINE.part_context("title"), ids);
        let mut writer = store.create(spec).unwrap();
        for (layer, pages) in ENGINE.stored_layers().iter().zip(&pages.pages) {
            for (page, rows) in pages.iter().enumerate() {
                writer.push_page(*layer, page as u64, rows).unwrap();
            }
        }
        writer.finish().unwrap()
    };
    (0..n).map(part).collect()
}

fn logits(store: &Store, ids: &[SegmentId], question: &[u32]) -> Vec<f32> {
    let segments: Vec<Segment> = ids.iter().map(|id| store.open_segment(id).unwrap().unwrap()).collect();
    let mut sequence = ENGINE.sequence().unwrap();
    sequence.stream(segments, &[]).unwrap();
    let last = question.len() - 1..question.len();
    let step = Step { sequence: &mut sequence, ids: question, logits: last, mass: None };
    flat(&ENGINE.step(&mut [step]).unwrap().logits)
}

/// The same on the caller's pool of threads, behind no header.
fn bare_logits(store: &Store, ids: &[SegmentId], question: &[u32]) -> Vec<f32> {
    let segments: Vec<Segment> = ids.iter().map(|id| store.open_segment(id).unwrap().unwrap()).collect();
    let mut sequence = BARE.sequence();
    sequence.stream(segments, &[]).unwrap();
    let last = question.len() - 1..question.len();
    let batch = Batch { sequence: &mut sequence, ids: question, logits: last, mass: None, cancel: None };
    flat(&BARE.forward(&mut [batch]).unwrap())
}

#[test]
fn a_segment_keeps_the_layers_that_see_everything() {
    assert_eq!(ENGINE.stored_layers(), [3, 7]);
    let folder = tempfile::tempdir().unwrap();
    let id = write_segments(folder.path(), 1)[0];
    let segment = Store::open(Arc::new(Disk), folder.path(), 0).unwrap().open_segment(&id).unwrap().unwrap();
    let layers: Vec<u32> = segment.layers().iter().map(|stored| stored.layer).collect();
    assert_eq!(layers, [3, 7]);
    assert_eq!(segment.order(), kv::PageOrder::LayerMajor);
}

/// A thousand listings of eight subsets, on pools of one to four threads, with stores opened anew in between.
#[test]
fn a_subset_of_segments_gives_the_same_bits_however_it_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let all = write_segments(folder.path(), 12);
    let question: Vec<u32> = (0..9).map(|i| 40 + 7 * i).collect();
    let pools: Vec<_> =
        (1..=4).map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap()).collect();
    let mut state = 1;
    let subsets: Vec<Vec<SegmentId>> = (0..8)
        .map(|_| {
            let mut subset = all.clone();
            shuffle(&mut subset, &mut state);
            subset.truncate(3 + (random(&mut state) % 9) as usize);
            subset
        })
        .collect();
    let mut store = Store::open(Arc::new(Disk), folder.path(), 1 << 22).unwrap();
    let expected: Vec<Vec<f32>> =
        subsets.iter().map(|subset| bare_logits(&store, subset, &question)).collect();
    assert!(expected.iter().enumerate().all(|(i, a)| expected[..i].iter().all(|b| a != b)), "subsets differ");
    for round in 0..1_000 {
        if round % 50 == 0 {
            store =
                Store::open(Arc::new(Disk), folder.path(), [0, 1 << 18, 1 << 22][round / 50 % 3]).unwrap();
        }
        let which = (random(&mut state) % 8) as usize;
        let mut listed = subsets[which].clone();
        shuffle(&mut listed, &mut state);
        let got = pools[round % 4].install(|| bare_logits(&store, &listed, &question));
        assert!(got == expected[which], "round {round}, subset {which}");
    }
}

/// Sequences that share a stream walk it together; what each is told does not depend on the others.
#[test]
fn sequences_on_one_stream_give_the_bits_they_give_alone() {
    let folder = tempfile::tempdir().unwrap();
    let all = write_segments(folder.path(), 5);
    let store = Store::open(Arc::new(Disk), folder.path(), 1 << 22).unwrap();
    let questions: Vec<Vec<u32>> =
        (1..40).map(|n| (0..1 + n % 7).map(|i| 33 + (n * 13 + i * 5) % 90).collect()).collect();
    let segments = all.iter().map(|id| store.open_segment(id).unwrap().unwrap()).collect();
    let mut shared = ENGINE.sequence().unwrap();
    shared.stream(segments, &[]).unwrap();
    let mut sequences: Vec<_> = questions.iter().map(|_| shared.fork()).collect();
    let mut steps: Vec<Step<'_>> = sequences
        .iter_mut()
        .zip(&questions)
        .map(|(sequence, ids)| Step { sequence, ids, logits: ids.len() - 1..ids.len(), mass: None })
        .collect();
    let together = flat(&ENGINE.step(&mut steps).unwrap().logits);
    let alone: Vec<f32> = questions.iter().flat_map(|question| logits(&store, &all, question)).collect();
    assert!(together == alone);
}

#[test]
fn hidden_rows_are_not_seen_and_the_mass_falls_on_others() {
    let folder = tempfile::tempdir().unwrap();
    let all = write_segments(folder.path(), 3);
    let store = Store::open(Arc::new(Disk), folder.path(), 1 << 22).unwrap();
    let ask = |hidden: &[(SegmentId, std::ops::Range<u64>)]| {
        let segments = all.iter().map(|id| store.open_segment(id).unwrap().unwrap()).collect();
        let mut sequence = ENGINE.sequence().unwrap();
        let stream = sequence.stream(segments, hidden).unwrap();
        let step = Step { sequence: &mut sequence, ids: &[65, 66], logits: 1..2, mass: Some((0..2, 0..8)) };
        let decoded = ENGINE.step(&mut [step]).unwrap();
        (decoded.stream_mass[0].clone(), stream)
    };
    let (mass, _) = ask(&[]);
    assert!(mass.values().flatten().sum::<f32>() > 0.0);
    let (mass, stream) = ask(&[(all[1], 10..70)]);
    assert!(mass.values().flatten().sum::<f32>() > 0.0);
    for (page, slots) in &mass {
        let (segment, page) = stream.locate(*page);
        for (slot, value) in slots.iter().enumerate() {
            let at = page * 64 + slot as u64;
            let hidden = stream.segments()[segment].id() == all[1] && (10..70).contains(&at);
            assert!(!hidden || *value == 0.0, "token {at} has {value}");
        }
    }
}
