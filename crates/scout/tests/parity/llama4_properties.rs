//! What must hold of chunked and NoPE layers whatever the weights, on both numeric paths.

use crate::golden::{expected, fixture, flat};
use crate::llama4::worst;
use kv::{PAGE_TOKENS, PageBuf};
use scout::{Bare, Batch, Error, Numerics, Sequence};
use std::sync::Arc;

/// Attention chunk of the tiny model.
const CHUNK: usize = 16;
const BOTH: [Numerics; 2] = [Numerics::Reference, Numerics::Fast];

fn ids() -> Vec<u32> {
    expected("llama4/tiny_scout/expected.safetensors").input_ids
}

fn open(numerics: Numerics) -> Bare {
    Bare::open(&fixture("llama4/tiny_scout"), numerics).unwrap()
}

fn in_pieces(model: &Bare, ids: &[u32], cuts: &[usize]) -> Vec<f32> {
    let (mut sequence, mut logits, mut at) = (model.sequence(), Vec::new(), 0);
    for &cut in cuts.iter().chain([&ids.len()]) {
        logits.extend(flat(&model.extend(&mut sequence, &ids[at..cut]).unwrap()));
        sequence.close_chunks();
        at = cut;
    }
    logits
}

/// Token by token over five chunks; every step drops what closed chunks held.
#[test]
fn decode_is_prefill_at_every_position_and_eviction_changes_nothing() {
    for numerics in BOTH {
        let (model, ids) = (open(numerics), ids());
        let at_once = flat(&model.logits(&ids).unwrap());
        let one_by_one: Vec<usize> = (1..ids.len()).collect();
        assert!(in_pieces(&model, &ids, &one_by_one) == at_once, "{numerics:?}");
    }
}

#[test]
fn any_split_at_a_boundary_gives_the_same_bits() {
    for numerics in BOTH {
        let (model, ids) = (open(numerics), ids());
        let at_once = flat(&model.logits(&ids).unwrap());
        for cut in [1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5, 4 * CHUNK - 1] {
            assert!(in_pieces(&model, &ids, &[cut]) == at_once, "{numerics:?}, cut at {cut}");
        }
    }
}

/// Only the pages of the open chunk are held for chunked layers.
#[test]
fn closed_chunks_are_dropped() {
    let (model, ids) = (open(Numerics::Fast), [3; 5 * PAGE_TOKENS]);
    let mut sequence = model.sequence();
    for piece in ids.chunks(PAGE_TOKENS / 2) {
        model.extend(&mut sequence, piece).unwrap();
        sequence.close_chunks();
        assert!(sequence.blocks(0).len() <= 1, "{} pages of chunked rows", sequence.blocks(0).len());
    }
    assert_eq!(sequence.blocks(3).len(), 5);
}

#[test]
fn what_a_pass_wrote_across_a_boundary_can_be_taken_back() {
    for numerics in BOTH {
        let (model, ids) = (open(numerics), ids());
        for (kept, taken_back) in [(CHUNK - 2, 9), (CHUNK, 1), (2 * CHUNK + 3, 40), (PAGE_TOKENS - 1, 5)] {
            let mut sequence = model.sequence();
            model.extend(&mut sequence, &ids[..kept]).unwrap();
            sequence.close_chunks();
            let wrong = vec![7; taken_back];
            model.extend(&mut sequence, &wrong).unwrap();
            sequence.truncate(kept as u64);
            let rest = flat(&model.extend(&mut sequence, &ids[kept..]).unwrap());
            let at_once = flat(&model.logits(&ids).unwrap());
            assert!(rest == at_once[at_once.len() - rest.len()..], "{numerics:?}, {kept} and {taken_back}");
        }
    }
}

#[test]
fn sequences_of_different_lengths_run_together_as_alone() {
    for numerics in BOTH {
        let (model, ids) = (open(numerics), ids());
        let cuts = [1, CHUNK, 33, 80];
        let mut sequences: Vec<Sequence> = cuts.iter().map(|_| model.sequence()).collect();
        let mut batches: Vec<Batch<'_>> = sequences
            .iter_mut()
            .zip(cuts)
            .map(|(sequence, n)| Batch { sequence, ids: &ids[..n], logits: 0..n, mass: None, cancel: None })
            .collect();
        let together = flat(&model.forward(&mut batches).unwrap());
        let alone: Vec<f32> = cuts.iter().flat_map(|&n| flat(&model.logits(&ids[..n]).unwrap())).collect();
        assert!(together == alone, "{numerics:?}");
    }
}

/// Pages of NoPE rows, `[layers][pages]`, of `n` stretches that never saw one another.
fn stretches(model: &Bare, n: u32) -> Vec<Vec<Vec<Arc<PageBuf>>>> {
    let stretch = |seed: u32| {
        let ids: Vec<u32> =
            (0..PAGE_TOKENS as u32).map(|i| 3 + (i * 37 + seed * 101 + i * i) % 250).collect();
        let mut sequence = model.sequence();
        model.extend(&mut sequence, &ids).unwrap();
        let (pages, _) = sequence.into_tail();
        pages.into_iter().map(|layer| layer.into_iter().map(Arc::new).collect()).collect()
    };
    (0..n).map(stretch).collect()
}

fn composed(model: &Bare, stretches: &[Vec<Vec<Arc<PageBuf>>>], order: &[usize]) -> Sequence {
    let mut sequence = model.sequence();
    for &at in order {
        let pages = stretches[at].iter().map(|layer| layer[0].clone()).collect();
        sequence.compose(pages, 0..PAGE_TOKENS, 0);
    }
    sequence
}

/// A NoPE layer sees a set: another order of the same rows is another order of a sum.
#[test]
fn the_order_of_earlier_keys_means_nothing_to_nope_layers() {
    for (numerics, tolerance) in [(Numerics::Reference, 2e-5), (Numerics::Fast, 0.02)] {
        let model = open(numerics);
        let stretches = stretches(&model, 6);
        let question = &ids()[..10];
        let ask = |order: &[usize]| {
            flat(&model.extend(&mut composed(&model, &stretches, order), question).unwrap())
        };
        let (forward, backward) = (ask(&[0, 1, 2, 3, 4, 5]), ask(&[5, 3, 1, 4, 2, 0]));
        let off = worst(&forward, &backward);
        println!("{numerics:?}: {off:.1e}");
        assert!(off <= tolerance, "{numerics:?}: {off:e}");
        assert!(worst(&forward, &ask(&[0, 1, 2, 3, 4])) > 1e-3, "a stretch less is another context");
    }
}

/// Ten million tokens of context are taken, one more is refused; positions past 32 bits are no trouble. Every page is
/// the same one, which takes no memory.
#[test]
fn the_window_ends_where_the_config_says_and_positions_have_64_bits() {
    const WINDOW: u64 = 10_485_760;
    let folder = tempfile::tempdir().unwrap();
    let from = fixture("llama4/tiny_scout");
    std::fs::copy(from.join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let config = std::fs::read_to_string(from.join("config.json")).unwrap();
    let config = config.replace("\"max_position_embeddings\": 1024", "\"max_position_embeddings\": 10485760");
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let model = Bare::open(folder.path(), Numerics::Fast).unwrap();
    let pages = stretches(&model, 1).remove(0);
    let mut sequence = model.sequence();
    for page in 0..WINDOW / PAGE_TOKENS as u64 {
        let visible = if page == 0 { 0..PAGE_TOKENS - 1 } else { 0..PAGE_TOKENS };
        sequence.compose(pages.iter().map(|layer| layer[0].clone()).collect(), visible, 0);
    }
    assert_eq!(sequence.next_pos(), WINDOW - 1);
    let logits = flat(&model.extend(&mut sequence, &[5]).unwrap());
    assert!(logits.iter().all(|x| x.is_finite()));
    let error = model.extend(&mut sequence, &[5]).unwrap_err();
    assert!(
        matches!(error, Error::WindowExceeded { asked, window } if asked == WINDOW + 1 && window == WINDOW),
        "{error}"
    );
}
