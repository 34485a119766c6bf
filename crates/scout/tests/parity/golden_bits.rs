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
const NUMERICS: &str = "int8-2";
const LOGITS: [(Dtype, &str); 2] = [
    (Dtype::Int8, "0f70d766a92410908cb604004e712d04246bfe1256acf7e215b1222d686aa248"),
    (Dtype::Bf16, "ed551bf35e2b6c1d52530ef7cdb8c76329e41715da682ab29e3562bf691c1967"),
];
const PAGES: &str = "3a5b3b8319dfe647ea1bd8a303fb056ea8e640642cf0378e757b78f4a19495eb";

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
const LLAMA4_LOGITS: &str = "a24509922d8a5e08123a61feae9ffdc8256b51707f8eb0ef7d5081079d75f06c";

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
