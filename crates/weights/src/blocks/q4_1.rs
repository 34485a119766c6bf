//! Q4_1: 32 weights in 20 bytes: scale `d` f16, minimum `m` f16, then 16 bytes of nibbles (low: weights 0..16,
//! high: 16..32). `w = d * q + m`.

/// Bytes of a block.
pub const BYTES: usize = 20;
/// Weights of a block.
pub const WEIGHTS: usize = 32;

/// Scale, minimum and codes (0..=15).
pub fn unpack(block: &[u8; BYTES]) -> (f32, f32, [u8; WEIGHTS]) {
    let mut quants = [0; 16];
    quants.copy_from_slice(&block[4..]);
    (super::f16_at(block, 0), super::f16_at(block, 2), super::nibbles(&quants))
}

/// The block's weights.
pub fn decode(block: &[u8; BYTES], out: &mut [f32; WEIGHTS]) {
    let (scale, min, codes) = unpack(block);
    *out = codes.map(|q| scale * f32::from(q) + min);
}
