//! Everything that stops an ingest as a whole. What is wrong with one document is not here: it becomes that
//! document's state, and the rest goes on.

use std::path::PathBuf;

use catalog::{BlobKind, Digest};

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Input { path: PathBuf, source: std::io::Error },
    #[error("found no files in {}; hidden and git-ignored files are passed over", inputs.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "))]
    NothingFound { inputs: Vec<PathBuf> },
    #[error(
        "{} and {} would both become the document {document:?}; add one of them by itself under another name with \
         --as NAME",
        first.display(), second.display()
    )]
    SamePath { document: String, first: PathBuf, second: PathBuf },
    #[error(
        "{document} of corpus {corpus:?} was added from {stored}, not from {found}{}; add it under another name with \
         --as NAME, or let it take the place of what is stored with --replace",
        match others { 0 => String::new(), n => format!(", and {n} more like it") }
    )]
    OtherPlace { corpus: String, document: String, stored: String, found: String, others: u64 },
    #[error(
        "{name:?} cannot be the name of what is added; give one name without slashes, for one file or folder"
    )]
    StoredName { name: String },
    #[error("cannot {operation} {}: {source}; check free disk space and permissions", path.display())]
    Io { operation: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{kind} file {} is missing; add the file of its document again, which ibid verify names", path.display())]
    Missing { kind: BlobKind, path: PathBuf },
    #[error(
        "{kind} file {} is damaged: it hashes to {got}, its name is {expected}; add the file of its document again, \
         which ibid verify names", path.display()
    )]
    Damaged { kind: BlobKind, path: PathBuf, expected: Digest, got: Digest },
    #[error("{kind} file {} holds what this program never writes: {detail}; remove its document and add it again", path.display())]
    Encoding { kind: BlobKind, path: PathBuf, detail: String },
    #[error("{} is no archive to import: {detail}", path.display())]
    Archive { path: PathBuf, detail: String },
    #[error(
        "{} is an archive of version {found}, this program reads version {known}; import it with a newer program, or \
         export it again with one of this version", path.display()
    )]
    ArchiveVersion { path: PathBuf, found: u32, known: u32 },
    #[error("{} passes the limit {what} = {limit} of an archive: {got}; export it as several corpora", path.display())]
    ArchiveLimit { path: PathBuf, what: &'static str, got: u64, limit: u64 },
    #[error(
        "a corpus named {name:?} already exists; import under another name with --as NAME, or first: ibid remove {name}"
    )]
    CorpusExists { name: String },
    #[error("{0}; choose one with --as NAME")]
    CorpusName(base::CorpusNameError),
    #[error("corpus {corpus:?} has no documents to export; add some with: ibid add {corpus} FILES")]
    NothingToExport { corpus: String },
    #[error("{} already exists; choose another file, or replace it with --force", path.display())]
    FileExists { path: PathBuf },
    #[error("document {document:?} has no part {part}")]
    NoSuchPart { document: String, part: u64 },
    #[error(
        "part {part} of {document:?} was prefilled as segment {expected}, the open model makes it {got}; \
         use the model of this corpus, or read its documents with this one: ibid add CORPUS FILES"
    )]
    OtherSegment { document: String, part: u64, expected: Digest, got: Digest },
    #[error(
        "KV of all documents would take {planned} bytes, at most kv_bytes_per_owner = {limit} are allowed; remove \
         documents or raise the limit in the configuration"
    )]
    KvQuota { planned: u64, limit: u64 },
    #[error("stopped before the end; repeat the command to go on")]
    Interrupted,
    #[error("the job was cancelled; what it had staged is thrown away")]
    Cancelled,
    #[error("a background step of the ingest stopped unexpectedly: {detail}")]
    Task { detail: String },
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    #[error(transparent)]
    Search(#[from] search::Error),
    #[error(transparent)]
    Kv(#[from] kv::KvError),
    #[error(transparent)]
    Engine(#[from] scout::Error),
    #[error("{document:?} cannot be read: {source}")]
    Extract { document: String, source: corpus::ExtractError },
    #[error("{document:?}: {source}")]
    Tokens { document: String, source: Box<corpus::tokens::TokenizerError> },
}

impl From<tokio::task::JoinError> for Error {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Task { detail: error.to_string() }
    }
}

impl Error {
    /// Stored bytes are lost or are not what their name says.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Damaged { .. })
    }
}
