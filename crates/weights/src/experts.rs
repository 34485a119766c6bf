//! Stacked matrices, as checkpoints hold the experts of a layer: one matrix of the stack, and its transpose.

use crate::{DType, Error, GroupScales, Result, Tensor};

/// A tensor of its own: what had to be rearranged, because no view of the file shows it as it is needed.
#[derive(Debug, Clone)]
pub struct OwnedTensor {
    name: String,
    dtype: DType,
    shape: Vec<u64>,
    bytes: Vec<u8>,
}

impl OwnedTensor {
    pub fn view(&self) -> Tensor<'_> {
        Tensor { name: &self.name, dtype: self.dtype, shape: &self.shape, bytes: &self.bytes, scales: None }
    }
}

impl<'a> Tensor<'a> {
    /// Matrix `index` `[rows, cols]` of a stack `[n, rows, cols]`.
    ///
    /// Errors: [`Error::Stack`] for another rank, [`Error::Row`] past the end.
    pub fn matrix(&self, index: u64) -> Result<Self> {
        let [n, rows, _] = *self.shape else {
            return Err(Error::Stack { tensor: self.name.to_owned(), shape: self.shape.to_vec() });
        };
        if index >= n {
            return Err(Error::Row { tensor: self.name.to_owned(), row: index, rows: n });
        }
        let slice = |bytes: &'a [u8], row_bytes: u64| {
            let len = usize::try_from(rows * row_bytes).unwrap_or(usize::MAX);
            let start = usize::try_from(index * rows * row_bytes).unwrap_or(usize::MAX);
            bytes.get(start..).and_then(|tail| tail.get(..len)).unwrap_or_default()
        };
        let scales = self.scales.map(|scales| GroupScales {
            bytes: slice(scales.bytes, scales.groups * scales.dtype.block_bytes()),
            ..scales
        });
        let shape = self.shape.get(1..).unwrap_or_default();
        Ok(Self { shape, bytes: slice(self.bytes, self.row_len_bytes()), scales, ..*self })
    }

    /// `[cols, rows]` of a matrix `[rows, cols]` of plain numbers.
    ///
    /// Errors: [`Error::Transpose`] for block types, whose groups lie along their rows, and for other ranks.
    pub fn transposed(&self) -> Result<OwnedTensor> {
        let refused = || Error::Transpose { tensor: self.name.to_owned(), dtype: self.dtype };
        let [rows, cols] = *self.shape else { return Err(refused()) };
        let bytes = match self.dtype {
            DType::F32 => transpose::<4>(self.bytes, rows, cols),
            DType::F16 | DType::BF16 => transpose::<2>(self.bytes, rows, cols),
            _ => return Err(refused()),
        };
        Ok(OwnedTensor { name: self.name.to_owned(), dtype: self.dtype, shape: vec![cols, rows], bytes })
    }
}

/// Rows of the input that are read together, so that a cache line of the output is written in one go.
const STRIP: usize = 32;

fn transpose<const B: usize>(bytes: &[u8], rows: u64, cols: u64) -> Vec<u8> {
    let (rows, cols) =
        (usize::try_from(rows).unwrap_or(usize::MAX), usize::try_from(cols).unwrap_or(usize::MAX));
    let (values, _) = bytes.as_chunks::<B>();
    let mut out = vec![[0u8; B]; values.len()];
    if rows == 0 || cols == 0 {
        return Vec::new();
    }
    for (strip, values) in values.chunks(STRIP * cols).enumerate() {
        for (column, out) in out.chunks_exact_mut(rows).enumerate() {
            let of_column = values.iter().skip(column).step_by(cols);
            for (out, value) in out.iter_mut().skip(strip * STRIP).zip(of_column) {
                *out = *value;
            }
        }
    }
    out.into_flattened()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor<'a>(shape: &'a [u64], bytes: &'a [u8]) -> Tensor<'a> {
        Tensor { name: "stack", dtype: DType::F32, shape, bytes, scales: None }
    }

    #[test]
    fn a_matrix_of_a_stack_and_its_transpose() {
        let values: Vec<f32> = (0..2 * 70 * 3).map(|x| x as f32).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let stack = tensor(&[2, 70, 3], &bytes);
        let second = stack.matrix(1).unwrap();
        assert_eq!((second.shape, second.rows(), second.cols()), (&[70u64, 3][..], 70, 3));
        assert_eq!(second.dequantise().unwrap(), values[210..]);
        let turned = second.transposed().unwrap();
        assert_eq!(turned.view().shape, [3, 70]);
        let turned = turned.view().dequantise().unwrap();
        for row in 0..70 {
            for col in 0..3 {
                assert_eq!(turned[col * 70 + row], values[210 + row * 3 + col]);
            }
        }
    }

    #[test]
    fn what_is_no_stack_or_past_its_end_is_refused() {
        let bytes = [0; 48];
        assert!(matches!(tensor(&[3, 4], &bytes).matrix(0), Err(Error::Stack { .. })));
        assert!(matches!(tensor(&[2, 2, 3], &bytes).matrix(2), Err(Error::Row { row: 2, rows: 2, .. })));
        assert!(matches!(tensor(&[2, 2, 3], &bytes).transposed(), Err(Error::Transpose { .. })));
        let blocks = Tensor { dtype: DType::Q8_0, ..tensor(&[1, 32], &[0; 34]) };
        assert!(matches!(blocks.transposed(), Err(Error::Transpose { dtype: DType::Q8_0, .. })));
    }
}
