//! Weights to symmetric int4 in groups of columns, as `pack-quantized` stores them: 4-bit codes `q` in −8..=7, kept as
//! `q + 8`, and one bf16 scale per group.
//!
//! Meta's recipe for Llama 4 takes max |w| / 8 for the scale, which puts the outermost weight on the code −8 or on a
//! code 8 that does not exist. Here the scale has the sign that puts it on −8. Its size is the one of
//! [`CANDIDATES`] with the smallest sum of squared errors, between the smallest that keeps every weight within half a
//! step of a code and max |w| / 7; max |w| / 8 lies in that range unless the group reaches nearly as far on its other
//! side. Candidates are rounded up to bf16 before codes are chosen, so that nothing is lost in storing them.

use half::bf16;

/// Sizes of the scale that are tried for a group.
const CANDIDATES: u32 = 8;
/// Weights that are summed side by side; fixed, so that results do not depend on the machine.
const LANES: usize = 8;
/// Adding and subtracting 1.5 · 2²³ leaves an f32 rounded to the nearest integer, ties to even.
const TO_INTEGER: f32 = 12_582_912.0;

/// Quantises a group of weights, a multiple of 8 of them: codes go into `words` (8 to a little-endian i32, low nibble
/// first, `words.len() == weights.len() / 2` bytes), the scale is returned. `None` where a weight is not finite.
pub(crate) fn group(weights: &[f32], words: &mut [u8]) -> Option<bf16> {
    let scale = best_scale(weights)?;
    let inverse = inverse(scale.to_f32());
    for (word, weights) in words.as_chunks_mut::<4>().0.iter_mut().zip(weights.as_chunks::<LANES>().0) {
        let packed = weights.iter().rev().fold(0, |word, w| word << 4 | (code(*w, inverse) + 8.0) as u32);
        *word = packed.to_le_bytes();
    }
    Some(scale)
}

fn best_scale(weights: &[f32]) -> Option<bf16> {
    let (min, max) = weights.iter().fold((0f32, 0f32), |(min, max), w| (min.min(*w), max.max(*w)));
    // `min` and `max` pass over NaN, a sum does not.
    if !(weights.iter().map(|w| w * 0.0).sum::<f32>() == 0.0) {
        return None;
    }
    let (far, near, sign) = if -min >= max { (-min, max, 1.0) } else { (max, -min, -1.0) };
    let (low, high) = ((far / 8.5).max(near / 7.5), far / 7.0);
    let candidates = (0..CANDIDATES).map(|k| {
        let size = low + (high - low) * (k as f32 / (CANDIDATES - 1) as f32);
        let scale = bf16::from_f32(sign * round_up(size));
        (scale, squared_error(weights, scale.to_f32()))
    });
    candidates.reduce(|best, next| if next.1 < best.1 { next } else { best }).map(|(scale, _)| scale)
}

/// The smallest bf16 that is not below a positive number.
fn round_up(size: f32) -> f32 {
    let bits = size.to_bits();
    f32::from_bits(bits.next_multiple_of(1 << 16))
}

/// 0 for a scale of 0, whose weights are all 0, and for one so small that its inverse overflows.
fn inverse(scale: f32) -> f32 {
    let inverse = 1.0 / scale;
    if inverse.is_finite() { inverse } else { 0.0 }
}

/// The nearest code, −8..=7.
#[inline(always)]
fn code(weight: f32, inverse: f32) -> f32 {
    ((weight * inverse).clamp(-8.0, 7.0) + TO_INTEGER) - TO_INTEGER
}

fn squared_error(weights: &[f32], scale: f32) -> f32 {
    let inverse = inverse(scale);
    let mut sums = [0f32; LANES];
    for weights in weights.as_chunks::<LANES>().0 {
        for (sum, w) in sums.iter_mut().zip(weights) {
            let error = w - code(*w, inverse) * scale;
            *sum += error * error;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(weights: &[f32]) -> (f32, Vec<f32>) {
        let mut words = vec![0; weights.len() / 2];
        let scale = group(weights, &mut words).unwrap().to_f32();
        let mut out = vec![0.0; weights.len()];
        crate::blocks::int4::decode_row(&words, |_| 0, |_| (scale, 8), &mut out);
        (scale, out)
    }

    #[test]
    fn codes_stand_where_the_format_has_them() {
        let weights = [-8.0, -7.0, -1.0, 0.0, 1.0, 2.0, 3.0, 7.0];
        let mut words = [0; 4];
        assert_eq!(group(&weights, &mut words).unwrap().to_f32(), 1.0);
        assert_eq!(words, 0xfba9_8710u32.to_le_bytes());
        let negated = weights.map(|w| -w);
        assert_eq!(decoded(&negated), (-1.0, negated.to_vec()));
    }

    #[test]
    fn zeros_stay_zeros_and_what_is_no_number_is_refused() {
        assert_eq!(decoded(&[0.0; 32]).1, [0.0; 32]);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut weights = [1.0; 8];
            weights[5] = bad;
            assert!(group(&weights, &mut [0; 4]).is_none(), "{bad}");
        }
    }

    #[test]
    fn on_normal_weights_it_beats_the_plain_recipe() {
        // Sums of uniform numbers are near enough to normal ones.
        let mut state = 1u32;
        let mut uniform = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1u32 << 24) as f32 - 0.5
        };
        let (mut ours, mut plain) = (0.0, 0.0);
        for _ in 0..200 {
            let weights: Vec<f32> = (0..128).map(|_| (0..12).map(|_| uniform()).sum()).collect();
            let max = weights.iter().fold(0f32, |max, w| max.max(w.abs()));
            ours += squared_error(&weights, decoded(&weights).0);
            plain += squared_error(&weights, max / 8.0);
        }
        assert!(ours < 0.93 * plain, "{ours} against {plain}");
    }

    proptest! {
        #[test]
        fn every_weight_is_within_half_a_step(
            weights in prop::collection::vec(-1.0f32..1.0, 32),
            exponent in -60i32..60,
        ) {
            let weights: Vec<f32> = weights.iter().map(|w| w * 2f32.powi(exponent)).collect();
            let (scale, decoded) = decoded(&weights);
            for (w, d) in weights.iter().zip(decoded) {
                prop_assert!((w - d).abs() <= 0.50001 * scale.abs(), "{} for {} in steps of {}", d, w, scale);
            }
        }
    }
}
