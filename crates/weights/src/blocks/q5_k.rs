//! Q5_K: 256 weights in 176 bytes: `d` f16, `dmin` f16, 12 bytes of 6-bit scales and minima, 32 bytes of fifth bits,
//! 128 bytes of nibbles.
//!
//! Like Q4_K, with 16 added to code `i` of sub-block `j` where bit `j` of fifth-bit byte `i` is set.

pub use super::q4_k::Unpacked;

/// Bytes of a block.
pub const BYTES: usize = 176;
/// Weights of a block.
pub const WEIGHTS: usize = 256;

/// Scales, minima and codes (0..=31).
pub fn unpack(block: &[u8; BYTES]) -> Unpacked {
    let mut unpacked = Unpacked::scales_of(block);
    for (c, pair) in unpacked.codes.chunks_exact_mut(64).enumerate() {
        for i in 0..32 {
            let (fifth, byte) = (block[16 + i], block[48 + 32 * c + i]);
            pair[i] = (byte & 15) | (((fifth >> (2 * c)) & 1) << 4);
            pair[32 + i] = (byte >> 4) | (((fifth >> (2 * c + 1)) & 1) << 4);
        }
    }
    unpacked
}

/// The block's weights.
pub fn decode(block: &[u8; BYTES], out: &mut [f32; WEIGHTS]) {
    unpack(block).weights(out);
}
