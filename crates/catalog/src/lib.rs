//! The catalog: what exists, in which state, and who refers to which bytes. All SQL of the project lives here and in
//! `migrations/`. Beside the data path: `ingest` registers what it stored, `answer` reads what it may compose.
//!
//! The bytes themselves (originals, canonical texts, KV segments) are content-addressed files that this crate never
//! touches. The order that keeps both in step: a file is durable before its row is committed, and a row is marked
//! dropped before its file is deleted; [`Catalog::orphans`] repairs whatever a crash left in between.

mod answer;
mod answer_event;
mod api_key;
mod asking;
mod browser_session;
mod citation;
mod connection;
mod conversation;
mod corpus;
mod digest;
mod document;
mod document_version;
mod error;
mod file;
mod holder;
mod idempotency;
mod ingest;
mod job;
mod page;
mod part;
mod passage;
mod place;
mod removal;
mod row;
mod segment;
mod usage;

pub use answer::{Answer, AnswerStatus};
pub use answer_event::AnswerEvent;
pub use api_key::{Key, NewKey, Scope};
pub use asking::{NewAnswer, NewQuestion};
pub use browser_session::Session;
pub use citation::Citation;
pub use connection::{Catalog, CommitSeam};
pub use conversation::Conversation;
pub use corpus::{Corpus, CorpusCounts, CorpusStorage, ModelIdentity};
pub use digest::Digest;
pub use document::Document;
pub use document_version::{Extraction, State, StoredText, Version, VersionId};
pub use error::{Error, Result};
pub use file::{Blob, BlobKind, File, NewFile};
pub use holder::Holder;
pub use idempotency::{About, Begun, Reply};
pub use ingest::{Change, FoundFile, Ingest, Known, Plan, Published, Start, Summary};
pub use job::{Job, JobKind, JobState, NewJob, Progress};
pub use page::{Listed, Page};
pub use part::{NewPart, Part, PartRef};
pub use passage::Passage;
pub use removal::{Dropped, Freed, Object};
pub use row::now_ms;
pub use usage::Usage;

#[cfg(test)]
mod tests;

/// Owner of everything the command line makes.
pub const LOCAL_OWNER: &str = "local";
