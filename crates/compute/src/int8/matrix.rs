//! A packed weight matrix: groups of 32 columns in the affine form `w = d · code + m`, tiles of 16 rows.
//!
//! A line of 64 bytes holds four consecutive columns of 16 rows, row after row: the shape of one int8 dot product.
//! A group of a tile is eight lines of 8-bit codes, or four lines of 4-bit codes whose low nibbles are lines 0..4 and
//! whose high nibbles are lines 4..8. Rows past the end of the matrix are zero.

use rayon::prelude::*;
use weights::Tensor;

use super::group::{self, Group};
use crate::simd::{LANES, Lanes, prefetch};
use crate::stack::stacked_shape;
use crate::{Error, Result};

/// Columns per group.
pub(super) const GROUP: usize = 32;
/// Lines of codes per group, unpacked.
pub(super) const LINES: usize = GROUP / 4;

/// Groups that one row asks ahead for, 10 KB of 4-bit codes and scales in f16. They may be those of the next task, which the
/// same thread mostly goes on with where threads are few. `cargo bench -p compute -- decoded_token` with AVX-512: 16 is slower,
/// 64 no faster.
pub(super) const AHEAD: usize = 32;

/// One cache line of codes.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [u8; 64]);

/// Per tile and group: 16 factors `d`, then 16 offsets `m`. f16 where that loses nothing.
enum Scales {
    F16(Vec<[u16; LANES]>),
    F32(Vec<[f32; LANES]>),
}

/// A weight matrix `[out, in]` of the fast path.
pub struct Int8Matrix {
    lines: Vec<Line>,
    scales: Scales,
    /// Whether codes are 4-bit.
    pub(super) nibbles: bool,
    pub(super) n_out: usize,
    pub(super) width: usize,
}

/// Codes and scales of one tile.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    pub(super) lines: &'a [Line],
    scales: TileScales<'a>,
}

#[derive(Clone, Copy)]
enum TileScales<'a> {
    F16(&'a [[u16; LANES]]),
    F32(&'a [[f32; LANES]]),
}

impl<'a> Tile<'a> {
    /// The tile's codes at `lines` instead: the same ones, unpacked.
    pub(super) fn with_lines(self, lines: &'a [Line]) -> Self {
        Self { lines, ..self }
    }

    /// `(d, m)` of a group.
    #[inline(always)]
    pub(super) fn scales<L: Lanes>(&self, l: L, group: usize) -> (L::F, L::F) {
        match self.scales {
            TileScales::F16(s) => (l.load_f16(&s[2 * group]), l.load_f16(&s[2 * group + 1])),
            TileScales::F32(s) => (l.load(&s[2 * group]), l.load(&s[2 * group + 1])),
        }
    }
}

impl Int8Matrix {
    pub(super) fn pack(parts: &[&Tensor<'_>]) -> Result<Self> {
        let (n_out, width) = stacked_shape(parts)?;
        if !width.is_multiple_of(GROUP) {
            return Err(Error::GroupSize { name: parts[0].name.to_owned(), cols: width });
        }
        let nibbles = parts.iter().all(|part| group::fits_nibbles(part));
        let (n_tiles, n_groups) = (n_out.div_ceil(LANES), width / GROUP);
        let lines_per_tile = n_groups * if nibbles { LINES / 2 } else { LINES };
        let mut lines = vec![Line([0; 64]); n_tiles * lines_per_tile];
        let mut scales = vec![[0.0f32; LANES]; n_tiles * n_groups * 2];
        let tiles = lines.par_chunks_exact_mut(lines_per_tile).zip(scales.par_chunks_exact_mut(2 * n_groups));
        tiles.enumerate().try_for_each(|(tile, (lines, scales))| {
            (0..LANES.min(n_out - tile * LANES)).try_for_each(|lane| {
                let (part, row) = locate(parts, tile * LANES + lane);
                let groups = group::row_groups(part, row)?;
                place_row(&groups, lane, nibbles, lines, scales);
                Ok::<(), Error>(())
            })
        })?;
        Ok(Self { lines, scales: narrow(scales), nibbles, n_out, width })
    }

    /// Codes and scales in memory.
    pub(super) fn bytes(&self) -> u64 {
        let scales = match &self.scales {
            Scales::F16(scales) => size_of_val(&**scales),
            Scales::F32(scales) => size_of_val(&**scales),
        };
        (size_of_val(&*self.lines) + scales) as u64
    }

    pub(super) fn n_tiles(&self) -> usize {
        self.n_out.div_ceil(LANES)
    }

    pub(super) fn n_groups(&self) -> usize {
        self.width / GROUP
    }

    pub(super) fn tile(&self, tile: usize) -> Tile<'_> {
        let n_groups = self.n_groups();
        let n_lines = self.lines.len() / self.n_tiles();
        let range = tile * 2 * n_groups..(tile + 1) * 2 * n_groups;
        let scales = match &self.scales {
            Scales::F16(scales) => TileScales::F16(&scales[range]),
            Scales::F32(scales) => TileScales::F32(&scales[range]),
        };
        Tile { lines: &self.lines[tile * n_lines..(tile + 1) * n_lines], scales }
    }

    /// Has the second cache fetch group `group` of tile `tile`; a group past the tile's last is one of the next tiles.
    /// Left alone, a processor stops looking ahead where a page of memory ends, which is at most a few tiles.
    #[inline(always)]
    pub(super) fn fetch(&self, tile: usize, group: usize) {
        let at = tile * self.n_groups() + group;
        let per_group = if self.nibbles { LINES / 2 } else { LINES };
        prefetch(self.lines.get(at * per_group..(at + 1) * per_group).unwrap_or_default());
        let scales = 2 * at..2 * at + 2;
        match &self.scales {
            Scales::F16(all) => prefetch(all.get(scales).unwrap_or_default()),
            Scales::F32(all) => prefetch(all.get(scales).unwrap_or_default()),
        }
    }

    /// Row `row` as f32: `fma(d, code, m)`.
    pub(super) fn dequantise_row(&self, row: usize, out: &mut [f32]) {
        assert!(row < self.n_out, "row {row} of a table of {}", self.n_out);
        let (tile, lane) = (self.tile(row / LANES), row % LANES);
        for (group, out) in out.chunks_exact_mut(GROUP).enumerate() {
            let (d, m) = match tile.scales {
                TileScales::F16(s) => {
                    let at = |i: usize| half::f16::from_bits(s[2 * group + i][lane]).to_f32();
                    (at(0), at(1))
                }
                TileScales::F32(s) => (s[2 * group][lane], s[2 * group + 1][lane]),
            };
            for (k, w) in out.iter_mut().enumerate() {
                let (line, byte) = (k / 4, 4 * lane + k % 4);
                let code = if self.nibbles {
                    tile.lines[group * 4 + line % 4].0[byte] >> (line / 4 * 4) & 15
                } else {
                    tile.lines[group * LINES + line].0[byte]
                };
                *w = d.mul_add(f32::from(code), m);
            }
        }
    }
}

/// Tensor and row that stacked row `row` lies in.
fn locate<'a, 'b>(parts: &'b [&'a Tensor<'a>], mut row: usize) -> (&'b Tensor<'a>, u64) {
    for part in parts {
        let rows = part.rows() as usize;
        if row < rows {
            return (part, row as u64);
        }
        row -= rows;
    }
    unreachable!("row {row} past the stacked tensors")
}

fn place_row(groups: &[Group], lane: usize, nibbles: bool, lines: &mut [Line], scales: &mut [[f32; LANES]]) {
    let per_group = if nibbles { LINES / 2 } else { LINES };
    assert_eq!(groups.len() * per_group, lines.len(), "a row's groups");
    let of_groups = lines.chunks_exact_mut(per_group).zip(scales.chunks_exact_mut(2));
    for (group, (lines, scales)) in groups.iter().zip(of_groups) {
        (scales[0][lane], scales[1][lane]) = (group.d, group.m);
        let words = group.codes.as_chunks::<4>().0;
        for (j, line) in lines.iter_mut().enumerate() {
            let mut word = u32::from_le_bytes(words[j]);
            if nibbles {
                // Codes below 16: none reaches into its neighbour.
                word |= u32::from_le_bytes(words[j + LINES / 2]) << 4;
            }
            line.0.as_chunks_mut::<4>().0[lane] = word.to_le_bytes();
        }
    }
}

/// f16 where every value is one.
fn narrow(scales: Vec<[f32; LANES]>) -> Scales {
    let exact = |x: &f32| half::f16::from_f32(*x).to_f32().to_bits() == x.to_bits();
    if scales.par_iter().all(|lanes| lanes.iter().all(exact)) {
        Scales::F16(scales.par_iter().map(|lanes| lanes.map(|x| half::f16::from_f32(x).to_bits())).collect())
    } else {
        Scales::F32(scales)
    }
}
