//! Ingest: files become documents that questions can be asked of. One pass: discover → hash → plan → originals kept
//! → extract → tokenise → passages → parts → KV segments → publish → passage index.
//!
//! [`Ingest::add`] in `pipeline` reads top to bottom like that line. Everything slow is resumable: a document that
//! was extracted stays extracted, a segment that was prefilled stays prefilled, and one commit at the end makes the
//! new corpus version visible. [`Stores`] is what works without a model: a snapshot to read, removal, the sweep.
//! [`Library`] keeps the content-addressed files that the catalog names.

mod discover;
mod document_text;
mod error;
mod index;
mod library;
mod parts;
mod pipeline;
mod prefill;
mod progress;
mod stores;
mod text;

pub use document_text::DocumentText;
pub use error::{Error, Result};
pub use library::Library;
pub use parts::{MAX_PART_TOKENS, document_header};
pub use pipeline::{AddOptions, AddReport, Ingest, Refused, Skipped};
pub use progress::{Progress, Stage};
pub use stores::{Snapshot, Stores};
