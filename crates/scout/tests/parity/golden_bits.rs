//! The fast path's own bits, committed: stored KV of an older program is served as long as the numerics keep their
//! name, so their bits must not change under it.

use crate::{
    golden::{fixture, flat, open},
    identity::some_ids,
};
use compute::Isa;
use kv::Dtype;
use scout::{Numerics, fast_logits_on};
use std::ops::ControlFlow;

/// BLAKE3 of the logits' bits (little-endian f32) of 150 tokens, and of the pages of the part they make. When one of
/// them changes, the name of the numerics has to change with it.
const NUMERICS: &str = "int8-3";
const LOGITS: [(Dtype, &str); 3] = [
    (Dtype::Int8, "fc5a3aad98856d42ed95b173dd88f5a773d664c6b2fb62b578ea36d84e13288b"),
    (Dtype::Bf16, "cd885fb69bf8dd3b143548918568233fe61d6f46116b9a8c58d483499c75ee33"),
    (Dtype::K6V4, "5e9a378dbd8ff8d0fdc8448a4d5be6f42abb74e1a65351de5f4905ff4b9cfe54"),
];
const PAGES: &str = "e3e53a549e7daf0a5e97492e3df4eef20424c5c6c7d1388756f55b225009992a";

#[test]
fn every_instruction_set_gives_the_committed_logits() {
    let ids = some_ids(150, 20);
    let sets = Isa::available();
    println!("instruction sets of this machine: {sets:?}");
    for isa in sets {
        for (dtype, expected) in LOGITS {
            let logits = fast_logits_on(&fixture("gguf/quantised.gguf"), isa, dtype, &ids).unwrap();
            let bytes: Vec<u8> = flat(&logits).iter().flat_map(|x| x.to_le_bytes()).collect();
            let got = blake3::hash(&bytes).to_hex();
            assert_eq!(got.as_str(), expected, "{NUMERICS} on {isa:?} over {} KV", dtype.name());
        }
    }
}

/// Likewise of a Llama 4 checkpoint: chunks, temperature, QK norm and experts.
const LLAMA4_LOGITS: &str = "a979cfe4e8c3e55f17dabc230de920385bf9c6e1504285073491244d0988d025";

#[test]
fn every_instruction_set_gives_the_committed_logits_of_llama4() {
    let ids: Vec<u32> = some_ids(100, 21).into_iter().map(|id| id % 256).collect();
    for isa in Isa::available() {
        let model = fixture("llama4/gguf/every_type.gguf");
        let logits = fast_logits_on(&model, isa, Dtype::Int8, &ids).unwrap();
        let bytes: Vec<u8> = flat(&logits).iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(blake3::hash(&bytes).to_hex().as_str(), LLAMA4_LOGITS, "{NUMERICS} on {isa:?}");
    }
}

#[test]
fn the_pages_of_a_part_are_the_committed_ones() {
    let engine = open(&fixture("gguf/quantised.gguf"), Numerics::Fast);
    assert_eq!(engine.numerics(), NUMERICS);
    let part = engine.prefill_part(&some_ids(150, 20), &mut |_| ControlFlow::Continue(())).unwrap();
    let mut hasher = blake3::Hasher::new();
    part.pages.iter().flatten().for_each(|page| {
        hasher.update(page.as_bytes());
    });
    assert_eq!(hasher.finalize().to_hex().as_str(), PAGES);
}
