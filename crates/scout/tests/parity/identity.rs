//! The fast path gives a token the same bits however it was computed: alone, in a batch, in any split, on any number
//! of threads, over live pages or over pages that were written to disk and read back.

use crate::golden::{fixture, flat, open};
use kv::{Disk, Dtype, PAGE_TOKENS, PageBuf, Store};
use proptest::prelude::*;
use scout::{Arithmetic, Bare, Engine, Error, Numerics, PartPages, Sequence, Stage, Step};
use std::{
    ops::ControlFlow,
    sync::{Arc, LazyLock},
};

const N_TOKENS: usize = 150;

/// Opened once: all tests of this file share one process under `cargo test`, and are cheap to open without it.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| open(&fixture("gguf/quantised.gguf"), Numerics::Fast));

/// Reproducible ids that are no special tokens.
pub fn some_ids(n: usize, seed: u32) -> Vec<u32> {
    (0..n as u32).map(|i| 3 + (i.wrapping_mul(2_654_435_761).wrapping_add(seed * 977) >> 7) % 256).collect()
}

fn step(sequence: &mut Sequence, ids: &[u32]) -> Vec<f32> {
    let steps = &mut [Step { sequence, ids, logits: 0..ids.len(), mass: None }];
    flat(&ENGINE.step(steps).unwrap().logits)
}

fn in_one_go(ids: &[u32]) -> Vec<f32> {
    step(&mut ENGINE.sequence().unwrap(), ids)
}

/// Bits, so that -0.0 and 0.0 differ; prints a row instead of all values when they do not agree.
fn assert_same_bits(got: &[f32], expected: &[f32], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}: number of logits");
    let differs = got.iter().zip(expected).position(|(a, b)| a.to_bits() != b.to_bits());
    if let Some(at) = differs {
        let vocab = ENGINE.config().vocab;
        panic!("{what}: row {} id {}: {:e}, expected {:e}", at / vocab, at % vocab, got[at], expected[at]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_split_gives_the_same_bits(mut cuts in prop::collection::vec(1..N_TOKENS, 0..6), seed in 0u32..1000) {
        let ids = some_ids(N_TOKENS, seed);
        cuts.extend([0, N_TOKENS]);
        cuts.sort_unstable();
        let mut sequence = ENGINE.sequence().unwrap();
        let logits: Vec<f32> =
            cuts.windows(2).flat_map(|cut| step(&mut sequence, &ids[cut[0]..cut[1]])).collect();
        assert_same_bits(&logits, &in_one_go(&ids), "split");
    }

    #[test]
    fn any_batch_gives_the_same_bits(lens in prop::collection::vec(1..N_TOKENS, 2..5), seed in 0u32..1000) {
        let all_ids: Vec<Vec<u32>> = (seed..).zip(&lens).map(|(seed, &len)| some_ids(len, seed)).collect();
        let mut sequences: Vec<Sequence> = lens.iter().map(|_| ENGINE.sequence().unwrap()).collect();
        let mut steps: Vec<Step<'_>> = sequences
            .iter_mut()
            .zip(&all_ids)
            .map(|(sequence, ids)| Step { sequence, ids, logits: 0..ids.len(), mass: None })
            .collect();
        let together = flat(&ENGINE.step(&mut steps).unwrap().logits);
        let alone: Vec<f32> = all_ids.iter().flat_map(|ids| in_one_go(ids)).collect();
        assert_same_bits(&together, &alone, "batch");
    }
}

#[test]
fn decoding_one_by_one_gives_the_same_bits() {
    let ids = some_ids(N_TOKENS, 1);
    let mut sequence = ENGINE.sequence().unwrap();
    let logits: Vec<f32> = ids.iter().flat_map(|&id| step(&mut sequence, &[id])).collect();
    assert_same_bits(&logits, &in_one_go(&ids), "one by one");
}

#[test]
fn asking_for_fewer_rows_or_for_mass_gives_the_same_bits() {
    let (ids, vocab) = (some_ids(N_TOKENS, 2), ENGINE.config().vocab);
    let mut sequence = ENGINE.sequence().unwrap();
    let layers = 0..ENGINE.config().n_layers;
    let decoding = ENGINE
        .step(&mut [Step {
            sequence: &mut sequence,
            ids: &ids,
            logits: 70..72,
            mass: Some((60..N_TOKENS, layers)),
        }])
        .unwrap();
    assert_same_bits(&flat(&decoding.logits), &in_one_go(&ids)[70 * vocab..72 * vocab], "two rows with mass");
    let mass: f32 = decoding.mass[0].iter().sum();
    assert!((mass - 1.0).abs() < 1e-4, "the softmax weights of all slots add up to {mass}");
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let ids = some_ids(N_TOKENS, 3);
    // An engine's passes run on the process's pool; a bare checkpoint's run where they are asked for.
    let bare = Bare::open(&fixture("gguf/quantised.gguf"), Numerics::Fast).unwrap();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (flat(&bare.logits(&ids).unwrap()), part_bytes(&prefill(&ids))))
    };
    let (logits, pages) = on(1);
    for threads in [2, 3, 5] {
        let (other_logits, other_pages) = on(threads);
        assert_same_bits(&other_logits, &logits, "threads");
        assert!(other_pages == pages, "pages prefilled on {threads} threads differ");
    }
}

/// What a part's rows are does not depend on the tiles it was prefilled in, nor on what was prefilled before.
#[test]
fn a_part_longer_than_a_tile_has_the_pages_of_its_tokens() {
    let ids = some_ids(700, 4);
    let part = prefill(&ids);
    assert_eq!(part.n_tokens, 700);
    let mut sequence = ENGINE.sequence().unwrap();
    for chunk in ids.chunks(97) {
        step(&mut sequence, chunk);
    }
    let (pages, n_tokens) = sequence.into_tail();
    assert!(part_bytes(&PartPages { pages, n_tokens }) == part_bytes(&part));
}

#[test]
fn pages_read_back_from_a_segment_give_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let question = some_ids(9, 5);
    for n_tokens in [1, PAGE_TOKENS - 1, PAGE_TOKENS, PAGE_TOKENS + 1, N_TOKENS] {
        let ids = some_ids(n_tokens, 6);
        let (part, root) = (prefill(&ids), folder.path().join(n_tokens.to_string()));
        let id = write_segment(&root, &ids, &part);

        // A store opened anew has an empty cache: what comes back was on disk.
        let store = Store::open(Arc::new(Disk), &root, 1 << 20).unwrap();
        let segment = store.open_segment(&id).unwrap().unwrap();
        let mut reloaded = ENGINE.sequence().unwrap();
        for page in 0..n_tokens.div_ceil(PAGE_TOKENS) {
            let pages: Vec<Arc<PageBuf>> = (0..ENGINE.config().n_layers)
                .map(|layer| segment.page(layer as u32, page as u64).unwrap())
                .collect();
            reloaded.compose(pages, 0..PAGE_TOKENS.min(n_tokens - page * PAGE_TOKENS), computed_at(page));
        }
        assert!(store.counters().reads > 0, "nothing was read from disk");

        let from_disk = step(&mut reloaded, &question);
        assert_same_bits(&from_disk, &step(&mut composed(part), &question), "reloaded pages");
    }
}

/// Composing a part of whole pages is the same as having just read it: same positions, same page borders. The header
/// fills no whole page, but it is a stretch of its own in both.
#[test]
fn a_part_composed_behind_the_header_is_a_part_just_read() {
    let (ids, question) = (some_ids(2 * PAGE_TOKENS, 7), some_ids(9, 8));
    let mut just_read = ENGINE.sequence().unwrap();
    step(&mut just_read, &ids);
    let mut composed = composed(prefill(&ids));
    assert_eq!(composed.next_pos(), just_read.next_pos());
    assert_same_bits(&step(&mut composed, &question), &step(&mut just_read, &question), "composed");
}

/// A branch of a sequence sees what the sequence sees and leaves it as it was.
#[test]
fn a_fork_gives_the_same_bits_and_leaves_the_original_alone() {
    let (ids, more) = (some_ids(70, 9), some_ids(5, 10));
    let mut sequence = ENGINE.sequence().unwrap();
    step(&mut sequence, &ids);
    let mut fork = sequence.fork();
    let branch = step(&mut fork, &more);
    step(&mut fork, &some_ids(30, 11));
    assert_same_bits(&step(&mut sequence, &more), &branch, "fork");
}

fn prefill(ids: &[u32]) -> PartPages {
    ENGINE.prefill_part(ids, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// The bytes of all pages, `[n_layers][pages]`.
fn part_bytes(part: &PartPages) -> Vec<Vec<Vec<u8>>> {
    part.pages.iter().map(|layer| layer.iter().map(|page| page.as_bytes().to_vec()).collect()).collect()
}

/// Where the first slot of a part's page stood.
fn computed_at(page: usize) -> u64 {
    (ENGINE.header().ids.len() + page * PAGE_TOKENS) as u64
}

/// A sequence of the header and the part's live pages.
fn composed(part: PartPages) -> Sequence {
    let n_tokens = part.n_tokens as usize;
    let layers: Vec<Vec<Arc<PageBuf>>> =
        part.pages.into_iter().map(|pages| pages.into_iter().map(Arc::new).collect()).collect();
    let mut sequence = ENGINE.sequence().unwrap();
    for page in 0..n_tokens.div_ceil(PAGE_TOKENS) {
        let pages = layers.iter().map(|layer| Arc::clone(&layer[page])).collect();
        sequence.compose(pages, 0..PAGE_TOKENS.min(n_tokens - page * PAGE_TOKENS), computed_at(page));
    }
    sequence
}

fn write_segment(root: &std::path::Path, ids: &[u32], part: &PartPages) -> kv::SegmentId {
    let store = Store::open(Arc::new(Disk), root, 1 << 20).unwrap();
    let spec = ENGINE.segment_spec(ENGINE.part_context("title"), ids.to_vec());
    let mut writer = store.create(spec).unwrap();
    for (layer, pages) in part.pages.iter().enumerate() {
        for (page, rows) in pages.iter().enumerate() {
            writer.push_page(layer as u32, page as u64, rows).unwrap();
        }
    }
    writer.finish().unwrap()
}

#[test]
fn other_kv_is_another_segment_and_another_split_gives_its_bits_too() {
    for dtype in [Dtype::Bf16, Dtype::K6V4] {
        same_bits_over(dtype);
    }
}

fn same_bits_over(dtype: Dtype) {
    let name = dtype.name();
    let arithmetic = Arithmetic { kv_dtype: Some(dtype), ..Numerics::Fast.into() };
    let temp = tempfile::tempdir().unwrap();
    let engine = Engine::open(&fixture("gguf/quantised.gguf"), arithmetic, temp.path(), &mut |_| ()).unwrap();
    assert_eq!(engine.kv_dtype(), dtype);
    let ids = some_ids(N_TOKENS, 9);
    let spec = |engine: &Engine| engine.segment_spec(engine.part_context("Report"), ids.clone()).id();
    assert_ne!(spec(&engine), spec(&ENGINE));
    let run = |cut: usize| {
        let mut sequence = engine.sequence().unwrap();
        let mut logits = Vec::new();
        for ids in [&ids[..cut], &ids[cut..]] {
            let step = Step { sequence: &mut sequence, ids, logits: 0..ids.len(), mass: None };
            logits.extend(flat(&engine.step(&mut [step]).unwrap().logits));
        }
        logits
    };
    let logits = run(70);
    assert_same_bits(&run(1), &logits, &format!("split over {name} pages"));
    let bare = Bare::open(&fixture("gguf/quantised.gguf"), arithmetic).unwrap();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| flat(&bare.logits(&ids).unwrap()))
    };
    assert_same_bits(&on(3), &on(1), &format!("threads over {name} pages"));
    let mut sequences = [engine.sequence().unwrap(), engine.sequence().unwrap()];
    let mut steps: Vec<Step<'_>> = sequences
        .iter_mut()
        .map(|sequence| Step { sequence, ids: &ids, logits: 0..ids.len(), mass: None })
        .collect();
    let both = flat(&engine.step(&mut steps).unwrap().logits);
    assert_same_bits(&both, &[logits.clone(), logits.clone()].concat(), &format!("batch over {name} pages"));
    assert_ne!(logits, in_one_go(&ids), "int8 KV rounds otherwise");

    let reference = Arithmetic { numerics: Numerics::Reference, ..arithmetic };
    let refused = Engine::open(&fixture("gguf/quantised.gguf"), reference, temp.path(), &mut |_| ());
    assert!(matches!(refused.err(), Some(Error::KvDtype { dtype, .. }) if dtype == name));
}

#[test]
fn a_clock_changes_no_bit_and_counts_the_operations() {
    let temp = tempfile::tempdir().unwrap();
    let path = fixture("gguf/quantised.gguf");
    let (engine, stages) = Engine::open_timed(&path, Numerics::Fast, temp.path(), &mut |_| ()).unwrap();
    let ids = some_ids(N_TOKENS, 3);
    let mut sequence = engine.empty_sequence();
    stages.take();
    let n = ids.len();
    let steps = &mut [Step { sequence: &mut sequence, ids: &ids, logits: n - 1..n, mass: None }];
    let logits = flat(&engine.step(steps).unwrap().logits);
    let mut bare = ENGINE.empty_sequence();
    let steps = &mut [Step { sequence: &mut bare, ids: &ids, logits: n - 1..n, mass: None }];
    assert_same_bits(&logits, &flat(&ENGINE.step(steps).unwrap().logits), "with a clock");

    let c = engine.config();
    let (n, dim, heads) = (n as u64, c.dim as u64, (c.n_heads * c.head_dim) as u64);
    let kv = (c.n_kv_heads * c.head_dim) as u64;
    let per_layer = dim * (heads + 2 * kv) + heads * dim + 3 * dim * c.hidden_dim as u64;
    let layers = c.n_layers as u64;
    let work = stages.take();
    let operations = |stage: Stage| work.iter().find(|(of, _)| *of == stage).unwrap().1.operations;
    assert_eq!(operations(Stage::Products), 2 * n * layers * per_layer);
    assert_eq!(operations(Stage::Head), 2 * dim * c.vocab as u64);
    // Each token sees itself and all before it; the rotation of keys counts too.
    assert_eq!(operations(Stage::Attention), layers * (heads * 4 * n * (n + 1) / 2 + kv * 3 * n));
    assert!(work.iter().all(|(_, work)| work.bytes > 0 && !work.time.is_zero()), "{work:?}");
    assert!(stages.take().iter().all(|(_, work)| work.operations == 0));
}
