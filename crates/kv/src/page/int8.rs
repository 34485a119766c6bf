//! Rows of `Int8` pages. Codes lie as integer dot products take them: a word holds four consecutive terms of the sum,
//! four dimensions of a key or four positions of a value.

use super::{CODE_MAX, Dtype, KEY_GROUP, PAGE_TOKENS, PageBuf};

/// Terms of a dot product in one word.
const WORD: usize = 4;

/// Where one head's keys hold dimension `dim` of `slot`.
const fn key_at(dim: usize, slot: usize) -> usize {
    (dim / WORD * PAGE_TOKENS + slot) * WORD + dim % WORD
}

/// Where one head's values hold dimension `dim` of `slot`.
const fn value_at(dim: usize, slot: usize, head_dim: usize) -> usize {
    (slot / WORD * head_dim + dim) * WORD + slot % WORD
}

impl PageBuf {
    pub(super) fn write_head_int8(&mut self, head: usize, slot: usize, k: &[f32], v: &[f32]) {
        let (sections, n_groups, head_dim) =
            (self.sections, self.dtype.key_groups(self.shape.head_dim), v.len());
        for (group, k) in k.chunks(KEY_GROUP).enumerate() {
            let scale = int8_scale(k);
            let codes = int8_codes(k, scale);
            let keys = self.keys_mut::<i8>(Dtype::Int8, head);
            for (dim, codes) in (group * KEY_GROUP..).step_by(WORD).zip(codes[..k.len()].chunks(WORD)) {
                keys[key_at(dim, slot)..][..codes.len()].copy_from_slice(codes);
            }
            self.set_scale(sections.k_scales, (head * n_groups + group) * PAGE_TOKENS + slot, scale);
        }
        let scale = int8_scale(v);
        let values = self.values_mut::<i8>(Dtype::Int8, head);
        for (group, v) in v.chunks(KEY_GROUP).enumerate() {
            for (dim, code) in (group * KEY_GROUP..).zip(&int8_codes(v, scale)[..v.len()]) {
                values[value_at(dim, slot, head_dim)] = *code;
            }
        }
        self.set_scale(sections.v_scales, head * PAGE_TOKENS + slot, scale);
    }

    /// Key and value of one dimension.
    pub(super) fn read_int8(&self, head: usize, dim: usize, slot: usize) -> (f32, f32) {
        let key_scale = self.k_scales(head)[dim / KEY_GROUP * PAGE_TOKENS + slot];
        let value = self.v_codes(head)[value_at(dim, slot, self.shape.head_dim)];
        (
            f32::from(self.k_codes(head)[key_at(dim, slot)]) * key_scale,
            f32::from(value) * self.v_scales(head)[slot],
        )
    }

    pub(super) fn copy_row_int8(&mut self, slot: usize, from: &Self, from_slot: usize) {
        let (sections, head_dim, n_groups) =
            (self.sections, self.shape.head_dim, self.dtype.key_groups(self.shape.head_dim));
        for head in 0..self.shape.n_kv_heads {
            let keys = self.keys_mut::<i8>(Dtype::Int8, head);
            for dim in 0..head_dim {
                keys[key_at(dim, slot)] = from.k_codes(head)[key_at(dim, from_slot)];
            }
            let values = self.values_mut::<i8>(Dtype::Int8, head);
            for dim in 0..head_dim {
                values[value_at(dim, slot, head_dim)] =
                    from.v_codes(head)[value_at(dim, from_slot, head_dim)];
            }
            for group in 0..n_groups {
                let scale = from.k_scales(head)[group * PAGE_TOKENS + from_slot];
                self.set_scale(sections.k_scales, (head * n_groups + group) * PAGE_TOKENS + slot, scale);
            }
            self.set_scale(sections.v_scales, head * PAGE_TOKENS + slot, from.v_scales(head)[from_slot]);
        }
    }

    pub(super) fn is_zero_from_int8(&self, slot: usize) -> bool {
        let (sections, shape) = (self.sections, self.shape);
        let values_are_zero = |head: usize| {
            let values = self.v_codes(head);
            (slot..PAGE_TOKENS)
                .all(|slot| (0..shape.head_dim).all(|dim| values[value_at(dim, slot, shape.head_dim)] == 0))
        };
        self.zero_runs(0, shape.n_kv_heads * shape.head_dim.div_ceil(WORD), WORD, slot)
            && (0..shape.n_kv_heads).all(values_are_zero)
            && self.zero_runs(
                sections.k_scales,
                shape.n_kv_heads * self.dtype.key_groups(shape.head_dim),
                4,
                slot,
            )
            && self.zero_runs(sections.v_scales, shape.n_kv_heads, 4, slot)
    }
}

/// Scale of some values of one token: the largest magnitude over 127. Zero for a row of zeros, and for one so small
/// that the quotient underflows.
fn int8_scale(row: &[f32]) -> f32 {
    row.iter().fold(0.0f32, |max, x| max.max(x.abs())) / CODE_MAX
}

/// `x / scale`, rounded half to even and kept within ±127, which only a subnormal scale can overstep; of at most
/// [`KEY_GROUP`] values.
fn int8_codes(row: &[f32], scale: f32) -> [i8; KEY_GROUP] {
    let mut codes = [0; KEY_GROUP];
    if scale != 0.0 {
        for (code, &x) in codes.iter_mut().zip(row) {
            *code = nearest(x / scale).clamp(-CODE_MAX, CODE_MAX) as i8;
        }
    }
    codes
}

/// The nearest integer, half to even, of |x| below 2²²: `f32::round_ties_even` is a call into the C library on plain x86-64.
pub(super) fn nearest(x: f32) -> f32 {
    // 1.5 · 2²³: floats about it are the whole numbers.
    const WHOLE: f32 = 12_582_912.0;
    (x + WHOLE) - WHOLE
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn nearest_is_what_rounding_half_to_even_gives() {
        for halves in -2000..=2000 {
            for off in [-1e-4, 0.0, 1e-4] {
                let x = halves as f32 / 2.0 + off;
                assert_eq!(nearest(x), x.round_ties_even(), "{x}");
            }
        }
    }
}
