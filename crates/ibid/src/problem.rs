//! Errors as RFC 9457 problem objects: a stable code, what happened, and what to do.

use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// Stable: programs may depend on it.
    pub code: String,
    pub detail: String,
}

/// An error of this crate whose code is known where it is made.
#[derive(Debug)]
pub struct Failure {
    pub status: u16,
    pub code: &'static str,
    pub detail: String,
}

impl Failure {
    pub fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into() }
    }

    /// Ctrl-C, or the asking process went away.
    pub fn cancelled() -> Self {
        Self::new(499, "cancelled", "stopped; what was done is kept, repeat the command to go on")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Failure {}

impl Problem {
    pub fn from_error(error: &anyhow::Error) -> Self {
        let (status, code) = error.chain().find_map(classify).unwrap_or((500, "internal"));
        Self {
            kind: "about:blank".into(),
            title: code.replace('_', " "),
            status,
            code: code.into(),
            detail: detail(error),
        }
    }
}

/// The chain of causes in one line; a cause that its wrapper already quotes is not said twice.
fn detail(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
    }
    text
}

/// Status and stable code of a cause that is known. A transparent wrapper stands in the chain in place of what it
/// wraps, so that it has to be opened here.
fn classify(cause: &(dyn std::error::Error + 'static)) -> Option<(u16, &'static str)> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some((failure.status, failure.code));
    }
    if cause.is::<base::CorpusNameError>() {
        return Some((422, "bad_name"));
    }
    if let Some(error) = cause.downcast_ref::<catalog::Error>() {
        return Some(of_catalog(error));
    }
    if let Some(error) = cause.downcast_ref::<ingest::Error>() {
        return of_ingest(error);
    }
    if let Some(error) = cause.downcast_ref::<scout::Error>() {
        return of_engine(error);
    }
    if let Some(error) = cause.downcast_ref::<answer::Error>() {
        return of_answer(error);
    }
    if let Some(error) = cause.downcast_ref::<weights::Error>() {
        return Some(of_weights(error));
    }
    of_io(cause.downcast_ref()?)
}

fn of_catalog(error: &catalog::Error) -> (u16, &'static str) {
    match error {
        error if error.is_disk_full() => (507, "disk_full"),
        catalog::Error::NotFound { .. } => (404, "not_found"),
        catalog::Error::NameTaken { .. } => (409, "name_taken"),
        catalog::Error::DifferentModel { .. } => (409, "different_model"),
        catalog::Error::Foreign { .. } => (409, "foreign_data"),
        catalog::Error::Newer { .. } => (409, "newer_data"),
        catalog::Error::JobFinished { .. } => (409, "job_finished"),
        catalog::Error::AnswerFinished { .. } => (409, "answer_finished"),
        catalog::Error::Damaged { .. } => (500, "damaged_data"),
        _ => (500, "catalog_failed"),
    }
}

fn of_ingest(error: &ingest::Error) -> Option<(u16, &'static str)> {
    use ingest::Error;
    match error {
        Error::NothingFound { .. } => Some((422, "nothing_found")),
        Error::SamePath { .. } => Some((409, "same_path")),
        Error::OtherPlace { .. } => Some((409, "other_place")),
        Error::StoredName { .. } => Some((422, "bad_name")),
        Error::Missing { .. } | Error::Damaged { .. } | Error::Encoding { .. } => Some((500, "damaged_data")),
        Error::Archive { .. } => Some((422, "bad_archive")),
        Error::ArchiveVersion { .. } => Some((409, "other_archive_version")),
        Error::ArchiveLimit { .. } => Some((413, "archive_limit")),
        Error::CorpusExists { .. } => Some((409, "name_taken")),
        Error::CorpusName { .. } => Some((422, "bad_name")),
        Error::NothingToExport { .. } => Some((409, "nothing_to_export")),
        Error::FileExists { .. } => Some((409, "file_exists")),
        Error::Interrupted | Error::Cancelled => Some((499, "cancelled")),
        Error::Catalog(inner) => Some(of_catalog(inner)),
        Error::Engine(inner) => of_engine(inner),
        // The cause, next in the chain, knows better.
        _ => None,
    }
}

fn of_answer(error: &answer::Error) -> Option<(u16, &'static str)> {
    use answer::Error;
    match error {
        Error::EmptyQuestion => Some((422, "empty_question")),
        Error::QuestionTooLong { .. } | Error::OutputTooLong { .. } => Some((413, "too_long")),
        Error::NothingToAsk { .. } => Some((409, "nothing_to_ask")),
        Error::StillReading { .. } => Some((409, "still_reading")),
        Error::OtherModel { .. } | Error::OtherKv { .. } => Some((409, "different_model")),
        Error::OtherRows { .. } => Some((409, "outdated_kv")),
        Error::CannotReplay { .. } => Some((409, "cannot_replay")),
        Error::SegmentMissing { .. } | Error::NotRebuilt { .. } => Some((500, "damaged_data")),
        Error::SaidOtherwise => Some((409, "said_otherwise")),
        Error::QuestionFile { .. } => Some((422, "bad_question_file")),
        Error::EvalOption { .. } | Error::ExactQuote => Some((400, "bad_option")),
        Error::Engine(inner) => of_engine(inner),
        Error::Catalog(inner) => Some(of_catalog(inner)),
        Error::Ingest(inner) => of_ingest(inner),
        _ => None,
    }
}

fn of_engine(error: &scout::Error) -> Option<(u16, &'static str)> {
    use scout::Error;
    match error {
        Error::WindowExceeded { .. } => Some((413, "too_long")),
        Error::TokenOutOfRange { .. } => Some((422, "bad_tokens")),
        Error::Cancelled => Some((499, "cancelled")),
        Error::KvDtype { .. } => Some((400, "bad_config")),
        Error::Kv(_) | Error::Compute(_) | Error::Thread { .. } => None,
        _ => Some((422, "bad_model")),
    }
}

fn of_weights(error: &weights::Error) -> (u16, &'static str) {
    use weights::Error;
    match error {
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => (507, "disk_full"),
        Error::Interrupted => (499, "cancelled"),
        Error::SameFolder { .. } => (409, "same_path"),
        _ => (422, "bad_model"),
    }
}

fn of_io(error: &std::io::Error) -> Option<(u16, &'static str)> {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Some((507, "disk_full")),
        std::io::ErrorKind::NotFound => Some((404, "not_found")),
        std::io::ErrorKind::PermissionDenied => Some((403, "permission_denied")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn the_innermost_known_cause_gives_the_code_and_nothing_is_said_twice() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = Err::<(), _>(full).context("cannot write /data/x").unwrap_err();
        let problem = Problem::from_error(&error);
        assert_eq!((problem.status, problem.code.as_str()), (507, "disk_full"));
        assert!(problem.detail.starts_with("cannot write /data/x: "), "{}", problem.detail);
        let twice = anyhow::Error::new(Failure::cancelled()).context(Failure::cancelled().detail);
        assert_eq!(Problem::from_error(&twice).detail, Failure::cancelled().detail);
    }
}
