//! Rows of `K6V4` pages: keys in 6 bits, values in 4, of rows whose heads have gone through a Hadamard transform.
//!
//! The transform spreads a channel that is far larger than the others over all of them (QuaRot, arXiv 2404.00456, does so
//! too), so that one scale serves a head. It is orthogonal: scores are the same when queries go through it as well, and
//! what attention gives goes through it once more to come back. Keys decide over which tokens are seen and are the more
//! sensitive of the two, hence the two bits more.
//!
//! Codes are two's complement, in the order of `Int8` pages, cut into runs: a run of keys holds four dimensions of the 64
//! positions (256 codes), one of values four positions of the head's dimensions.

use super::{Dtype, PAGE_TOKENS, PageBuf, PageShape, int8::nearest};

/// Terms of a dot product in one word, as in `Int8` pages.
const WORD: usize = 4;
/// Bytes of a run of keys: the low 4 bits of its 256 codes (128 bytes), then their high 2 bits (64).
pub(super) const KEY_RUN: usize = 192;
const KEY_LOW: usize = 128;
const KEY_HIGH: usize = 64;

/// Bytes of a run of values: a code and the one half a run further on in each. An even number of dimensions, so that
/// sections are whole cache lines.
pub(super) const fn value_run(head_dim: usize) -> usize {
    2 * head_dim.next_multiple_of(2)
}

/// Codes reach from −`KEY_HALF` to `KEY_HALF` − 1.
const KEY_HALF: f32 = 32.0;
const VALUE_HALF: f32 = 8.0;

/// Scales tried for a value, as parts of the largest magnitude over 7: the one with the least squared error is taken.
/// A few values cut off cost less than coarse steps for all.
const VALUE_STEPS: [f32; 5] = [1.0, 0.95, 0.9, 0.85, 0.8];

/// The orthogonal Walsh–Hadamard transform of a head's `x`, in blocks of the largest power of two that divides its
/// length; its own inverse.
#[inline(always)]
pub fn hadamard(x: &mut [f32]) {
    if x.is_empty() {
        return;
    }
    let block = 1 << x.len().trailing_zeros();
    let factor = 1.0 / (block as f32).sqrt();
    for x in x.chunks_exact_mut(block) {
        let mut half = 1;
        while half < block {
            for pair in x.chunks_exact_mut(2 * half) {
                let (a, b) = pair.split_at_mut(half);
                for (a, b) in a.iter_mut().zip(b) {
                    (*a, *b) = (*a + *b, *a - *b);
                }
            }
            half *= 2;
        }
        x.iter_mut().for_each(|x| *x *= factor);
    }
}

/// Where the code of a key's `dim` at `slot` lies among a head's keys: byte and shift of its low bits, then of its high.
const fn key_at(dim: usize, slot: usize) -> [(usize, u32); 2] {
    let (run, code) = (dim / WORD * KEY_RUN, slot * WORD + dim % WORD);
    [
        (run + code % KEY_LOW, (code / KEY_LOW * 4) as u32),
        (run + KEY_LOW + code % KEY_HIGH, (code / KEY_HIGH * 2) as u32),
    ]
}

/// Byte and shift of the code of a value's `dim` at `slot` among a head's values.
const fn value_at(dim: usize, slot: usize, head_dim: usize) -> (usize, u32) {
    let (run, code) = (value_run(head_dim), dim * WORD + slot % WORD);
    (slot / WORD * run + code % run, (code / run * 4) as u32)
}

impl PageBuf {
    pub(super) fn write_head_k6v4(&mut self, head: usize, slot: usize, k: &[f32], v: &[f32]) {
        let (mut k, mut v, head_dim) = (k.to_vec(), v.to_vec(), v.len());
        hadamard(&mut k);
        hadamard(&mut v);
        let (k_scale, v_scale) = (largest(&k) / (KEY_HALF - 1.0), value_scale(&v));
        let keys = self.keys_mut(Dtype::K6V4, head);
        for (dim, &x) in k.iter().enumerate() {
            set_key_code(keys, dim, slot, code(x, k_scale, KEY_HALF));
        }
        let values = self.values_mut(Dtype::K6V4, head);
        for (dim, &x) in v.iter().enumerate() {
            set_value_code(values, head_dim, dim, slot, code(x, v_scale, VALUE_HALF));
        }
        self.set_scales_k6v4(head, slot, k_scale, v_scale);
    }

    pub(super) fn read_head_k6v4(&self, head: usize, slot: usize, k: &mut [f32], v: &mut [f32]) {
        let (k_scale, v_scale) = (self.k_scales(head)[slot], self.v_scales(head)[slot]);
        let (keys, values, head_dim) = (self.k_packed(head), self.v_packed(head), v.len());
        for (dim, (k, v)) in k.iter_mut().zip(v.iter_mut()).enumerate() {
            *k = f32::from(key_code(keys, dim, slot)) * k_scale;
            *v = f32::from(value_code(values, head_dim, dim, slot)) * v_scale;
        }
        hadamard(k);
        hadamard(v);
    }

    pub(super) fn copy_row_k6v4(&mut self, slot: usize, from: &Self, from_slot: usize) {
        let head_dim = self.shape.head_dim;
        for head in 0..self.shape.n_kv_heads {
            let (keys, from_keys) = (self.keys_mut(Dtype::K6V4, head), from.k_packed(head));
            for dim in 0..head_dim {
                set_key_code(keys, dim, slot, key_code(from_keys, dim, from_slot));
            }
            let (values, from_values) = (self.values_mut(Dtype::K6V4, head), from.v_packed(head));
            for dim in 0..head_dim {
                set_value_code(
                    values,
                    head_dim,
                    dim,
                    slot,
                    value_code(from_values, head_dim, dim, from_slot),
                );
            }
            self.set_scales_k6v4(head, slot, from.k_scales(head)[from_slot], from.v_scales(head)[from_slot]);
        }
    }

    fn set_scales_k6v4(&mut self, head: usize, slot: usize, k_scale: f32, v_scale: f32) {
        let sections = self.sections;
        self.set_scale(sections.k_scales, head * PAGE_TOKENS + slot, k_scale);
        self.set_scale(sections.v_scales, head * PAGE_TOKENS + slot, v_scale);
    }

    pub(super) fn is_zero_from_k6v4(&self, slot: usize) -> bool {
        let (sections, PageShape { n_kv_heads, head_dim }) = (self.sections, self.shape);
        let codes_are_zero = |head: usize| {
            let (keys, values) = (self.k_packed(head), self.v_packed(head));
            let of_slot = |slot| {
                (0..head_dim)
                    .all(|dim| key_code(keys, dim, slot) == 0 && value_code(values, head_dim, dim, slot) == 0)
            };
            // Dimensions past the head's are zero in every slot.
            let past = |slot| {
                (head_dim..head_dim.next_multiple_of(WORD)).all(|dim| key_code(keys, dim, slot) == 0)
                    && (head_dim..head_dim.next_multiple_of(2))
                        .all(|dim| value_code(values, head_dim, dim, slot) == 0)
            };
            (slot..PAGE_TOKENS).all(of_slot) && (0..PAGE_TOKENS).all(past)
        };
        (0..n_kv_heads).all(codes_are_zero)
            && self.zero_runs(sections.k_scales, n_kv_heads, 4, slot)
            && self.zero_runs(sections.v_scales, n_kv_heads, 4, slot)
    }
}

fn key_code(keys: &[u8], dim: usize, slot: usize) -> i8 {
    let [(low, low_shift), (high, high_shift)] = key_at(dim, slot);
    let code = (keys[low] >> low_shift & 15) | (keys[high] >> high_shift & 3) << 4;
    (code << 2) as i8 >> 2
}

fn set_key_code(keys: &mut [u8], dim: usize, slot: usize, code: i8) {
    let ([(low, low_shift), (high, high_shift)], code) = (key_at(dim, slot), code as u8);
    keys[low] = keys[low] & !(15 << low_shift) | (code & 15) << low_shift;
    keys[high] = keys[high] & !(3 << high_shift) | (code >> 4 & 3) << high_shift;
}

fn value_code(values: &[u8], head_dim: usize, dim: usize, slot: usize) -> i8 {
    let (at, shift) = value_at(dim, slot, head_dim);
    ((values[at] >> shift) << 4) as i8 >> 4
}

fn set_value_code(values: &mut [u8], head_dim: usize, dim: usize, slot: usize, code: i8) {
    let (at, shift) = value_at(dim, slot, head_dim);
    values[at] = values[at] & !(15 << shift) | (code as u8 & 15) << shift;
}

fn largest(row: &[f32]) -> f32 {
    row.iter().fold(0.0f32, |max, x| max.max(x.abs()))
}

fn value_scale(row: &[f32]) -> f32 {
    let whole = largest(row) / (VALUE_HALF - 1.0);
    let error = |scale: f32| -> f32 {
        row.iter().map(|&x| x - f32::from(code(x, scale, VALUE_HALF)) * scale).map(|off| off * off).sum()
    };
    let (mut best, mut least) = (whole, f32::INFINITY);
    for scale in VALUE_STEPS.map(|part| whole * part) {
        let error = error(scale);
        if error < least {
            (best, least) = (scale, error);
        }
    }
    best
}

/// `x / scale`, rounded half to even and kept within the codes.
fn code(x: f32, scale: f32, half: f32) -> i8 {
    if scale == 0.0 {
        return 0;
    }
    nearest(x / scale).clamp(-half, half - 1.0) as i8
}
