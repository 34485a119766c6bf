//! Q6_K: 256 weights in 210 bytes: 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 i8 scales, `d` f16 last.
//!
//! Two halves of 128 weights, each four runs of 32: run `k` takes its nibbles from bytes `32 * (k & 1)..` of the half's
//! 64 (low for `k < 2`, high after) and its high bits from bit pair `k` of the half's 32. `w = (d * scale) * (q - 32)`,
//! one scale per 16 weights.

/// Bytes of a block.
pub const BYTES: usize = 210;
/// Weights of a block.
pub const WEIGHTS: usize = 256;

const HIGH: usize = 128;
const SCALES: usize = 192;
const D: usize = 208;

/// Scale of each 16 weights and centred codes (−32..=31): `w = scales[i / 16] * codes[i]`.
pub fn unpack(block: &[u8; BYTES]) -> ([f32; 16], [i8; WEIGHTS]) {
    let d = super::f16_at(block, D);
    let scales = std::array::from_fn(|j| d * f32::from(block[SCALES + j] as i8));
    let codes = std::array::from_fn(|i| {
        let (half, k, t) = (i / 128, i / 32 % 4, i % 32);
        let low = (block[64 * half + 32 * (k & 1) + t] >> (4 * (k >> 1))) & 15;
        let high = (block[HIGH + 32 * half + t] >> (2 * k)) & 3;
        (low | (high << 4)) as i8 - 32
    });
    (scales, codes)
}

/// The block's weights.
pub fn decode(block: &[u8; BYTES], out: &mut [f32; WEIGHTS]) {
    let (scales, codes) = unpack(block);
    for (i, (w, q)) in out.iter_mut().zip(&codes).enumerate() {
        *w = scales[i / 16] * f32::from(*q);
    }
}
