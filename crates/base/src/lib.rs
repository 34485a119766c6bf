//! Ids, positions and spans: the vocabulary every other crate shares. No dependencies, no I/O.

mod id;
mod span;

pub use id::{Id, IdError, IdKind};
pub use span::{ByteSpan, CharSpan, TokenPos, TokenSpan};
