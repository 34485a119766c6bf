//! The matrix product: exact integer dot products by group, summed in f32 in the order of the groups.
//!
//! Per output: `acc = fma(dot, d · sa, acc); acc = fma(m, sa · sum, acc)` for groups 0, 1, 2 …, where `dot` is the
//! integer dot product of codes, `sa` the activation scale and `sum` the sum of activation codes; then the same for the
//! second terms of the groups that have one. Nothing else touches the value, so it depends neither on the other
//! tokens nor on tiles, threads or instruction set.
//!
//! A block is T tokens by R tiles of 16 rows: 4 × 2 with AVX-512 (8 sums in f32 and 8 in i32), 4 × 1 with AVX2. Per group
//! and token a tile costs 8 dot products and 3 or 4 f32 operations (some processors convert sums elsewhere), so with AVX-512 at
//! most 2/3 to 0.73 of the int8 peak is reachable.
//! Second terms are gathered by group, so that four of them share the weights as four tokens do (`cargo bench -p compute`
//! measures all of it).

use std::hint::black_box;
use std::ops::Range;
use std::slice::from_ref;

use rayon::prelude::*;

use super::acts::{Int8Acts, Term};
use super::matrix::{AHEAD, Int8Matrix, LINES, Line, Tile};
use super::second_terms::Part;
use crate::Rows;
use crate::simd::{Isa, Kernel, LANES, Lanes, Scatter};

/// From this many tokens on 4-bit codes are unpacked once per tile, not once per block of tokens.
const UNPACK_TOKENS: usize = 12;
/// Groups of activations, 40 bytes each, that all tiles of a task go over before the next ones: they stay in the second
/// cache.
const CACHED_TERMS: usize = 3072;
/// Below this many multiplications a product stays on the calling thread.
const SERIAL_MACS: usize = 200_000;
/// Tiles that one task takes at most; enough that its outputs share cache lines.
const TASK_TILES: usize = 8;

/// Pairs of lines in a group: a line and the one four lines on, which share their bytes where codes have 4 bits.
const PAIRS: usize = LINES / 2;

type Vector = [f32; LANES];

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
    let parts = &Part::all(acts, (CACHED_TERMS / w.n_groups()).max(UNPACK_TOKENS));
    let run = |first: usize, end: usize| isa.run(Product { acts, parts, w, first, end, out: &out, add });
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
    parts: &'a [Part<'a>],
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
        let n_lines = self.w.n_groups() * LINES;
        let most_rows = self.parts.iter().map(|part| part.rows.len()).max().unwrap_or(0);
        let may_unpack = self.w.nibbles && most_rows >= UNPACK_TOKENS;
        let mut scratch = vec![Line([0; 64]); if may_unpack { 2 * n_lines } else { 0 }];
        let mut sums = vec![[0.0; LANES]; 2 * most_rows];
        for part in self.parts {
            let unpack = may_unpack && part.rows.len() >= UNPACK_TOKENS;
            for at in (self.first..self.end).step_by(2) {
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
                let (one, two, sums) = ([tiles[0]], tiles, &mut sums);
                match (self.w.nibbles, unpack, pair) {
                    (false, _, true) => self.tiles::<L, 2, BYTES>(l, part, at, &two, sums),
                    (false, _, false) => self.tiles::<L, 1, BYTES>(l, part, at, &one, sums),
                    (true, false, true) => self.tiles::<L, 2, NIBBLES>(l, part, at, &two, sums),
                    (true, false, false) => self.tiles::<L, 1, NIBBLES>(l, part, at, &one, sums),
                    (true, true, true) => self.tiles::<L, 2, UNPACKED_NIBBLES>(l, part, at, &two, sums),
                    (true, true, false) => self.tiles::<L, 1, UNPACKED_NIBBLES>(l, part, at, &one, sums),
                }
            }
        }
    }
}

impl Product<'_> {
    /// The rows of `part` against `R` tiles from tile `at` on. `sums` has room for `[rows of the part, R]`.
    #[inline(always)]
    fn tiles<L: Lanes, const R: usize, const FORM: u8>(
        &self,
        l: L,
        part: &Part<'_>,
        at: usize,
        tiles: &[Tile<'_>; R],
        sums: &mut [Vector],
    ) {
        let sums = &mut sums[..part.rows.len() * R];
        sums.fill([0.0; LANES]);
        let acts = self.acts;
        // Through `Lanes::run`, so that each of them is a function of its own: in one, they take minutes to compile.
        if part.rows.len() == 1 {
            // One tile after the other, which is the order that they have in memory.
            for (first, tile) in tiles.iter().enumerate() {
                let block = Block { tiles: std::array::from_ref(tile), first, of: R };
                l.run(OneRow::<FORM> { acts, part, w: self.w, at: at + first, block, sums });
            }
        } else if L::WIDE {
            l.run(ManyRows::<R, FORM> {
                acts,
                part,
                w: self.w,
                at,
                block: Block { tiles, first: 0, of: R },
                sums,
            });
        } else {
            // One tile after the other, so that its codes stay in the first cache and the sums in registers.
            for (first, tile) in tiles.iter().enumerate() {
                let block = Block { tiles: std::array::from_ref(tile), first, of: R };
                l.run(ManyRows::<1, FORM> { acts, part, w: self.w, at: at + first, block, sums });
            }
        }
        for (row, sums) in part.rows.clone().zip(sums.chunks_exact(R)) {
            for (r, sum) in sums.iter().enumerate() {
                self.store(l, row, at + r, l.load(sum));
            }
        }
    }

    #[inline(always)]
    fn store<L: Lanes>(&self, l: L, token: usize, tile: usize, value: L::F) {
        let col = tile * LANES;
        let out = self.out.segment(token, col, LANES.min(self.out.width() - col));
        if let Ok(out) = <&mut Vector>::try_from(&mut *out) {
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

/// Adds all terms of one row to its sums.
struct OneRow<'a, const FORM: u8> {
    acts: &'a Int8Acts,
    part: &'a Part<'a>,
    w: &'a Int8Matrix,
    /// Number of the block's tile.
    at: usize,
    block: Block<'a, 1>,
    sums: &'a mut [Vector],
}

impl<const FORM: u8> Kernel for OneRow<'_, FORM> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { acts, part, w, at, block, sums } = self;
        let terms = acts.terms(part.rows.start);
        let fetch = |group| w.fetch(at, group + AHEAD);
        // A dot product of 32 bits takes several cycles to give its sum to the next one, one of AVX2 only one.
        if L::WIDE {
            block.add::<L, 1, 2, FORM>(l, 0..w.n_groups(), [terms], [0], sums, fetch);
        } else {
            block.add::<L, 1, 1, FORM>(l, 0..w.n_groups(), [terms], [0], sums, fetch);
        }
        for (group, seconds) in part.seconds() {
            for &(row, term) in seconds {
                block.add::<L, 1, 2, FORM>(l, group..group + 1, [from_ref(term)], [row], sums, ask_nothing);
            }
        }
    }
}

/// Adds all terms of a part's rows to their sums.
struct ManyRows<'a, const R: usize, const FORM: u8> {
    acts: &'a Int8Acts,
    part: &'a Part<'a>,
    w: &'a Int8Matrix,
    /// Number of the block's first tile.
    at: usize,
    block: Block<'a, R>,
    sums: &'a mut [Vector],
}

impl<const R: usize, const FORM: u8> Kernel for ManyRows<'_, R, FORM> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { acts, part, w, at, block, sums } = self;
        let n_groups = w.n_groups();
        let first = |row: usize| acts.terms(part.rows.start + row);
        // The first rows ask for the tiles after this block's pair: later parts find them in the second cache. Behind the
        // task's last ones come those of the next task, which the same thread mostly goes on with where threads are few.
        let next = at + block.of..at + block.of + R;
        let next_tiles = |row| if part.rows.start + row == 0 { next.clone() } else { 0..0 };
        // Sums of whole bytes take twice the registers where sums are short.
        let by_four = if L::SHORT_DOTS && FORM == BYTES { 0 } else { part.rows.len() / 4 * 4 };
        for row in (0..by_four).step_by(4) {
            let rows = [row, row + 1, row + 2, row + 3];
            let terms = [first(row), first(row + 1), first(row + 2), first(row + 3)];
            let next = next_tiles(row);
            block.add::<L, 4, 1, FORM>(l, 0..n_groups, terms, rows, sums, |group| ask(w, &next, group));
        }
        let by_two = part.rows.len() / 2 * 2;
        for row in (by_four..by_two).step_by(2) {
            let (rows, terms) = ([row, row + 1], [first(row), first(row + 1)]);
            let next = next_tiles(row);
            block.add::<L, 2, 1, FORM>(l, 0..n_groups, terms, rows, sums, |group| ask(w, &next, group));
        }
        for row in by_two..part.rows.len() {
            block.add::<L, 1, 1, FORM>(l, 0..n_groups, [first(row)], [row], sums, ask_nothing);
        }
        for (group, seconds) in part.seconds() {
            let of = group..group + 1;
            let (fours, rest) = seconds.as_chunks::<4>();
            for &[a, b, c, d] in fours {
                let terms = [from_ref(a.1), from_ref(b.1), from_ref(c.1), from_ref(d.1)];
                block.add::<L, 4, 1, FORM>(l, of.clone(), terms, [a.0, b.0, c.0, d.0], sums, ask_nothing);
            }
            let (twos, rest) = rest.as_chunks::<2>();
            for &[a, b] in twos {
                let terms = [from_ref(a.1), from_ref(b.1)];
                block.add::<L, 2, 1, FORM>(l, of.clone(), terms, [a.0, b.0], sums, ask_nothing);
            }
            for &(row, term) in rest {
                block.add::<L, 1, 2, FORM>(l, of.clone(), [from_ref(term)], [row], sums, ask_nothing);
            }
        }
    }
}

/// Has the second cache fetch a group of each of these tiles.
#[inline(always)]
fn ask(w: &Int8Matrix, tiles: &Range<usize>, group: usize) {
    for tile in tiles.clone() {
        w.fetch(tile, group);
    }
}

/// Of groups whose codes are in the caches.
#[inline(always)]
fn ask_nothing(_group: usize) {}

/// Tiles of a block: the ones from `first` on of the `of` that sums are for.
struct Block<'a, const R: usize> {
    tiles: &'a [Tile<'a>; R],
    first: usize,
    of: usize,
}

impl<const R: usize> Block<'_, R> {
    /// Adds the terms of `groups`, `T` rows of them, to the sums of these rows, `[rows, of]`. `before`
    /// is told each group before it is read.
    #[inline(always)]
    fn add<L: Lanes, const T: usize, const S: usize, const FORM: u8>(
        &self,
        l: L,
        groups: Range<usize>,
        terms: [&[Term]; T],
        rows: [usize; T],
        sums: &mut [Vector],
        before: impl Fn(usize),
    ) {
        let lines: [&[[Line; PAIRS]]; R] = std::array::from_fn(|r| self.tiles[r].lines.as_chunks().0);
        let mut acc = [[l.splat(0.0); R]; T];
        for t in 0..T {
            for r in 0..R {
                acc[t][r] = l.load(&sums[rows[t] * self.of + self.first + r]);
            }
        }
        // Unknown to the compiler: it would unroll the loop, load all activations of the group first and run out of
        // registers.
        let n_pairs = black_box(PAIRS);
        for (i, g) in groups.enumerate() {
            before(g);
            // A closure with vectors in it would be a call in the innermost loop but one: it does not end up where the
            // instructions are.
            let mut of_group = [&terms[0][i]; T];
            for t in 1..T {
                of_group[t] = &terms[t][i];
            }
            group::<L, T, R, S, FORM>(l, n_pairs, g, &lines, self.tiles, of_group, &mut acc);
        }
        for t in 0..T {
            for r in 0..R {
                l.store(acc[t][r], &mut sums[rows[t] * self.of + self.first + r]);
            }
        }
    }
}

/// Adds group `g` of `T` tokens against `R` tiles to the sums. Each dot product is built in `S` integer sums (one or two),
/// so that a single token does not wait for its own last addition. `n_pairs` is the number of pairs of lines in a group.
#[inline(always)]
fn group<L: Lanes, const T: usize, const R: usize, const S: usize, const FORM: u8>(
    l: L,
    n_pairs: usize,
    g: usize,
    lines: &[&[[Line; PAIRS]]; R],
    tiles: &[Tile<'_>; R],
    terms: [&Term; T],
    acc: &mut [[L::F; R]; T],
) {
    // Four lines of whole bytes lie apart from the four before them.
    let per_group = if FORM == NIBBLES { 1 } else { 2 };
    let mut halves = [(&lines[0][g * per_group], &lines[0][(g + 1) * per_group - 1]); R];
    for r in 1..R {
        halves[r] = (&lines[r][g * per_group], &lines[r][(g + 1) * per_group - 1]);
    }
    let mut dots = [[[l.zero_dots(); S]; R]; T];
    for j in 0..n_pairs {
        let (at_low, at_high) = (j % PAIRS, j % PAIRS + PAIRS);
        for r in 0..R {
            let (low, high) = if FORM == NIBBLES {
                l.load_nibbles(&halves[r].0[at_low].0)
            } else {
                (l.load_bytes(&halves[r].0[at_low].0), l.load_bytes(&halves[r].1[at_low].0))
            };
            for t in 0..T {
                let (words, dots) = (&terms[t].words, &mut dots[t][r]);
                if FORM == BYTES {
                    dots[0] = l.dot::<false>(dots[0], low, words[at_low]);
                    dots[S - 1] = l.dot::<false>(dots[S - 1], high, words[at_high]);
                } else {
                    dots[0] = l.dot::<true>(dots[0], low, words[at_low]);
                    dots[S - 1] = l.dot::<true>(dots[S - 1], high, words[at_high]);
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
                dot = l.add_dots(dot, part);
            }
            let dot = if FORM == BYTES { l.dots_to_f32::<false>(dot) } else { l.dots_to_f32::<true>(dot) };
            acc[t][r] = l.fma(dot, l.mul(d, l.splat(scale)), acc[t][r]);
            acc[t][r] = l.fma(m, l.splat(scaled_sum), acc[t][r]);
        }
    }
}

#[inline(always)]
fn unpack_tile<L: Lanes>(l: L, tile: &Tile<'_>, out: &mut [Line]) {
    for (packed, out) in tile.lines.chunks_exact(PAIRS).zip(out.chunks_exact_mut(LINES)) {
        let (low_out, high_out) = out.split_at_mut(PAIRS);
        for ((packed, low_out), high_out) in packed.iter().zip(low_out).zip(high_out) {
            let (low, high) = l.load_nibbles(&packed.0);
            l.store_bytes(low, &mut low_out.0);
            l.store_bytes(high, &mut high_out.0);
        }
    }
}
