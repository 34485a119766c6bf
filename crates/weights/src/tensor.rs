//! One tensor, lent from the mapped file: raw rows for the engine's repacking, f32 rows for everyone else.

use crate::blocks::{self, decode_blocks};
use crate::{DType, Error, GroupScales, Result};

/// A tensor in place. Lengths of `bytes`, `shape` and scales agree; [`crate::Model`] made sure of it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Tensor<'a> {
    pub name: &'a str,
    pub dtype: DType,
    /// Outermost dimension first: a linear layer is `[out, in]`.
    pub shape: &'a [u64],
    /// Rows one after the other, each [`Tensor::row_len_bytes`] long; no alignment is promised.
    pub bytes: &'a [u8],
    /// Present exactly for [`DType::PackedInt4`].
    pub scales: Option<GroupScales<'a>>,
}

impl<'a> Tensor<'a> {
    /// Product of all dimensions but the last.
    pub fn rows(&self) -> u64 {
        self.shape.split_last().map_or(1, |(_, outer)| outer.iter().product())
    }

    /// The last dimension, along which values are contiguous (1 for a scalar).
    pub fn cols(&self) -> u64 {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Number of values.
    pub fn len(&self) -> u64 {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of one row.
    pub fn row_len_bytes(&self) -> u64 {
        self.dtype.row_bytes(self.cols()).unwrap_or(0)
    }

    /// Stored bytes of row `row`.
    pub fn row_bytes(&self, row: u64) -> Result<&'a [u8]> {
        if row >= self.rows() {
            return Err(Error::Row { tensor: self.name.to_owned(), row, rows: self.rows() });
        }
        let len = self.row_len_bytes();
        let start = usize::try_from(row * len).unwrap_or(usize::MAX);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let row = self.bytes.get(start..).and_then(|tail| tail.get(..len));
        Ok(row.unwrap_or_default())
    }

    /// Writes row `row` as f32; `out` has [`Tensor::cols`] values.
    pub fn dequantise_row(&self, row: u64, out: &mut [f32]) -> Result<()> {
        if out.len() as u64 != self.cols() {
            let (tensor, expected) = (self.name.to_owned(), self.cols());
            return Err(Error::BufferLength { tensor, expected, got: out.len() as u64 });
        }
        self.decode_row(row, self.row_bytes(row)?, out)
    }

    /// All values as f32, row after row.
    pub fn dequantise(&self) -> Result<Vec<f32>> {
        let mut out = vec![0.0; usize::try_from(self.len()).unwrap_or(usize::MAX)];
        if let (DType::PackedInt4 { .. }, false) = (self.dtype, out.is_empty()) {
            let cols = usize::try_from(self.cols()).unwrap_or(usize::MAX);
            for (row, out) in (0..).zip(out.chunks_exact_mut(cols)) {
                self.dequantise_row(row, out)?;
            }
        } else {
            self.decode_row(0, self.bytes, &mut out)?;
        }
        Ok(out)
    }

    fn decode_row(&self, row: u64, bytes: &[u8], out: &mut [f32]) -> Result<()> {
        match self.dtype {
            DType::F32 => blocks::decode_f32(bytes, out),
            DType::F16 => blocks::decode_f16(bytes, out),
            DType::BF16 => blocks::decode_bf16(bytes, out),
            DType::Q8_0 => decode_blocks(bytes, out, blocks::q8_0::decode),
            DType::Q4_0 => decode_blocks(bytes, out, blocks::q4_0::decode),
            DType::Q4_1 => decode_blocks(bytes, out, blocks::q4_1::decode),
            DType::Q4K => decode_blocks(bytes, out, blocks::q4_k::decode),
            DType::Q5K => decode_blocks(bytes, out, blocks::q5_k::decode),
            DType::Q6K => decode_blocks(bytes, out, blocks::q6_k::decode),
            DType::PackedInt4 { group_size } => {
                let Some(scales) = self.scales else { return Ok(()) };
                let group_of = |col| scales.group_of(col as u64, group_size);
                let affine = |group| (scales.get(row, group), scales.zero_point(row, group));
                blocks::int4::decode_row(bytes, group_of, affine, out);
            }
            DType::U8 | DType::I32 | DType::I64 => {
                return Err(Error::NotWeights { tensor: self.name.to_owned(), dtype: self.dtype });
            }
        }
        Ok(())
    }
}
