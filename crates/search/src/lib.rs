//! Passages by words: one tantivy index per corpus, ranked by BM25. On the data path between the question and the
//! context plan. The index is derived from the catalog and the canonical texts: it may be deleted at any time, and is
//! rebuilt when its stamp does not match or its files are damaged.

mod error;
mod index;
mod query;
mod segments;
mod terms;
mod writer;

pub use error::{Error, Result};
pub use index::{Index, Stamp};
pub use query::{Hit, MAX_QUERY_TERMS};
pub use terms::{Term, terms};
pub use writer::{NewPassage, Writer};

/// A passage by the number of its document version and its position in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub version: u64,
    pub idx: u64,
}

#[cfg(test)]
mod tests;
