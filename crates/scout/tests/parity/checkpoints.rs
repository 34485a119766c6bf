//! Small random checkpoints of every llama shape: the reference path agrees with Hugging Face f32, the fast path is
//! near it.

use crate::golden::{distance, expected, fixture, flat, relative_rms};
use scout::{Numerics, logits_of};

/// Of max(1, max |logit|). Hugging Face's own f32 is up to 4e-6 away from f64 on these.
const REFERENCE_TOLERANCE: f32 = 5e-5;
/// Relative rms error. 8-bit codes cost up to 0.6 % a product, a peaked random attention multiplies it: 3 to 5 %
/// are measured. A wrong rotation, group or order gives tens of percent.
const FAST_TOLERANCE: f32 = 0.07;

fn agrees(model: &str, golden: &str) {
    let expected = expected(golden);
    let run = |numerics| flat(&logits_of(&fixture(model), numerics, &expected.input_ids).unwrap());

    let off = distance(&run(Numerics::Reference), &expected.logits);
    println!("{model}, reference: {off:.1e}");
    assert!(
        off <= REFERENCE_TOLERANCE,
        "{model}, reference: off by {off:e}, allowed {REFERENCE_TOLERANCE:e}"
    );

    let off = relative_rms(&run(Numerics::Fast), &expected.logits);
    println!("{model}, fast: {off:.3}");
    assert!(off <= FAST_TOLERANCE, "{model}, fast: relative rms error {off}, allowed {FAST_TOLERANCE}");
}

#[test]
fn tied_embeddings() {
    agrees("tied", "tied/expected.safetensors");
}

#[test]
fn llama3_rope_scaling_as_transformers_5_writes_it() {
    agrees("llama3", "llama3/expected.safetensors");
}

#[test]
fn llama3_rope_scaling_as_transformers_4_writes_it() {
    agrees("llama3_old_spelling", "llama3_old_spelling/expected.safetensors");
}

#[test]
fn grouped_heads_wider_than_the_model_in_f16() {
    agrees("grouped_heads_f16", "grouped_heads_f16/expected.safetensors");
}

#[test]
fn every_query_head_with_its_own_key_head_in_bf16() {
    agrees("many_heads_bf16", "many_heads_bf16/expected.safetensors");
}

#[test]
fn shards_with_an_index() {
    agrees("sharded", "sharded/expected.safetensors");
}

#[test]
fn gguf_twin_in_f16() {
    agrees("gguf/tied_f16.gguf", "gguf/tied_f16.expected.safetensors");
}

/// The divisors of `rope_freqs.weight` and permuted rows give what Hugging Face computes from the llama3 rule.
#[test]
fn gguf_twin_with_frequency_divisors() {
    agrees("gguf/llama3_f32.gguf", "llama3/expected.safetensors");
}

#[test]
fn every_block_type_of_gguf() {
    agrees("gguf/quantised.gguf", "gguf/quantised.expected.safetensors");
}

/// 42 wide, heads of 22: the reference path runs it, the fast path works in groups of 32 columns and says so.
#[test]
fn odd_widths() {
    let expected = expected("odd_widths/expected.safetensors");
    let logits = logits_of(&fixture("odd_widths"), Numerics::Reference, &expected.input_ids).unwrap();
    let off = distance(&flat(&logits), &expected.logits);
    assert!(off <= REFERENCE_TOLERANCE, "off by {off:e}");

    let error = logits_of(&fixture("odd_widths"), Numerics::Fast, &expected.input_ids).unwrap_err();
    assert!(
        matches!(&error, scout::Error::Compute(compute::Error::GroupSize { cols: 42, .. })),
        "unexpected: {error:?}"
    );
    assert_eq!(
        error.to_string(),
        "tensor model.embed_tokens.weight has 42 columns, not a multiple of 32; the fast path cannot run this \
         model, use the reference numerics"
    );
}
