//! A matrix of a source tensor, `[out, in]` wherever and however it lies there, and its way into int4.

use rayon::prelude::*;

use crate::{DType, Error, Result, SafetensorsWriter, Tensor, blocks, quantise};

/// Output rows per task. Columns of a fused tensor are read in strips of this width.
const BLOCK_ROWS: u64 = 64;
/// Rows of a fused tensor that are transposed together: a cache line of each output row. Divides every group size.
const TILE: usize = 16;
/// Sizes of a group of columns, the best first.
const GROUP_SIZES: [u64; 3] = [128, 64, 32];

/// Bytes that a matrix `[n_out, n_in]` takes in the result: codes, scales and shape. `None` where its columns make no whole
/// groups.
pub fn int4_bytes(n_out: u64, n_in: u64) -> Option<u64> {
    Some(n_out * (n_in / 2 + 2 * (n_in / group_size(n_in)?)) + 2 * DType::I64.block_bytes())
}

fn group_size(n_in: u64) -> Option<u64> {
    GROUP_SIZES.into_iter().find(|size| n_in.is_multiple_of(*size))
}

/// A matrix to be quantised.
#[derive(Debug)]
pub(super) struct Matrix<'a> {
    /// Name without `.weight`.
    pub module: String,
    pub n_out: u64,
    pub n_in: u64,
    pub group_size: u64,
    tensor: Tensor<'a>,
    layout: Layout,
}

/// Where a matrix lies in its tensor.
#[derive(Debug, Clone, Copy)]
enum Layout {
    /// It is the tensor.
    Whole,
    /// Transposed: its rows are columns of the tensor from `first_col` on, its columns the rows from `first_row` on.
    Transposed { first_row: u64, first_col: u64 },
}

impl<'a> Matrix<'a> {
    /// A tensor that is the matrix. The error says what shape was expected.
    pub fn whole(module: String, tensor: Tensor<'a>) -> Result<Self, &'static str> {
        let [n_out, n_in] = *tensor.shape else { return Err("[out, in]") };
        Self::new(module, tensor, Layout::Whole, [n_out, n_in])
    }

    /// Part `part` of `n_parts` equal ones (gate and up) of expert `expert` of a fused tensor `[experts, in, out]`.
    pub fn of_fused(
        module: String,
        tensor: Tensor<'a>,
        expert: u64,
        (part, n_parts): (u64, u64),
    ) -> Result<Self, &'static str> {
        let [_, n_in, width] = *tensor.shape else { return Err("[experts, in, out]") };
        if !width.is_multiple_of(n_parts) {
            return Err("[experts, in, out] with gate and up of one width");
        }
        let n_out = width / n_parts;
        let layout = Layout::Transposed { first_row: expert * n_in, first_col: part * n_out };
        Self::new(module, tensor, layout, [n_out, n_in])
    }

    fn new(
        module: String,
        tensor: Tensor<'a>,
        layout: Layout,
        [n_out, n_in]: [u64; 2],
    ) -> Result<Self, &'static str> {
        if tensor.is_empty() {
            return Err("at least one weight");
        }
        let group_size = group_size(n_in).ok_or("input features in groups of 32")?;
        Ok(Self { module, n_out, n_in, group_size, tensor, layout })
    }

    pub fn bytes_read(&self) -> u64 {
        self.n_out * self.n_in * self.tensor.dtype.block_bytes()
    }

    /// Writes codes, scales and shape.
    pub fn write(&self, writer: &mut SafetensorsWriter) -> Result<()> {
        let (words, scales) = self.quantise()?;
        writer.write(&words)?;
        writer.write(&scales)?;
        [self.n_out, self.n_in].iter().try_for_each(|dim| writer.write(&dim.to_le_bytes()))
    }

    /// Codes, `n_in / 2` bytes per row, and scales, bf16 `[n_out, n_in / group_size]`.
    fn quantise(&self) -> Result<(Vec<u8>, Vec<u8>)> {
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let (word_bytes, scale_bytes) = (self.n_in / 2, 2 * self.n_in / self.group_size);
        let mut words = vec![0; size(self.n_out * word_bytes)];
        let mut scales = vec![0; size(self.n_out * scale_bytes)];
        let blocks = words
            .par_chunks_mut(size(BLOCK_ROWS * word_bytes))
            .zip(scales.par_chunks_mut(size(BLOCK_ROWS * scale_bytes)));
        blocks.enumerate().try_for_each(|(block, (words, scales))| {
            let first = block as u64 * BLOCK_ROWS;
            let mut weights = vec![0.0; words.len() * 2];
            self.read(first, &mut weights)?;
            let group = size(self.group_size);
            let groups = weights.chunks_exact(group).zip(words.chunks_exact_mut(group / 2));
            for (at, ((weights, words), scale)) in (0..).zip(groups.zip(scales.as_chunks_mut().0)) {
                let row = first + at * self.group_size / self.n_in;
                let not_finite = || Error::NotFinite { tensor: self.module.clone(), row };
                *scale = quantise::group(weights, words).ok_or_else(not_finite)?.to_le_bytes();
            }
            Ok(())
        })?;
        Ok((words, scales))
    }

    /// Reads rows from `first` on, as many as `out` has room for.
    fn read(&self, first: u64, out: &mut [f32]) -> Result<()> {
        let n_in = usize::try_from(self.n_in).unwrap_or(usize::MAX);
        let rows = out.chunks_exact_mut(n_in).len();
        match self.layout {
            Layout::Whole => (first..)
                .zip(out.chunks_exact_mut(n_in))
                .try_for_each(|(row, out)| self.tensor.dequantise_row(row, out)),
            Layout::Transposed { first_row, first_col } => {
                let mut strips = vec![0.0; TILE * rows];
                for tile in (0..n_in).step_by(TILE) {
                    for (row, strip) in (first_row + tile as u64..).zip(strips.chunks_exact_mut(rows)) {
                        self.read_strip(row, first_col + first, strip)?;
                    }
                    for (row, out) in out.chunks_exact_mut(n_in).enumerate() {
                        let values = strips.iter().skip(row).step_by(rows);
                        out.iter_mut().skip(tile).zip(values).for_each(|(out, w)| *out = *w);
                    }
                }
                Ok(())
            }
        }
    }

    /// Values of row `row` of the tensor from column `first` on.
    fn read_strip(&self, row: u64, first: u64, out: &mut [f32]) -> Result<()> {
        let width = self.tensor.dtype.block_bytes();
        let start = usize::try_from(first * width).unwrap_or(usize::MAX);
        let len = out.len() * width as usize;
        let bytes = self.tensor.row_bytes(row)?.get(start..).and_then(|tail| tail.get(..len));
        let bytes = bytes.unwrap_or_default();
        match self.tensor.dtype {
            DType::F32 => blocks::decode_f32(bytes, out),
            DType::F16 => blocks::decode_f16(bytes, out),
            DType::BF16 => blocks::decode_bf16(bytes, out),
            dtype => return Err(Error::NotWeights { tensor: self.tensor.name.to_owned(), dtype }),
        }
        Ok(())
    }
}
