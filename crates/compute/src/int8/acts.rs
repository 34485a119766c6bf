//! Activations as the int8 product wants them, and the row-wise stages that end in quantising.

use rayon::prelude::*;

use super::exp::exp;
use super::matrix::{GROUP, LINES};
use crate::simd::{Isa, Kernel, LANES, Lanes};
use crate::{Pairing, RopeTable, Rows};

/// Quantised rows `[n_rows, width]`: i8 codes with one scale per row and group of 32 columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Int8Acts {
    /// `[n_rows, n_groups]`, each 32 codes, four to a word in little-endian order.
    pub(super) words: Vec<[i32; LINES]>,
    /// `[n_rows, n_groups]`: the scale `absmax / 127`, and the scale times the sum of the codes.
    pub(super) scales: Vec<[f32; 2]>,
    pub(super) n_rows: usize,
    pub(super) width: usize,
}

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
        self.words.resize(x.n_rows() * n_groups, [0; LINES]);
        self.scales.resize(x.n_rows() * n_groups, [0.0; 2]);
        let task = |at: usize, words: &mut [[i32; LINES]], scales: &mut [[f32; 2]]| {
            let mut y = vec![0.0f32; width];
            for (i, (words, scales)) in
                words.chunks_mut(n_groups).zip(scales.chunks_mut(n_groups)).enumerate()
            {
                isa.run(QuantiseRow { x: x.row(at * TASK_ROWS + i), y: &mut y, stage, words, scales });
            }
        };
        let chunk = TASK_ROWS * n_groups;
        if x.n_rows() <= TASK_ROWS {
            task(0, &mut self.words, &mut self.scales);
        } else {
            self.words
                .par_chunks_mut(chunk)
                .zip(self.scales.par_chunks_mut(chunk))
                .enumerate()
                .for_each(|(at, (words, scales))| task(at, words, scales));
        }
    }
}

struct QuantiseRow<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
    stage: Stage<'a>,
    words: &'a mut [[i32; LINES]],
    scales: &'a mut [[f32; 2]],
}

impl Kernel for QuantiseRow<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
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
        for ((y, words), scales) in y.as_chunks::<GROUP>().0.iter().zip(self.words).zip(self.scales) {
            quantise_group(l, y, words, scales);
        }
    }
}

/// Both operands' magnitudes.
#[inline(always)]
fn abs<L: Lanes>(l: L, x: L::F) -> L::F {
    l.max(x, l.sub(l.splat(0.0), x))
}

/// `code = round(x · (127 / absmax))`, ties to even; all zero when absmax is 0 or too small to divide by.
#[inline(always)]
fn quantise_group<L: Lanes>(l: L, x: &[f32; GROUP], words: &mut [i32; LINES], scales: &mut [f32; 2]) {
    let [low, high] = as_pair(x);
    let (low, high) = (l.load(low), l.load(high));
    let absmax = l.largest(l.max(abs(l, low), abs(l, high)));
    let inverse = if absmax > 1e-30 { 127.0 / absmax } else { 0.0 };
    let mut codes = [[0i8; LANES]; 2];
    l.store_i8(l.mul(low, l.splat(inverse)), &mut codes[0]);
    l.store_i8(l.mul(high, l.splat(inverse)), &mut codes[1]);
    let codes: &[i8] = codes.as_flattened();
    let mut sum = 0i32;
    for (word, codes) in words.iter_mut().zip(codes.as_chunks::<4>().0) {
        *word = i32::from_le_bytes(codes.map(|code| code as u8));
        sum += codes.iter().map(|&code| i32::from(code)).sum::<i32>();
    }
    let scale = if absmax > 1e-30 { absmax / 127.0 } else { 0.0 };
    *scales = [scale, scale * sum as f32];
}

#[inline(always)]
fn as_pair(x: &[f32; GROUP]) -> [&[f32; LANES]; 2] {
    let halves = x.as_chunks::<LANES>().0;
    [&halves[0], &halves[1]]
}

/// `x · (1 / sqrt(mean(x²) + eps)) · weight`; squares are summed lane by lane, then over the lanes.
#[inline(always)]
fn norm_row<L: Lanes>(l: L, x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) {
    let mut squares = l.splat(0.0);
    for x in x.as_chunks::<LANES>().0 {
        let x = l.load(x);
        squares = l.fma(x, x, squares);
    }
    let factor = l.splat(1.0 / (l.sum(squares) / x.len() as f32 + eps).sqrt());
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

/// Rotates rows of queries; the same two roundings per component as for keys.
pub(super) struct RotateRow<'a> {
    pub(super) row: &'a mut [f32],
    pub(super) head_dim: usize,
    pub(super) table: &'a RopeTable,
    pub(super) pairing: Pairing,
    pub(super) column: usize,
}

impl Kernel for RotateRow<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        for i in 0..self.table.n_freqs() {
            let (cos, sin) = self.table.angle(i, self.column);
            let (at_a, at_b) = self.pairing.pair(i, self.head_dim);
            for head in self.row.chunks_exact_mut(self.head_dim) {
                let (a, b) = (head[at_a], head[at_b]);
                head[at_a] = (-b).mul_add(sin, a * cos);
                head[at_b] = a.mul_add(sin, b * cos);
            }
        }
    }
}
