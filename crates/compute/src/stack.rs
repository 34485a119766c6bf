//! Checks on the tensors that are stacked into one matrix, shared by all implementations of `Ops::matrix`.

use weights::Tensor;

use crate::{Error, Result};

/// Shape `(out, in)` of the matrix that `parts` stack to.
pub(crate) fn stacked_shape(parts: &[&Tensor<'_>]) -> Result<(usize, usize)> {
    let mut shape: Option<(usize, usize)> = None;
    for part in parts {
        let [rows, cols] = part.shape[..] else {
            return Err(Error::NotAMatrix {
                name: part.name.to_string(),
                rank: part.shape.len(),
                shape: part.shape.to_vec(),
            });
        };
        let (rows, cols) = (rows as usize, cols as usize);
        if rows == 0 || cols == 0 {
            return Err(Error::Empty { name: part.name.to_string() });
        }
        match &mut shape {
            None => shape = Some((rows, cols)),
            Some((_, expected)) if *expected != cols => {
                return Err(Error::Columns {
                    name: part.name.to_string(),
                    first: parts[0].name.to_string(),
                    expected: *expected,
                    got: cols,
                });
            }
            Some((total, _)) => *total += rows,
        }
    }
    shape.ok_or(Error::Empty { name: String::new() })
}
