//! Q4_K: 256 weights in 144 bytes: `d` f16, `dmin` f16, 12 bytes of 6-bit scales and minima, 128 bytes of nibbles.
//!
//! Eight sub-blocks of 32. Bytes `32c..32c+32` of the nibbles hold sub-block `2c` (low) and `2c+1` (high).
//! `w = (d * scale) * q - (dmin * min)`.

/// Bytes of a block.
pub const BYTES: usize = 144;
/// Weights of a block.
pub const WEIGHTS: usize = 256;

/// A block as f32 scales and integer codes: `w = scales[j] * codes[32j + i] - mins[j]`. Q5_K unpacks to the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Unpacked {
    /// Scale of each sub-block.
    pub scales: [f32; 8],
    /// What is subtracted in each sub-block.
    pub mins: [f32; 8],
    /// Codes, 0..=15 (Q5_K: 0..=31), in the order of the weights.
    pub codes: [u8; WEIGHTS],
}

impl Unpacked {
    /// Scales and minima of a block that starts with `d`, `dmin` and the twelve packed bytes; codes still zero.
    pub(super) fn scales_of<const N: usize>(block: &[u8; N]) -> Self {
        let (d, dmin) = (super::f16_at(block, 0), super::f16_at(block, 2));
        let (scales, mins) = super::scales_k::unpack(&block[4..16]);
        Self {
            scales: scales.map(|s| d * f32::from(s)),
            mins: mins.map(|m| dmin * f32::from(m)),
            codes: [0; WEIGHTS],
        }
    }

    pub(super) fn weights(&self, out: &mut [f32; WEIGHTS]) {
        for (i, (w, q)) in out.iter_mut().zip(&self.codes).enumerate() {
            *w = self.scales[i / 32] * f32::from(*q) - self.mins[i / 32];
        }
    }
}

/// Scales, minima and codes.
pub fn unpack(block: &[u8; BYTES]) -> Unpacked {
    let mut unpacked = Unpacked::scales_of(block);
    for (c, pair) in unpacked.codes.chunks_exact_mut(64).enumerate() {
        for i in 0..32 {
            let byte = block[16 + 32 * c + i];
            pair[i] = byte & 15;
            pair[32 + i] = byte >> 4;
        }
    }
    unpacked
}

/// The block's weights.
pub fn decode(block: &[u8; BYTES], out: &mut [f32; WEIGHTS]) {
    unpack(block).weights(out);
}
