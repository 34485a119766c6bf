//! Block decoders: quantised bytes to f32, one module per type, each with its layout.
//!
//! Every module has `unpack` (integer codes and f32 scales, what the engine repacks from) and `decode` (the weights).
//! Multiplications and additions happen in the order of ggml's reference, rounded after each, so that the result
//! equals it bit for bit. All numbers are little-endian; f16 is IEEE half.

// Blocks are arrays of fixed size, and every index below is bounded by a constant of the layout.
#![allow(clippy::indexing_slicing)]

pub mod int4;
mod plain;
pub mod q4_0;
pub mod q4_1;
pub mod q4_k;
pub mod q5_k;
pub mod q6_k;
pub mod q8_0;
mod scales_k;

pub use plain::{decode_bf16, decode_f16, decode_f32};

/// The f16 at byte `at` of a block, as f32.
fn f16_at<const N: usize>(block: &[u8; N], at: usize) -> f32 {
    half::f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// The 32 codes of 16 bytes: low nibbles are codes 0..16, high nibbles 16..32.
fn nibbles(bytes: &[u8; 16]) -> [u8; 32] {
    let mut codes = [0; 32];
    for (j, byte) in bytes.iter().enumerate() {
        codes[j] = byte & 15;
        codes[j + 16] = byte >> 4;
    }
    codes
}

/// Runs a block decoder over whole blocks. Callers guarantee matching lengths (`Tensor` checks them).
pub(crate) fn decode_blocks<const B: usize, const W: usize>(
    bytes: &[u8],
    out: &mut [f32],
    decode: fn(&[u8; B], &mut [f32; W]),
) {
    let (blocks, rest) = bytes.as_chunks::<B>();
    let (outs, out_rest) = out.as_chunks_mut::<W>();
    assert!(
        rest.is_empty() && out_rest.is_empty() && blocks.len() == outs.len(),
        "{} bytes for {} blocks of {B}",
        bytes.len(),
        outs.len()
    );
    for (block, out) in blocks.iter().zip(outs) {
        decode(block, out);
    }
}

#[cfg(test)]
mod tests;
