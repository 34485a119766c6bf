//! A Llama 4 checkpoint in bf16, f16 or f32 becomes one in int4 by Meta's recipe: routed experts and shared expert in
//! int4 with a scale per 128 columns, everything else as it is, bit for bit.
//!
//! The result is a folder in compressed-tensors form (`pack-quantized`): every expert has matrices of its own,
//! `feed_forward.experts.{e}.{gate,up,down}_proj`, `[out, in]`, whatever form the source keeps them in. [`Conversion`]
//! plans everything first, so that sizes are known before a byte is written; then memory holds one matrix at a time.

mod config;
mod matrix;
mod names;
mod plan;
#[cfg(test)]
mod tests;
mod write;

pub use matrix::int4_bytes;

use std::path::Path;

use crate::{DType, Error, Model, Result, Tensor, TensorSpec};
use matrix::Matrix;

/// Bytes of tensors per output file; a matrix with its scales stays in one.
const SHARD_BYTES: u64 = 5_000_000_000;

/// A planned conversion.
#[derive(Debug)]
pub struct Conversion<'a> {
    model: &'a Model,
    /// Per output file, in order.
    shards: Vec<Vec<Unit<'a>>>,
    /// `config.json` of the result.
    config: Vec<u8>,
    bytes_read: u64,
    bytes_written: u64,
    n_matrices: u64,
}

/// Something that is written in one go.
#[derive(Debug)]
enum Unit<'a> {
    /// Bit for bit.
    Copy(Tensor<'a>),
    Quantise(Matrix<'a>),
}

impl<'a> Conversion<'a> {
    /// Plans the conversion of `model`, which must be a folder of safetensors.
    pub fn plan(model: &'a Model) -> Result<Self> {
        plan::plan(model, SHARD_BYTES)
    }

    /// Bytes of the tensors that are read.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Bytes of the tensors that are written; headers and the files beside them come to a few megabytes more.
    pub fn bytes_written(&self) -> u64 {
        self.bytes_written
    }

    /// Matrices that become int4.
    pub fn n_matrices(&self) -> u64 {
        self.n_matrices
    }
}

impl Unit<'_> {
    /// The tensors of the result, in the order in which they are written.
    fn specs(&self) -> Vec<TensorSpec> {
        let spec = |name: String, dtype, shape: &[u64]| TensorSpec { name, dtype, shape: shape.to_vec() };
        match self {
            Self::Copy(tensor) => vec![spec(tensor.name.to_owned(), tensor.dtype, tensor.shape)],
            Self::Quantise(matrix) => {
                let Matrix { module, n_out, n_in, group_size, .. } = matrix;
                vec![
                    spec(format!("{module}.weight_packed"), DType::I32, &[*n_out, n_in / 8]),
                    spec(format!("{module}.weight_scale"), DType::BF16, &[*n_out, n_in / group_size]),
                    spec(format!("{module}.weight_shape"), DType::I64, &[2]),
                ]
            }
        }
    }

    /// Bytes of the source that it takes.
    fn bytes_read(&self) -> u64 {
        match self {
            Self::Copy(tensor) => tensor.bytes.len() as u64,
            Self::Quantise(matrix) => matrix.bytes_read(),
        }
    }
}

/// Name of output file `at` of `count`.
fn shard_name(at: usize, count: usize) -> String {
    format!("model-{:05}-of-{count:05}.safetensors", at + 1)
}

fn unsupported(path: &Path, what: &str, got: impl ToString) -> Error {
    Error::Unsupported {
        path: path.to_owned(),
        what: what.to_owned(),
        got: got.to_string(),
        supported: "a folder of safetensors with bf16, f16 or f32 weights",
    }
}
