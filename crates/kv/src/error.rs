//! Everything that can go wrong between a row in memory and a byte on disk, with the numbers needed to act on it.

/// The crate's one error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KvError {
    #[error(
        "{row} row of head {head} holds {value} at dimension {dim}, which {dtype} cannot store: only finite values are kept"
    )]
    NotFinite { row: &'static str, head: usize, dim: usize, value: f32, dtype: &'static str },

    #[error("a page of this shape is {expected} bytes, got {got}")]
    PageLength { expected: usize, got: usize },
}

pub type Result<T> = std::result::Result<T, KvError>;
