//! The matrix product: exact integer dot products by group, summed in f32 in the order of the groups.
//!
//! Per output: `acc = fma(dot, d · sa, acc); acc = fma(m, sa · sum, acc)` for groups 0, 1, 2 …, where `dot` is the
//! integer dot product of codes, `sa` the activation scale and `sum` the sum of activation codes; then the same for the
//! second terms of the groups that have one. Nothing else touches the value, so it depends neither on the other
//! tokens nor on tiles, threads or instruction set.
//!
//! A block is T tokens by R tiles of 16 rows (4 × 2 with AVX-512: 16 sums in f32 and 16 in i32). Per group and token a
//! tile costs 8 dot products and 4 f32 operations, so at most 2/3 of the int8 peak is reachable; every second term takes
//! a further group of one token (`cargo bench -p compute` measures it).

use rayon::prelude::*;

use super::acts::{Int8Acts, Term};
use super::matrix::{Int8Matrix, LINES, Line, Tile};
use crate::Rows;
use crate::simd::{Isa, Kernel, LANES, Lanes, Scatter};

/// From this many tokens on 4-bit codes are unpacked once per tile, not once per block of tokens.
const UNPACK_TOKENS: usize = 12;
/// Below this many multiplications a product stays on the calling thread.
const SERIAL_MACS: usize = 200_000;
/// Tiles that one task takes at most; enough that its outputs share cache lines.
const TASK_TILES: usize = 8;

/// Forms of the codes in memory.
const BYTES: u8 = 0;
const NIBBLES: u8 = 1;
const UNPACKED_NIBBLES: u8 = 2;

/// `out (+)= acts · wᵀ`; `out` is `[acts.n_rows, w.n_out]`.
pub(super) fn product(isa: Isa, acts: &Int8Acts, w: &Int8Matrix, out: &mut Rows, add: bool) {
    assert_eq!(acts.width, w.width, "matrix input width");
    assert_eq!((out.n_rows(), out.width()), (acts.n_rows, w.n_out), "product shape");
    let out = Scatter::new(out);
    let n_tiles = w.n_tiles();
    let run = |first: usize, end: usize| isa.run(Product { acts, w, first, end, out: &out, add });
    if acts.n_rows * w.n_out * w.width < SERIAL_MACS {
        return run(0, n_tiles);
    }
    // Even task sizes of at least two tiles, about four tasks per thread.
    let per_task = n_tiles.div_ceil(4 * rayon::current_num_threads()).next_multiple_of(2).min(TASK_TILES);
    let tasks = (0..n_tiles.div_ceil(per_task)).into_par_iter();
    tasks.for_each(|task| run(task * per_task, ((task + 1) * per_task).min(n_tiles)));
}

struct Product<'a> {
    acts: &'a Int8Acts,
    w: &'a Int8Matrix,
    first: usize,
    end: usize,
    out: &'a Scatter<'a>,
    add: bool,
}

impl Kernel for Product<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let unpack = self.w.nibbles && self.acts.n_rows >= UNPACK_TOKENS;
        let n_lines = self.w.n_groups() * LINES;
        let mut scratch = vec![Line([0; 64]); if unpack { 2 * n_lines } else { 0 }];
        let mut at = self.first;
        while at < self.end {
            let pair = at + 1 < self.end;
            let mut tiles = [self.w.tile(at), self.w.tile(if pair { at + 1 } else { at })];
            if unpack {
                let (a, b) = scratch.split_at_mut(n_lines);
                unpack_tile(l, &tiles[0], a);
                tiles[0] = tiles[0].with_lines(a);
                if pair {
                    unpack_tile(l, &tiles[1], b);
                    tiles[1] = tiles[1].with_lines(b);
                }
            }
            let (one, two) = ([tiles[0]], tiles);
            match (self.w.nibbles, unpack, pair) {
                (false, _, true) => self.tokens::<L, 2, BYTES>(l, at, &two),
                (false, _, false) => self.tokens::<L, 1, BYTES>(l, at, &one),
                (true, false, true) => self.tokens::<L, 2, NIBBLES>(l, at, &two),
                (true, false, false) => self.tokens::<L, 1, NIBBLES>(l, at, &one),
                (true, true, true) => self.tokens::<L, 2, UNPACKED_NIBBLES>(l, at, &two),
                (true, true, false) => self.tokens::<L, 1, UNPACKED_NIBBLES>(l, at, &one),
            }
            at += if pair { 2 } else { 1 };
        }
    }
}

impl Product<'_> {
    /// All tokens against `R` tiles from tile `at` on.
    #[inline(always)]
    fn tokens<L: Lanes, const R: usize, const FORM: u8>(&self, l: L, at: usize, tiles: &[Tile<'_>; R]) {
        let mut t = 0;
        if L::WIDE {
            while t + 4 <= self.acts.n_rows {
                self.block::<L, 4, R, FORM>(l, t, at, tiles);
                t += 4;
            }
        }
        while t + 2 <= self.acts.n_rows {
            self.block::<L, 2, R, FORM>(l, t, at, tiles);
            t += 2;
        }
        while t < self.acts.n_rows {
            self.block::<L, 1, R, FORM>(l, t, at, tiles);
            t += 1;
        }
    }

    /// Tokens `first..first + T` against `R` tiles.
    #[inline(always)]
    fn block<L: Lanes, const T: usize, const R: usize, const FORM: u8>(
        &self,
        l: L,
        first: usize,
        at: usize,
        tiles: &[Tile<'_>; R],
    ) {
        let n_groups = self.w.n_groups();
        let terms: [&[Term]; T] = std::array::from_fn(|t| &self.acts.terms(first + t)[..n_groups]);
        let per_group = if FORM == NIBBLES { LINES / 2 } else { LINES };
        let lines: [&[Line]; R] = std::array::from_fn(|r| &tiles[r].lines[..n_groups * per_group]);
        let mut acc = [[l.splat(0.0); R]; T];
        // All tokens have the same groups.
        #[expect(clippy::needless_range_loop)]
        for g in 0..n_groups {
            // A closure would be a call in the innermost loop but one: it does not end up where the instructions are.
            let mut of_group = [&terms[0][g]; T];
            for t in 1..T {
                of_group[t] = &terms[t][g];
            }
            group::<L, T, R, 1, FORM>(l, g, &lines, tiles, of_group, &mut acc);
        }
        for (t, acc) in acc.iter_mut().enumerate() {
            for second in self.acts.seconds(first + t) {
                let acc = std::array::from_mut(acc);
                group::<L, 1, R, 4, FORM>(l, second.group, &lines, tiles, [&second.term], acc);
            }
        }
        for (t, acc) in acc.into_iter().enumerate() {
            for (r, acc) in acc.into_iter().enumerate() {
                self.store(l, first + t, at + r, acc);
            }
        }
    }

    #[inline(always)]
    fn store<L: Lanes>(&self, l: L, token: usize, tile: usize, value: L::F) {
        let col = tile * LANES;
        let out = self.out.segment(token, col, LANES.min(self.out.width() - col));
        if let Ok(out) = <&mut [f32; LANES]>::try_from(&mut *out) {
            let value = if self.add { l.add(l.load(out), value) } else { value };
            return l.store(value, out);
        }
        let mut lanes = [0.0; LANES];
        l.store(value, &mut lanes);
        for (out, value) in out.iter_mut().zip(lanes) {
            *out = if self.add { *out + value } else { value };
        }
    }
}

/// Adds group `g` of `T` tokens against `R` tiles to the sums. Each dot product is built in `S` integer sums, so that a
/// single token does not wait for its own last addition.
#[inline(always)]
fn group<L: Lanes, const T: usize, const R: usize, const S: usize, const FORM: u8>(
    l: L,
    g: usize,
    lines: &[&[Line]; R],
    tiles: &[Tile<'_>; R],
    terms: [&Term; T],
    acc: &mut [[L::F; R]; T],
) {
    let per_group = if FORM == NIBBLES { LINES / 2 } else { LINES };
    let mut dots = [[[l.zero_i32(); S]; R]; T];
    for j in 0..LINES / 2 {
        let (at_low, at_high) = (2 * j % S, (2 * j + 1) % S);
        for r in 0..R {
            let line = &lines[r][g * per_group..][..per_group];
            let (low, high) = if FORM == NIBBLES {
                l.load_nibbles(&line[j].0)
            } else {
                (l.load_bytes(&line[j].0), l.load_bytes(&line[j + LINES / 2].0))
            };
            for t in 0..T {
                let (words, dots) = (&terms[t].words, &mut dots[t][r]);
                if FORM == BYTES {
                    dots[at_low] = l.dot::<false>(dots[at_low], low, words[j]);
                    dots[at_high] = l.dot::<false>(dots[at_high], high, words[j + LINES / 2]);
                } else {
                    dots[at_low] = l.dot::<true>(dots[at_low], low, words[j]);
                    dots[at_high] = l.dot::<true>(dots[at_high], high, words[j + LINES / 2]);
                }
            }
        }
    }
    for r in 0..R {
        let (d, m) = tiles[r].scales(l, g);
        for t in 0..T {
            let Term { scale, scaled_sum, .. } = *terms[t];
            let mut dot = dots[t][r][0];
            for &part in &dots[t][r][1..] {
                dot = l.add_i32(dot, part);
            }
            acc[t][r] = l.fma(l.to_f32(dot), l.mul(d, l.splat(scale)), acc[t][r]);
            acc[t][r] = l.fma(m, l.splat(scaled_sum), acc[t][r]);
        }
    }
}

#[inline(always)]
fn unpack_tile<L: Lanes>(l: L, tile: &Tile<'_>, out: &mut [Line]) {
    for (packed, out) in tile.lines.chunks_exact(LINES / 2).zip(out.chunks_exact_mut(LINES)) {
        let (low_out, high_out) = out.split_at_mut(LINES / 2);
        for ((packed, low_out), high_out) in packed.iter().zip(low_out).zip(high_out) {
            let (low, high) = l.load_nibbles(&packed.0);
            l.store_bytes(low, &mut low_out.0);
            l.store_bytes(high, &mut high_out.0);
        }
    }
}
