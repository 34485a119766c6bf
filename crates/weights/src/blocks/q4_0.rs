//! Q4_0: 32 weights in 18 bytes: scale `d` f16, then 16 bytes of nibbles (low: weights 0..16, high: 16..32).
//! `w = d * (q - 8)`.

/// Bytes of a block.
pub const BYTES: usize = 18;
/// Weights of a block.
pub const WEIGHTS: usize = 32;

/// Scale and centred codes (−8..=7).
pub fn unpack(block: &[u8; BYTES]) -> (f32, [i8; WEIGHTS]) {
    let mut quants = [0; 16];
    quants.copy_from_slice(&block[2..]);
    (super::f16_at(block, 0), super::nibbles(&quants).map(|q| q as i8 - 8))
}

/// The block's weights.
pub fn decode(block: &[u8; BYTES], out: &mut [f32; WEIGHTS]) {
    let (scale, codes) = unpack(block);
    *out = codes.map(|q| scale * f32::from(q));
}
