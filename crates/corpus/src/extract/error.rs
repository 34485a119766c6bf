//! Why a document failed. The variants cross the process border, so they hold plain data only.

use serde::{Deserialize, Serialize};

/// A failed extraction or page image; [`ExtractError::code`] is the stable name that the API shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    #[error("the file holds no bytes; add one with content")]
    EmptyFile,
    #[error("content of type {found} is not supported; convert it to PDF, DOCX, HTML or text")]
    UnsupportedType { found: String },
    #[error("bytes do not decode as {encoding} ({detail}); save the file as UTF-8")]
    BadEncoding { encoding: String, detail: String },
    /// `limit` is the field of [`super::Limits`] that was passed, or `stack`.
    #[error(
        "the document passes the limit {limit} = {allowed}; split it or raise limits.{limit} in the configuration"
    )]
    ParserLimit { limit: String, allowed: u64 },
    #[error("the parser stopped unexpectedly ({reason}); the file is probably damaged")]
    ParserCrashed { reason: String },
    #[error("damaged {media_type} near byte {offset}: {detail}")]
    Malformed { media_type: String, offset: u64, detail: String },
    #[error("cannot read {path}: {detail}")]
    Unreadable { path: String, detail: String },
    #[error("the parser process could not be used: {detail}")]
    Worker { detail: String },
    /// For page images only: extraction has [`super::State::NeedsPassword`].
    #[error("the {media_type} file is encrypted; remove its password")]
    NeedsPassword { media_type: String },
    #[error("there is no page {page}; the document has {pages}, counted from 1")]
    NoSuchPage { page: u32, pages: u64 },
    #[error("{media_type} has no page images; show its text")]
    NotPaged { media_type: String },
}

impl ExtractError {
    /// Stable code of the API (`error.code` of a document).
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmptyFile => "empty_file",
            Self::UnsupportedType { .. } => "unsupported_type",
            Self::BadEncoding { .. } => "bad_encoding",
            Self::ParserLimit { .. } => "parser_limit",
            Self::ParserCrashed { .. } => "parser_crashed",
            Self::Malformed { .. } => "malformed",
            Self::Unreadable { .. } => "unreadable",
            Self::Worker { .. } => "worker_unavailable",
            Self::NeedsPassword { .. } => "needs_password",
            Self::NoSuchPage { .. } => "no_such_page",
            Self::NotPaged { .. } => "not_paged",
        }
    }

    /// A passed limit, by its field name in [`super::Limits`].
    pub fn limit(limit: &str, allowed: u64) -> Self {
        Self::ParserLimit { limit: limit.to_owned(), allowed }
    }

    /// Damage at a byte offset of the file (0 where the format gives none). Parsers quote the file: a few words of it
    /// are enough.
    pub fn malformed(media_type: &str, offset: u64, detail: impl ToString) -> Self {
        let detail = detail.to_string().chars().take(300).collect();
        Self::Malformed { media_type: media_type.to_owned(), offset, detail }
    }
}
