//! The int8 codes of one head of a page: as they lie on disk, or unpacked from a `K6V4` page.

use crate::PAGE_LEN;
use crate::int8::matrix::GROUP;
use crate::simd::LANES;

use super::PAGE_VECTORS;

/// Four terms each of sixteen sums.
pub(super) type Line = [i8; 64];

/// Slots of a page in fours.
pub(super) const QUADS: usize = PAGE_LEN / 4;

/// One head of a page as dot products take it.
pub(super) struct Head<'a> {
    /// `[⌈head_dim / 4⌉, 4]`: each line four dimensions of 16 slots.
    pub(super) keys: &'a [Line],
    /// `[groups, 4]`, by group of 32 dimensions and slot.
    pub(super) key_scales: &'a [[f32; LANES]],
    /// `[16, padded_dim / 16]`: each line four slots of 16 dimensions.
    pub(super) values: &'a [Line],
    /// `[4]`, by slot.
    pub(super) value_scales: &'a [[f32; LANES]],
}

/// Room for what does not lie on disk as [`Head`] has it.
#[derive(Default)]
pub(super) struct CodeScratch {
    keys: Vec<Line>,
    key_scales: Vec<[f32; LANES]>,
    values: Vec<Line>,
}

impl<'a> Head<'a> {
    #[inline(always)]
    pub(super) fn of(
        page: &'a kv::PageBuf,
        kv_head: usize,
        head_dim: usize,
        scratch: &'a mut CodeScratch,
    ) -> Self {
        let value_scales = page.v_scales(kv_head).as_chunks().0;
        if page.dtype() == kv::Dtype::Int8 {
            let (keys, key_scales) =
                (page.k_codes(kv_head).as_chunks().0, page.k_scales(kv_head).as_chunks().0);
            let values = whole_lines(page.v_codes(kv_head), head_dim, &mut scratch.values);
            return Self { keys, key_scales, values, value_scales };
        }
        let CodeScratch { keys, key_scales, values } = scratch;
        unpack_keys(page.k_packed(kv_head), keys);
        unpack_values(page.v_packed(kv_head), head_dim, values);
        let scales = page.k_scales(kv_head).as_chunks::<LANES>().0;
        key_scales.clear();
        (0..head_dim.div_ceil(GROUP)).for_each(|_| key_scales.extend_from_slice(scales));
        Self { keys, key_scales, values, value_scales }
    }
}

/// Values `[16, head_dim, 4]` in lines, every row of them filled up with zeros.
#[inline(always)]
fn whole_lines<'a>(codes: &'a [i8], head_dim: usize, padded: &'a mut Vec<Line>) -> &'a [Line] {
    if head_dim.is_multiple_of(LANES) {
        return codes.as_chunks().0;
    }
    let per_quad = head_dim.div_ceil(LANES);
    padded.resize(QUADS * per_quad, [0; 64]);
    for (codes, lines) in codes.chunks_exact(4 * head_dim).zip(padded.chunks_exact_mut(per_quad)) {
        lines.as_flattened_mut()[..4 * head_dim].copy_from_slice(codes);
    }
    padded
}

/// Runs `[⌈head_dim / 4⌉, 192]` of 6-bit codes: the low bits of 256 in 128 bytes, their high bits in 64.
#[inline(always)]
fn unpack_keys(packed: &[u8], keys: &mut Vec<Line>) {
    let runs = packed.as_chunks::<{ 3 * 64 }>().0;
    keys.resize(runs.len() * PAGE_VECTORS, [0; 64]);
    for (run, lines) in runs.iter().zip(keys.as_chunks_mut::<PAGE_VECTORS>().0) {
        let [low, more_low, high] = run.as_chunks::<64>().0 else { unreachable!("three times 64 bytes") };
        for i in 0..64 {
            let code = |low: u8, high: u8| (((low & 15 | high << 4) << 2) as i8) >> 2;
            lines[0][i] = code(low[i], high[i]);
            lines[1][i] = code(more_low[i], high[i] >> 2);
            lines[2][i] = code(low[i] >> 4, high[i] >> 4);
            lines[3][i] = code(more_low[i] >> 4, high[i] >> 6);
        }
    }
}

/// Runs `[16, 2 · D]` of 4-bit codes, D being `head_dim` made even.
#[inline(always)]
fn unpack_values(packed: &[u8], head_dim: usize, values: &mut Vec<Line>) {
    let (per_run, per_quad) = (packed.len() / QUADS, head_dim.div_ceil(LANES));
    values.resize(QUADS * per_quad, [0; 64]);
    for (run, lines) in packed.chunks_exact(per_run).zip(values.chunks_exact_mut(per_quad)) {
        let (first, second) = lines.as_flattened_mut().split_at_mut(per_run);
        for ((first, second), &byte) in first.iter_mut().zip(second).zip(run) {
            *first = ((byte << 4) as i8) >> 4;
            *second = (byte as i8) >> 4;
        }
    }
}
