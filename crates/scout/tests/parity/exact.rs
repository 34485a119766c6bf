//! Exact rows: reading goes on from disk as if it had never stopped, and nowhere else.

use crate::{
    golden::{fixture, flat, open},
    identity::some_ids,
};
use kv::{Disk, RowKind, Segment, SegmentId, Store};
use scout::{Engine, Error, Numerics, Sequence, Step};
use std::{ops::ControlFlow, path::Path, sync::Arc};

/// Two of eight layers see everything; attention chunks of 128.
fn recall() -> Engine {
    open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/recall"), Numerics::Fast)
}

fn read(engine: &Engine, sequence: &mut Sequence, ids: &[u32]) {
    engine.prefill_behind(sequence, ids, &mut |_| ControlFlow::Continue(())).unwrap();
}

fn ask(engine: &Engine, sequence: &mut Sequence) -> Vec<f32> {
    let ids = some_ids(70, 9);
    let step = Step { sequence, ids: &ids, logits: 0..70, mass: None };
    flat(&engine.step(&mut [step]).unwrap().logits)
}

/// Reads parts of these lengths one behind the other, each from what the store holds of those before.
fn store_chain(engine: &Engine, store: &Store, lens: &[usize]) -> Vec<SegmentId> {
    let mut chain: Vec<SegmentId> = Vec::new();
    let ids = some_ids(lens.iter().sum(), 0);
    let mut at = 0;
    for len in lens {
        let part = &ids[at..at + len];
        at += len;
        let mut sequence = engine.exact_sequence(&opened(store, &chain)).unwrap();
        read(engine, &mut sequence, part);
        let context = engine.part_context("");
        let exact = engine.exact_part(&sequence, chain.last().copied(), context, part.to_vec());
        let layers = exact.spec.layers.clone();
        let mut writer = store.create(exact.spec).unwrap();
        for (layer, pages) in layers.iter().zip(&exact.pages) {
            for (page, rows) in (layer.first_page..).zip(pages) {
                writer.push_page(layer.layer, page, rows).unwrap();
            }
        }
        chain.push(writer.finish().unwrap());
    }
    chain
}

fn opened(store: &Store, chain: &[SegmentId]) -> Vec<Segment> {
    chain.iter().map(|id| store.open_segment(id).unwrap().unwrap()).collect()
}

#[test]
fn reading_goes_on_from_disk_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Arc::new(Disk), folder.path(), 1 << 20).unwrap();
    let llama = fixture("gguf/quantised.gguf");
    let engines = [recall(), open(&llama, Numerics::Fast), open(&llama, Numerics::Reference)];
    for engine in &engines {
        let lens: &[usize] =
            if engine.sees_everything() { &[200, 56, 75, 1, 64, 130] } else { &[37, 64, 20] };
        let mut live = engine.sequence().unwrap();
        read(engine, &mut live, &some_ids(lens.iter().sum(), 0));
        let chain = store_chain(engine, &store, lens);
        let mut restored = engine.exact_sequence(&opened(&store, &chain)).unwrap();
        assert_eq!(restored.next_pos(), live.next_pos());
        assert!(ask(engine, &mut restored) == ask(engine, &mut live));
    }
}

#[test]
fn an_open_chunk_keeps_its_local_rows_and_a_closed_one_none() {
    let (folder, engine) = (tempfile::tempdir().unwrap(), recall());
    let store = Store::open(Arc::new(Disk), folder.path(), 1 << 20).unwrap();
    let chain = opened(&store, &store_chain(&engine, &store, &[200, 56, 75]));
    let kept = |segment: &Segment| -> Vec<(u32, u64)> {
        segment.layers().iter().map(|stored| (stored.layer, stored.first_page)).collect()
    };
    let open = |first_page| (0..8).map(|l| (l, if l % 4 == 3 { 0 } else { first_page })).collect::<Vec<_>>();
    assert_eq!(kept(&chain[0]), open(2), "tokens 128 to 199 are of an open chunk");
    assert_eq!(kept(&chain[1]), [(3, 0), (7, 0)], "256 tokens are two whole chunks");
    assert_eq!(kept(&chain[2]), open(0));
}

/// Behind closed chunks the first layer that sees everything holds the rows of a part that stands alone; the next does not.
#[test]
fn isolated_rows_are_exact_up_to_the_first_layer_that_sees_everything() {
    let (folder, engine) = (tempfile::tempdir().unwrap(), recall());
    let store = Store::open(Arc::new(Disk), folder.path(), 1 << 20).unwrap();
    let exact = opened(&store, &store_chain(&engine, &store, &[256, 100])).pop().unwrap();
    let alone = engine.prefill_part(exact.tokens(), &mut |_| ControlFlow::Continue(())).unwrap();
    for page in 0..2 {
        let own = exact.pages(&[3, 7], &[page]).unwrap();
        assert!(*own[0] == alone.pages[0][page as usize]);
        assert!(*own[1] != alone.pages[1][page as usize]);
    }
}

#[test]
fn exact_rows_go_nowhere_but_behind_their_prefix() {
    let (folder, engine) = (tempfile::tempdir().unwrap(), recall());
    let store = Store::open(Arc::new(Disk), folder.path(), 1 << 20).unwrap();
    let chain = store_chain(&engine, &store, &[128, 70]);
    for listed in [vec![chain[1]], vec![chain[1], chain[0]], vec![chain[0], chain[0]]] {
        let refused = engine.exact_sequence(&opened(&store, &listed));
        assert!(matches!(refused, Err(Error::OtherPrefix { .. })), "{listed:?}");
    }
    let mut sequence = engine.sequence().unwrap();
    let exact = opened(&store, &chain[1..]);
    assert!(matches!(engine.compose(&mut sequence, &exact[0], &[(0, 0..1)]), Err(Error::ExactRows { .. })));
    assert!(matches!(sequence.stream(exact, &[]), Err(Error::ExactRows { .. })));

    // Isolated rows of the same tokens have another name, and are no link of a chain.
    let ids = some_ids(128, 0);
    let spec = engine.segment_spec(engine.part_context(""), ids.clone());
    assert_eq!(spec.row_kind, RowKind::Isolated);
    assert_ne!(spec.id(), chain[0]);
    let pages = engine.prefill_part(&ids, &mut |_| ControlFlow::Continue(())).unwrap();
    let mut writer = store.create(spec).unwrap();
    for (layer, pages) in engine.stored_layers().iter().zip(&pages.pages) {
        for (page, rows) in (0..).zip(pages) {
            writer.push_page(*layer, page, rows).unwrap();
        }
    }
    let isolated = writer.finish().unwrap();
    let refused = engine.exact_sequence(&opened(&store, &[isolated]));
    assert!(matches!(refused, Err(Error::OtherPrefix { .. })));
}
