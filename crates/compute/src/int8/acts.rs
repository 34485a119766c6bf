//! Activations as the int8 product wants them, and the row-wise stages that end in quantising.

use rayon::prelude::*;

use super::exp::{MAGIC, exp};
use super::matrix::{GROUP, LINES};
use crate::Rows;
use crate::simd::{Isa, Kernel, LANES, Lanes};

/// Quantised rows `[n_rows, width]`: i8 codes with one scale per row and group of 32 columns. A group that stands out of
/// its row has a second term: what the first codes left over, quantised once more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Int8Acts {
    /// `[n_rows, n_groups]`
    pub(super) terms: Vec<Term>,
    /// `[n_rows, n_groups]`: the second terms of a row come first, in the order of their groups.
    pub(super) seconds: Vec<Second>,
    /// Second terms of each row, `[n_rows]`.
    pub(super) n_seconds: Vec<usize>,
    pub(super) n_rows: usize,
    pub(super) width: usize,
}

/// A group of activations in int8.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Term {
    /// 32 codes, four to a word in little-endian order.
    pub(super) words: [i32; LINES],
    /// `absmax / 127`
    pub(super) scale: f32,
    /// The scale times the sum of the codes.
    pub(super) scaled_sum: f32,
}

/// The second term of group `group`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Second {
    pub(super) group: usize,
    pub(super) term: Term,
}

/// A group has a second term where its largest magnitude is more than this many times the row's root mean square: its
/// rounding error grows with its largest value. Lower values hardly bring SmolLM2-135M nearer to f32, because int8 KV
/// makes most of what is left.
const STANDS_OUT: f32 = 2.5;

/// Rows per task of the row-wise stages.
const TASK_ROWS: usize = 8;

/// What is computed per row before quantising.
#[derive(Clone, Copy)]
pub(super) enum Stage<'a> {
    Copy,
    Norm { weight: &'a [f32], eps: f32 },
    SwiGlu,
}

impl Int8Acts {
    /// Runs `stage` on every row of `x` and quantises its output of `width` values.
    pub(super) fn fill(&mut self, isa: Isa, x: &Rows, width: usize, stage: Stage<'_>) {
        assert!(width.is_multiple_of(GROUP) && width > 0, "{width} activations are not groups of {GROUP}");
        let n_groups = width / GROUP;
        (self.n_rows, self.width) = (x.n_rows(), width);
        self.terms.resize(x.n_rows() * n_groups, Term::default());
        self.seconds.resize(x.n_rows() * n_groups, Second::default());
        self.n_seconds.resize(x.n_rows(), 0);
        let task = |at: usize, terms: &mut [Term], seconds: &mut [Second], n_seconds: &mut [usize]| {
            let mut y = vec![0.0f32; width];
            let rows = terms.chunks_mut(n_groups).zip(seconds.chunks_mut(n_groups)).zip(n_seconds);
            for (i, ((terms, seconds), n_seconds)) in rows.enumerate() {
                let x = x.row(at * TASK_ROWS + i);
                *n_seconds = isa.run(QuantiseRow { x, y: &mut y, stage, terms, seconds });
            }
        };
        let chunk = TASK_ROWS * n_groups;
        if x.n_rows() <= TASK_ROWS {
            task(0, &mut self.terms, &mut self.seconds, &mut self.n_seconds);
        } else {
            self.terms
                .par_chunks_mut(chunk)
                .zip(self.seconds.par_chunks_mut(chunk))
                .zip(self.n_seconds.par_chunks_mut(TASK_ROWS))
                .enumerate()
                .for_each(|(at, ((terms, seconds), n_seconds))| task(at, terms, seconds, n_seconds));
        }
    }

    /// First terms of row `row`, `[n_groups]`.
    pub(super) fn terms(&self, row: usize) -> &[Term] {
        let n_groups = self.width / GROUP;
        &self.terms[row * n_groups..(row + 1) * n_groups]
    }

    /// Second terms of row `row`.
    pub(super) fn seconds(&self, row: usize) -> &[Second] {
        &self.seconds[row * (self.width / GROUP)..][..self.n_seconds[row]]
    }
}

struct QuantiseRow<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
    stage: Stage<'a>,
    terms: &'a mut [Term],
    seconds: &'a mut [Second],
}

impl Kernel for QuantiseRow<'_> {
    /// Number of second terms.
    type Out = usize;

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) -> usize {
        let y = match self.stage {
            Stage::Copy => self.x,
            Stage::Norm { weight, eps } => {
                norm_row(l, self.x, weight, eps, self.y);
                &*self.y
            }
            Stage::SwiGlu => {
                swiglu_row(l, self.x, self.y);
                &*self.y
            }
        };
        let groups = y.as_chunks::<GROUP>().0;
        for (x, term) in groups.iter().zip(&mut *self.terms) {
            *term = quantise_group(l, x).0;
        }
        let limit = STANDS_OUT * root_mean_square(l, y, 0.0) / 127.0;
        let mut n_seconds = 0;
        for (group, (x, first)) in groups.iter().zip(&*self.terms).enumerate() {
            if first.scale > limit {
                self.seconds[n_seconds] =
                    Second { group, term: quantise_group(l, &left_over(l, x, first)).0 };
                n_seconds += 1;
            }
        }
        n_seconds
    }
}

/// Both operands' magnitudes.
#[inline(always)]
fn abs<L: Lanes>(l: L, x: L::F) -> L::F {
    l.max(x, l.sub(l.splat(0.0), x))
}

/// `code = round(x · (127 / absmax))`, ties to even; all zero when absmax is 0 or too small to divide by. Gives the sum of
/// the codes too.
#[inline(always)]
pub(super) fn quantise_group<L: Lanes>(l: L, x: &[f32; GROUP]) -> (Term, i32) {
    let [low, high] = as_pair(x);
    let (low, high) = (l.load(low), l.load(high));
    let absmax = l.largest(l.max(abs(l, low), abs(l, high)));
    let inverse = if absmax > 1e-30 { 127.0 / absmax } else { 0.0 };
    let (low, high) = (l.mul(low, l.splat(inverse)), l.mul(high, l.splat(inverse)));
    let mut codes = [[0i8; LANES]; 2];
    l.store_i8(low, &mut codes[0]);
    l.store_i8(high, &mut codes[1]);
    let mut words = [0; LINES];
    for (i, word) in words.iter_mut().enumerate() {
        let of = &codes[i / 4];
        let at = i % 4 * 4;
        *word = i32::from_le_bytes([of[at] as u8, of[at + 1] as u8, of[at + 2] as u8, of[at + 3] as u8]);
    }
    // Whole numbers below 2²⁴: exact in any order.
    let sum = l.sum(l.add(nearest(l, low), nearest(l, high))) as i32;
    let scale = if absmax > 1e-30 { absmax / 127.0 } else { 0.0 };
    (Term { words, scale, scaled_sum: scale * sum as f32 }, sum)
}

/// The nearest integer, ties to even, of what is far below 2²².
#[inline(always)]
fn nearest<L: Lanes>(l: L, x: L::F) -> L::F {
    let magic = l.splat(MAGIC);
    l.sub(l.add(x, magic), magic)
}

/// `x − scale · code`, rounded once.
#[inline(always)]
fn left_over<L: Lanes>(l: L, x: &[f32; GROUP], term: &Term) -> [f32; GROUP] {
    let mut left = *x;
    for (half, left) in left.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let mut codes = [0i8; LANES];
        for (i, code) in codes.iter_mut().enumerate() {
            *code = term.words[half * 4 + i / 4].to_le_bytes()[i % 4] as i8;
        }
        l.store(l.fnma(l.load_i8(&codes), l.splat(term.scale), l.load(left)), left);
    }
    left
}

#[inline(always)]
fn as_pair(x: &[f32; GROUP]) -> [&[f32; LANES]; 2] {
    let halves = x.as_chunks::<LANES>().0;
    [&halves[0], &halves[1]]
}

/// `sqrt(mean(x²) + eps)`; squares are summed lane by lane, then over the lanes.
#[inline(always)]
fn root_mean_square<L: Lanes>(l: L, x: &[f32], eps: f32) -> f32 {
    let mut squares = l.splat(0.0);
    for x in x.as_chunks::<LANES>().0 {
        let x = l.load(x);
        squares = l.fma(x, x, squares);
    }
    (l.sum(squares) / x.len() as f32 + eps).sqrt()
}

/// `x · (1 / sqrt(mean(x²) + eps)) · weight`
#[inline(always)]
fn norm_row<L: Lanes>(l: L, x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) {
    let factor = l.splat(1.0 / root_mean_square(l, x, eps));
    let vectors = x.as_chunks::<LANES>().0.iter().zip(weight.as_chunks::<LANES>().0);
    for ((x, w), y) in vectors.zip(y.as_chunks_mut::<LANES>().0) {
        l.store(l.mul(l.mul(l.load(x), factor), l.load(w)), y);
    }
}

/// `gate / (1 + exp(−gate)) · up`.
#[inline(always)]
fn swiglu_row<L: Lanes>(l: L, gate_up: &[f32], y: &mut [f32]) {
    let (gate, up) = gate_up.split_at(y.len());
    let vectors = gate.as_chunks::<LANES>().0.iter().zip(up.as_chunks::<LANES>().0);
    for ((gate, up), y) in vectors.zip(y.as_chunks_mut::<LANES>().0) {
        let gate = l.load(gate);
        let denominator = l.add(l.splat(1.0), exp(l, l.sub(l.splat(0.0), gate)));
        l.store(l.mul(l.div(gate, denominator), l.load(up)), y);
    }
}
