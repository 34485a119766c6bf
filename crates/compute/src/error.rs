//! What can go wrong when weights are packed. Stage calls cannot fail: their shapes are our own.

/// Why a matrix could not be packed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tensor is not a matrix.
    #[error(
        "tensor {name} has {rank} dimensions {shape:?} where a matrix [out, in] is needed; the model file does not fit its config"
    )]
    NotAMatrix {
        /// Tensor name.
        name: String,
        /// Number of dimensions found.
        rank: usize,
        /// Shape found, outermost first.
        shape: Vec<u64>,
    },
    /// Tensors stacked into one matrix differ in their input width.
    #[error("tensor {name} has {got} columns where {expected} are needed to stack it below {first}")]
    Columns {
        /// Tensor name.
        name: String,
        /// First tensor of the stack.
        first: String,
        /// Columns of the first tensor.
        expected: usize,
        /// Columns of this tensor.
        got: usize,
    },
    /// The fast path works in groups of 32 columns.
    #[error(
        "tensor {name} has {cols} columns, not a multiple of 32; the fast path cannot run this model, use the reference numerics"
    )]
    GroupSize {
        /// Tensor name.
        name: String,
        /// Columns found.
        cols: usize,
    },
    /// A matrix of nothing.
    #[error("no tensor given, or tensor {name} is empty")]
    Empty {
        /// Tensor name, empty when no tensor was given.
        name: String,
    },
    /// A weight is infinite or not a number, or its scale overflows.
    #[error("tensor {name} holds a value that is not finite in row {row}; the model file is damaged")]
    NotFinite {
        /// Tensor name.
        name: String,
        /// Row of the tensor.
        row: usize,
    },
    /// Reading the tensor failed.
    #[error(transparent)]
    Weights(#[from] weights::Error),
}

/// Result of packing.
pub type Result<T> = std::result::Result<T, Error>;
