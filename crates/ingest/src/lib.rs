//! Ingest: files become documents that questions can be asked of. One pass: discover → hash → plan → originals kept
//! → extract → tokenise → passages → parts → KV segments → publish → passage index.
//!
//! [`Ingest::add`] in `pipeline` reads top to bottom like that line. Everything slow is resumable: a document that
//! was extracted stays extracted, a segment that was prefilled stays prefilled, and one commit at the end makes the
//! new corpus version visible. [`Stores`] is what works without a model: a snapshot to read, removal, the sweep.
//! [`Library`] keeps the content-addressed files that the catalog names. A corpus leaves as one archive file
//! ([`Stores::export`]) and comes in by the same way as documents do ([`Ingest::import`]).

mod archive;
mod discover;
mod document_text;
mod error;
mod import;
mod index;
mod library;
mod outdated;
mod parts;
mod pipeline;
mod place;
mod prefill;
mod progress;
mod restore;
mod stores;
mod text;
mod upload;
mod watch;

pub use archive::pack::ExportReport;
pub use document_text::DocumentText;
pub use error::{Error, Result};
pub use import::{ImportOptions, ImportReport};
pub use library::{Incoming, Library, Received};
pub use parts::{
    MAX_HEADER_TOKENS, MAX_NATIVE_PART_TOKENS, MAX_PART_TOKENS, document_header, max_part_tokens,
};
pub use pipeline::{AddOptions, AddReport, Ingest, Refused, Skipped};
pub use prefill::{MAX_UNWRITTEN_BYTES, Repaired};
pub use progress::{Progress, Stage};
pub use stores::{Snapshot, Stores};
pub use upload::{Accepted, Upload};
pub use watch::Listener;
