//! The directory of a model's tensors, as the container readers build it: name → type, shape, place in a file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use crate::{DType, Error, Result};

/// Tensors by name.
pub(crate) type Table = BTreeMap<String, Entry>;

/// One tensor. `range` was checked against the file's length and against `dtype` and `shape`.
#[derive(Debug)]
pub(crate) struct Entry {
    pub dtype: StoredType,
    /// Outermost dimension first.
    pub shape: Vec<u64>,
    /// Index into the model's files.
    pub file: usize,
    pub range: Range<u64>,
    pub scales: Option<ScalesEntry>,
}

/// Where the parts of a [`DType::PackedInt4`] tensor beside its codes lie; they are described at [`crate::GroupScales`].
#[derive(Debug)]
pub(crate) struct ScalesEntry {
    pub dtype: DType,
    pub place: Place,
    /// Scales per row.
    pub groups: u64,
    pub zero_points: Option<Place>,
    pub g_idx: Option<Place>,
}

/// Checked bytes of one of the model's files.
#[derive(Debug)]
pub(crate) struct Place {
    /// Index into the model's files.
    pub file: usize,
    pub range: Range<u64>,
}

/// A type whose size is known, which is enough to check a file; only some can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredType {
    Known(DType),
    Other { name: &'static str, bytes: u64 },
}

/// Number of elements of a shape.
pub(crate) fn elements(path: &Path, tensor: &str, shape: &[u64]) -> Result<u64> {
    shape.iter().try_fold(1u64, |n, dim| n.checked_mul(*dim)).ok_or_else(|| overflow(path, tensor, shape))
}

/// Bytes that a tensor of a GGUF or plain type takes.
pub(crate) fn byte_len(path: &Path, tensor: &str, dtype: DType, shape: &[u64]) -> Result<u64> {
    let (cols, outer) = shape.split_last().map_or((1, shape), |(cols, outer)| (*cols, outer));
    let rows = elements(path, tensor, outer)?;
    if !cols.is_multiple_of(dtype.block_len()) {
        return Err(Error::Shape {
            path: path.to_owned(),
            tensor: tensor.to_owned(),
            shape: shape.to_vec(),
            expected: format!("rows of whole {dtype} blocks of {}", dtype.block_len()),
        });
    }
    // The element count must fit as well: it sizes the buffers that tensors are decoded into.
    elements(path, tensor, shape)?;
    dtype.row_bytes(cols).and_then(|row| row.checked_mul(rows)).ok_or_else(|| overflow(path, tensor, shape))
}

fn overflow(path: &Path, tensor: &str, shape: &[u64]) -> Error {
    Error::SizeOverflow { path: path.to_owned(), tensor: tensor.to_owned(), shape: shape.to_vec() }
}
