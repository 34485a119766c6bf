//! The objects of the REST interface, made from catalog rows and answers; the command line prints the same ones in JSON.

mod answer;
mod corpus;
pub mod described;
mod document;
mod job;
mod whole;
mod words;

pub use answer::{Answer, Citation, answer, stored_answer};
pub use corpus::{Corpus, corpus};
pub use document::{Document, document};
pub use job::{Job, job};
pub use whole::{whole, whole_if_given};
pub use words::{bytes, label, printable, warning};

use catalog::Freed;
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::ToSchema;

/// RFC 3339 in UTC; `None` for a time outside the calendar.
pub fn time(unix_ms: u64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000).ok()?.format(&Rfc3339).ok()
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// `list`
    pub object: &'static str,
    pub data: Vec<T>,
    /// `after` or `before` of the next request.
    #[schema(required)]
    pub first_id: Option<String>,
    #[schema(required)]
    pub last_id: Option<String>,
    pub has_more: bool,
}

impl<T> List<T> {
    pub fn new(data: Vec<T>, has_more: bool, id: impl Fn(&T) -> &str) -> Self {
        let first_id = data.first().map(|object| id(object).to_owned());
        let last_id = data.last().map(|object| id(object).to_owned());
        Self { object: "list", data, first_id, last_id, has_more }
    }
}

/// What a removal took away.
#[derive(Debug, Serialize, ToSchema)]
pub struct Deleted {
    /// `corpus.deleted`, `document.deleted`, …
    pub object: &'static str,
    pub id: String,
    /// `true`
    pub deleted: bool,
    /// Bytes that left the disk with their last reference.
    pub freed_bytes: u64,
    pub freed_files: u64,
}

pub fn freed(object: &'static str, id: &str, freed: &Freed) -> Deleted {
    let (freed_bytes, freed_files) = (freed.bytes, freed.files.len() as u64);
    Deleted { object, id: id.to_owned(), deleted: true, freed_bytes, freed_files }
}

/// A typed reason: a stable code and words for a person.
#[derive(Debug, Clone, Serialize, serde::Deserialize, ToSchema)]
pub struct Reason {
    pub code: String,
    pub message: String,
}

impl Reason {
    pub fn of(stored: Option<&serde_json::Value>) -> Option<Self> {
        stored.and_then(|value| serde_json::from_value(value.clone()).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_and_never_fail() {
        assert_eq!(time(0).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(time(u64::MAX), None);
    }
}
