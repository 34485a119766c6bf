//! One KV page: 64 token positions of one layer, the unit of I/O, checksum and attention loop.
//!
//! Prefill writes rows into a [`PageBuf`] token by token; attend reads its sections as typed slices; disk
//! holds exactly the same bytes. The order of sections is K codes, K scales, V codes, V scales; `F32` and `Bf16` pages
//! have values in place of codes and no scales.

mod int8;
mod k6v4;

use std::ops::Range;

use bytemuck::{Pod, Zeroable};
use half::bf16;

use crate::error::{KvError, Result};

pub use k6v4::hadamard;

/// Token positions per page.
pub const PAGE_TOKENS: usize = 64;

/// Dimensions of an `Int8` key that share a scale; the last group of a head may be shorter. Keys have a few channels far
/// larger than the rest, values do not: a value has one scale per token and head.
pub const KEY_GROUP: usize = 32;

/// Largest |code| of an `Int8` row. −128 is not used, so that the code range is symmetric.
pub const CODE_MAX: f32 = 127.0;

/// How a page's values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// 4 bytes per value; the reference numerics and tests.
    F32,
    /// 2 bytes per value, rounded half to even.
    Bf16,
    /// 1 byte per value; an f32 scale per token, head and [`KEY_GROUP`] of keys, and one per token and head of values.
    Int8,
    /// 6 bits per key and 4 per value, rows in the Hadamard basis ([`hadamard`]); an f32 scale per token and head for each.
    K6V4,
}

impl Dtype {
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::K6V4 => "k6v4",
        }
    }

    /// Bytes that a page's keys of a head take.
    const fn key_bytes(self, head_dim: usize) -> Option<usize> {
        match self {
            Self::F32 => head_dim.checked_mul(4 * PAGE_TOKENS),
            Self::Bf16 => head_dim.checked_mul(2 * PAGE_TOKENS),
            // Whole words of four dimensions.
            Self::Int8 => head_dim.div_ceil(4).checked_mul(4 * PAGE_TOKENS),
            Self::K6V4 => head_dim.div_ceil(4).checked_mul(k6v4::KEY_RUN),
        }
    }

    /// Bytes that a page's values of a head take.
    const fn value_bytes(self, head_dim: usize) -> Option<usize> {
        match self {
            Self::F32 => head_dim.checked_mul(4 * PAGE_TOKENS),
            Self::Bf16 => head_dim.checked_mul(2 * PAGE_TOKENS),
            Self::Int8 => head_dim.checked_mul(PAGE_TOKENS),
            Self::K6V4 => k6v4::value_run(head_dim).checked_mul(PAGE_TOKENS / 4),
        }
    }

    /// Scales of one token's key in one head.
    pub const fn key_groups(self, head_dim: usize) -> usize {
        match self {
            Self::F32 | Self::Bf16 => 0,
            Self::Int8 => head_dim.div_ceil(KEY_GROUP),
            Self::K6V4 => 1,
        }
    }

    /// Scales of one token's value in one head.
    const fn value_groups(self) -> usize {
        match self {
            Self::F32 | Self::Bf16 => 0,
            Self::Int8 | Self::K6V4 => 1,
        }
    }
}

/// What one layer keeps per token: `n_kv_heads` keys and as many values of `head_dim` each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageShape {
    pub n_kv_heads: usize,
    pub head_dim: usize,
}

impl PageShape {
    /// Values in one token's K row, and in its V row.
    pub const fn row_values(self) -> usize {
        self.n_kv_heads * self.head_dim
    }

    /// Bytes of one page, always a multiple of 64. Panics when they do not fit `usize`.
    pub fn page_bytes(self, dtype: Dtype) -> usize {
        Sections::of(self, dtype).end
    }
}

/// Byte offsets at which the sections of a page start. Each is a multiple of 64, because every section holds
/// 64 of something per head.
#[derive(Debug, Clone, Copy)]
struct Sections {
    k_scales: usize,
    v: usize,
    v_scales: usize,
    end: usize,
}

impl Sections {
    fn of(shape: PageShape, dtype: Dtype) -> Self {
        let all = |bytes: Option<usize>| shape.n_kv_heads.checked_mul(bytes?);
        let scales = |groups: usize| all(groups.checked_mul(PAGE_TOKENS * 4));
        let sections = || {
            let k_scales = all(dtype.key_bytes(shape.head_dim))?;
            let v = k_scales.checked_add(scales(dtype.key_groups(shape.head_dim))?)?;
            let v_scales = v.checked_add(all(dtype.value_bytes(shape.head_dim))?)?;
            Some(Self { k_scales, v, v_scales, end: v_scales.checked_add(scales(dtype.value_groups())?)? })
        };
        sections().expect("a page's bytes fit the address space")
    }
}

/// The allocation unit that gives a page its 64-byte alignment.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct CacheLine([u8; 64]);

/// The bytes of one page, 64-byte aligned. Slots never written are zero.
#[derive(Clone)]
pub struct PageBuf {
    shape: PageShape,
    dtype: Dtype,
    sections: Sections,
    lines: Box<[CacheLine]>,
}

impl PageBuf {
    /// An all-zero page.
    pub fn new(shape: PageShape, dtype: Dtype) -> Self {
        let sections = Sections::of(shape, dtype);
        let n_lines = sections.end / size_of::<CacheLine>();
        Self { shape, dtype, sections, lines: vec![CacheLine::zeroed(); n_lines].into_boxed_slice() }
    }

    /// A page from its stored bytes, whose number must be exactly [`PageShape::page_bytes`].
    pub fn from_bytes(shape: PageShape, dtype: Dtype, bytes: &[u8]) -> Result<Self> {
        let expected = shape.page_bytes(dtype);
        if bytes.len() != expected {
            return Err(KvError::PageLength { expected, got: bytes.len() });
        }
        let mut page = Self::new(shape, dtype);
        page.as_bytes_mut().copy_from_slice(bytes);
        Ok(page)
    }

    pub fn shape(&self) -> PageShape {
        self.shape
    }

    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The page as it lies on disk.
    pub fn as_bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.lines)
    }

    pub(crate) fn as_bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }

    /// Stores one token's K and V, each `[n_kv_heads, head_dim]`.
    ///
    /// What is stored depends on these two rows alone: not on the slot, not on neighbours, not on what the
    /// slot held. On an error the page is unchanged. Panics when `slot` or a length is out of range.
    pub fn write_row(&mut self, slot: usize, k: &[f32], v: &[f32]) -> Result<()> {
        self.check_row(slot, k.len(), v.len());
        check_storable("key", k, self.shape, self.dtype)?;
        check_storable("value", v, self.shape, self.dtype)?;
        let PageShape { n_kv_heads, head_dim } = self.shape;
        for head in 0..n_kv_heads {
            let row = head * head_dim..(head + 1) * head_dim;
            match self.dtype {
                Dtype::F32 => self.write_head(head, slot, &k[row.clone()], &v[row], |x| x),
                Dtype::Bf16 => self.write_head(head, slot, &k[row.clone()], &v[row], bf16::from_f32),
                Dtype::Int8 => self.write_head_int8(head, slot, &k[row.clone()], &v[row]),
                Dtype::K6V4 => self.write_head_k6v4(head, slot, &k[row.clone()], &v[row]),
            }
        }
        Ok(())
    }

    /// Copies one token's stored K and V bit for bit. Panics when a slot is out of range or the pages are of two kinds.
    pub fn copy_row(&mut self, slot: usize, from: &Self, from_slot: usize) {
        assert!((self.shape, self.dtype) == (from.shape, from.dtype), "pages of two kinds");
        assert!(slot < PAGE_TOKENS && from_slot < PAGE_TOKENS, "a page has {PAGE_TOKENS} slots");
        let value = match self.dtype {
            Dtype::Int8 => return self.copy_row_int8(slot, from, from_slot),
            Dtype::K6V4 => return self.copy_row_k6v4(slot, from, from_slot),
            Dtype::Bf16 => 2,
            Dtype::F32 => 4,
        };
        let row = self.shape.head_dim * value;
        let (v_start, n_columns, n_heads) = (self.sections.v, self.shape.row_values(), self.shape.n_kv_heads);
        let (from, to) = (from.as_bytes(), self.as_bytes_mut());
        // `n` runs of 64 items, one of each slot.
        let mut copy = |start: usize, n: usize, bytes: usize| {
            for run in 0..n {
                let at = |slot: usize| start + (run * PAGE_TOKENS + slot) * bytes;
                to[at(slot)..][..bytes].copy_from_slice(&from[at(from_slot)..][..bytes]);
            }
        };
        copy(0, n_columns, value);
        copy(v_start, n_heads, row);
    }

    /// Gives one token's K and V back as attend sees them. Panics when `slot` or a length is out of range.
    pub fn read_row(&self, slot: usize, k: &mut [f32], v: &mut [f32]) {
        self.check_row(slot, k.len(), v.len());
        let head_dim = self.shape.head_dim;
        for (head, (k, v)) in k.chunks_exact_mut(head_dim).zip(v.chunks_exact_mut(head_dim)).enumerate() {
            if self.dtype == Dtype::K6V4 {
                self.read_head_k6v4(head, slot, k, v);
                continue;
            }
            for dim in 0..head_dim {
                let (at_k, at_v) = (dim * PAGE_TOKENS + slot, slot * head_dim + dim);
                (k[dim], v[dim]) = match self.dtype {
                    Dtype::F32 => (self.k_f32(head)[at_k], self.v_f32(head)[at_v]),
                    Dtype::Bf16 => (self.k_bf16(head)[at_k].to_f32(), self.v_bf16(head)[at_v].to_f32()),
                    Dtype::Int8 => self.read_int8(head, dim, slot),
                    Dtype::K6V4 => unreachable!("read by heads"),
                };
            }
        }
    }

    /// All that the page holds of a head: keys, their scales, values, their scales.
    pub fn head_bytes(&self, head: usize) -> [&[u8]; 4] {
        let Sections { k_scales, v, v_scales, end } = self.sections;
        let n_heads = self.shape.n_kv_heads;
        [0..k_scales, k_scales..v, v..v_scales, v_scales..end].map(|section| {
            let len = section.len() / n_heads;
            &self.as_bytes()[section.start + head * len..][..len]
        })
    }

    /// `Int8` keys of a head, `[⌈head_dim / 4⌉, 64, 4]`: four dimensions of a position in a word.
    pub fn k_codes(&self, head: usize) -> &[i8] {
        self.keys(Dtype::Int8, head)
    }

    /// `K6V4` keys of a head, `[⌈head_dim / 4⌉, 192]`: of the 256 codes of an `Int8` run the low 4 bits, two to a byte
    /// (codes i and i + 128), then the high 2 bits, four to a byte (codes i, i + 64, i + 128 and i + 192).
    pub fn k_packed(&self, head: usize) -> &[u8] {
        self.keys(Dtype::K6V4, head)
    }

    /// Key scales of a head of coded pages, `[key_groups, 64]`.
    pub fn k_scales(&self, head: usize) -> &[f32] {
        self.scales(self.sections.k_scales, head, self.dtype.key_groups(self.shape.head_dim))
    }

    /// `Int8` values of a head, `[16, head_dim, 4]`: four positions of a dimension in a word.
    pub fn v_codes(&self, head: usize) -> &[i8] {
        self.values(Dtype::Int8, head)
    }

    /// `K6V4` values of a head, `[16, 2 · D]` with D the head's dimensions made even: the codes of an `Int8` run two to a
    /// byte (i and i + 2 · D).
    pub fn v_packed(&self, head: usize) -> &[u8] {
        self.values(Dtype::K6V4, head)
    }

    /// Value scales of a head of coded pages, `[64]`.
    pub fn v_scales(&self, head: usize) -> &[f32] {
        self.scales(self.sections.v_scales, head, 1)
    }

    /// `F32` keys of a head, `[head_dim, 64]`: position fastest.
    pub fn k_f32(&self, head: usize) -> &[f32] {
        self.keys(Dtype::F32, head)
    }

    /// `F32` values of a head, `[64, head_dim]`.
    pub fn v_f32(&self, head: usize) -> &[f32] {
        self.values(Dtype::F32, head)
    }

    /// `Bf16` keys of a head, `[head_dim, 64]`: position fastest.
    pub fn k_bf16(&self, head: usize) -> &[bf16] {
        self.keys(Dtype::Bf16, head)
    }

    /// `Bf16` values of a head, `[64, head_dim]`.
    pub fn v_bf16(&self, head: usize) -> &[bf16] {
        self.values(Dtype::Bf16, head)
    }

    /// Whether every stored number is one that [`Self::write_row`] can have stored: finite values, scales that
    /// are finite and not negative, no code of −128. Bytes with a valid checksum can still be a stranger's.
    pub fn is_well_formed(&self) -> bool {
        let good_scale = |scale: &f32| scale.is_finite() && scale.is_sign_positive();
        (0..self.shape.n_kv_heads).all(|head| match self.dtype {
            Dtype::F32 => {
                [self.k_f32(head), self.v_f32(head)].iter().all(|x| x.iter().all(|x| x.is_finite()))
            }
            Dtype::Bf16 => {
                [self.k_bf16(head), self.v_bf16(head)].iter().all(|x| x.iter().all(|x| x.is_finite()))
            }
            Dtype::Int8 => {
                [self.k_scales(head), self.v_scales(head)].iter().all(|x| x.iter().all(good_scale))
                    && [self.k_codes(head), self.v_codes(head)].iter().all(|x| !x.contains(&i8::MIN))
            }
            Dtype::K6V4 => {
                [self.k_scales(head), self.v_scales(head)].iter().all(|x| x.iter().all(good_scale))
            }
        })
    }

    /// Whether all slots from `slot` on are zero in every section.
    pub fn is_zero_from(&self, slot: usize) -> bool {
        let value_bytes = match self.dtype {
            Dtype::Int8 => return self.is_zero_from_int8(slot),
            Dtype::K6V4 => return self.is_zero_from_k6v4(slot),
            Dtype::Bf16 => 2,
            Dtype::F32 => 4,
        };
        // Keys are a stack of [64] runs, values one of [64, head_dim] runs.
        self.zero_runs(0, self.shape.row_values(), value_bytes, slot)
            && self.zero_runs(self.sections.v, self.shape.n_kv_heads, value_bytes * self.shape.head_dim, slot)
    }

    /// Whether `n_runs` runs of 64 items of `unit` bytes are zero from item `slot` on.
    fn zero_runs(&self, start: usize, n_runs: usize, unit: usize, slot: usize) -> bool {
        (0..n_runs).all(|run| {
            let at = start + run * PAGE_TOKENS * unit;
            self.as_bytes()[at + slot * unit..at + PAGE_TOKENS * unit].iter().all(|&byte| byte == 0)
        })
    }

    fn write_head<T: Pod>(
        &mut self,
        head: usize,
        slot: usize,
        k: &[f32],
        v: &[f32],
        store: impl Fn(f32) -> T,
    ) {
        let dtype = self.dtype;
        let keys = self.keys_mut::<T>(dtype, head);
        for (column, &x) in keys.chunks_exact_mut(PAGE_TOKENS).zip(k) {
            column[slot] = store(x);
        }
        let values = self.values_mut::<T>(dtype, head);
        for (cell, &x) in values[slot * v.len()..][..v.len()].iter_mut().zip(v) {
            *cell = store(x);
        }
    }

    /// Scale number `index` of the section that starts at `start`.
    fn set_scale(&mut self, start: usize, index: usize, scale: f32) {
        self.as_bytes_mut()[start + index * 4..][..4].copy_from_slice(bytemuck::bytes_of(&scale));
    }

    fn keys<T: Pod>(&self, dtype: Dtype, head: usize) -> &[T] {
        bytemuck::cast_slice(&self.as_bytes()[self.key_range(dtype, head)])
    }

    fn keys_mut<T: Pod>(&mut self, dtype: Dtype, head: usize) -> &mut [T] {
        let range = self.key_range(dtype, head);
        bytemuck::cast_slice_mut(&mut self.as_bytes_mut()[range])
    }

    fn values<T: Pod>(&self, dtype: Dtype, head: usize) -> &[T] {
        bytemuck::cast_slice(&self.as_bytes()[self.value_range(dtype, head)])
    }

    fn values_mut<T: Pod>(&mut self, dtype: Dtype, head: usize) -> &mut [T] {
        let range = self.value_range(dtype, head);
        bytemuck::cast_slice_mut(&mut self.as_bytes_mut()[range])
    }

    fn key_range(&self, dtype: Dtype, head: usize) -> Range<usize> {
        self.check_view(dtype, head);
        let len = self.sections.k_scales / self.shape.n_kv_heads;
        head * len..(head + 1) * len
    }

    fn value_range(&self, dtype: Dtype, head: usize) -> Range<usize> {
        self.check_view(dtype, head);
        let Sections { v, v_scales, .. } = self.sections;
        let len = (v_scales - v) / self.shape.n_kv_heads;
        v + head * len..v + (head + 1) * len
    }

    fn check_view(&self, dtype: Dtype, head: usize) {
        assert_eq!(self.dtype, dtype, "a page is viewed as what it stores");
        assert!(head < self.shape.n_kv_heads, "head {head} of {}", self.shape.n_kv_heads);
    }

    /// One head's scales, `[n_groups, 64]`, in the section that starts at `start`.
    fn scales(&self, start: usize, head: usize, n_groups: usize) -> &[f32] {
        assert!(matches!(self.dtype, Dtype::Int8 | Dtype::K6V4), "pages of floats have no scales");
        assert!(head < self.shape.n_kv_heads, "head {head} of {}", self.shape.n_kv_heads);
        let len = n_groups * PAGE_TOKENS * 4;
        bytemuck::cast_slice(&self.as_bytes()[start + head * len..][..len])
    }

    fn check_row(&self, slot: usize, k_len: usize, v_len: usize) {
        assert!(slot < PAGE_TOKENS, "slot {slot} of {PAGE_TOKENS}");
        let row_values = self.shape.row_values();
        assert_eq!((k_len, v_len), (row_values, row_values), "lengths of the K and V row");
    }
}

/// Bit for bit, so that two pages with the same NaN are equal and 0.0 differs from −0.0.
impl PartialEq for PageBuf {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && self.dtype == other.dtype && self.as_bytes() == other.as_bytes()
    }
}

impl Eq for PageBuf {}

impl std::fmt::Debug for PageBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.as_bytes().len();
        write!(f, "PageBuf({} heads x {}, ", self.shape.n_kv_heads, self.shape.head_dim)?;
        write!(f, "{}, {bytes} bytes)", self.dtype.name())
    }
}

/// A value must be finite in the stored type too: the largest f32 rounds to infinity in bf16.
fn check_storable(row: &'static str, values: &[f32], shape: PageShape, dtype: Dtype) -> Result<()> {
    let storable = |x: f32| match dtype {
        Dtype::F32 | Dtype::Int8 => x.is_finite(),
        Dtype::Bf16 => bf16::from_f32(x).is_finite(),
        // The sums of the transform have to be finite too.
        Dtype::K6V4 => x.abs() <= f32::MAX / shape.head_dim as f32,
    };
    match values.iter().position(|&x| !storable(x)) {
        None => Ok(()),
        Some(at) => Err(KvError::NotFinite {
            row,
            head: at / shape.head_dim,
            dim: at % shape.head_dim,
            value: values[at],
            dtype: dtype.name(),
        }),
    }
}

#[cfg(test)]
mod tests;
