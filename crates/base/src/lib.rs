//! Ids, names, positions and spans: the vocabulary every other crate shares. No dependencies, no I/O.

mod corpus_name;
mod id;
mod span;

pub use corpus_name::{CORPUS_NAME_CHARACTERS, CorpusNameError, corpus_name};
pub use id::{Id, IdError, IdKind};
pub use span::{ByteSpan, CharSpan, TokenPos, TokenSpan};
