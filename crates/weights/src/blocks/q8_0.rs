//! Q8_0: 32 weights in 34 bytes: scale `d` f16, then 32 i8. `w = d * q`.

/// Bytes of a block.
pub const BYTES: usize = 34;
/// Weights of a block.
pub const WEIGHTS: usize = 32;

/// Scale and codes.
pub fn unpack(block: &[u8; BYTES]) -> (f32, [i8; WEIGHTS]) {
    (super::f16_at(block, 0), std::array::from_fn(|j| block[2 + j] as i8))
}

/// The block's weights.
pub fn decode(block: &[u8; BYTES], out: &mut [f32; WEIGHTS]) {
    let (scale, codes) = unpack(block);
    *out = codes.map(|q| scale * f32::from(q));
}
