//! `Rows`: the f32 activations that flow between the stages of a forward pass, one row per token.

use std::ops::Range;

use rayon::prelude::*;

/// Rows per task, at least: a copy of fewer is over before another thread has begun.
const TASK_ROWS: usize = 64;

/// A contiguous matrix `[n_rows, width]` of f32, one row per token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    data: Vec<f32>,
    n_rows: usize,
    width: usize,
}

impl Rows {
    /// `n_rows × width` zeros.
    pub fn zeros(n_rows: usize, width: usize) -> Self {
        Self { data: vec![0.0; n_rows * width], n_rows, width }
    }

    /// Takes `data` as rows of `width` values.
    ///
    /// # Panics
    /// When `data.len()` is not a multiple of `width`.
    pub fn from_vec(data: Vec<f32>, width: usize) -> Self {
        assert!(
            width > 0 && data.len().is_multiple_of(width),
            "{} values are not rows of {width}",
            data.len()
        );
        Self { n_rows: data.len() / width, data, width }
    }

    /// Changes the shape and keeps the allocation; the values afterwards are unspecified
    /// (a mix of old ones and zeros), so every user of a resized buffer overwrites it.
    pub fn resize(&mut self, n_rows: usize, width: usize) {
        self.data.resize(n_rows * width, 0.0);
        self.n_rows = n_rows;
        self.width = width;
    }

    /// Becomes some columns of `from`.
    pub fn copy_columns(&mut self, from: &Rows, columns: Range<usize>) {
        self.resize(from.n_rows, columns.len());
        let rows = self.data.par_chunks_exact_mut(columns.len()).enumerate().with_min_len(TASK_ROWS);
        rows.for_each(|(i, row)| row.copy_from_slice(&from.row(i)[columns.clone()]));
    }

    /// Number of rows (tokens).
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Values per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Row `i`, `[width]`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.width..(i + 1) * self.width]
    }

    /// Row `i`, `[width]`, writable.
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        &mut self.data[i * self.width..(i + 1) * self.width]
    }

    /// All rows one after another, `[n_rows * width]`.
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }

    /// All rows one after another, writable.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.data
    }
}
