//! Everything that can go wrong in the catalog, with what the caller needs to say about it.

use std::path::PathBuf;

use crate::{answer::AnswerStatus, job::JobState};

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(
        "catalog database failed: {source}; check free disk space and permissions, then repeat the command"
    )]
    Database {
        #[from]
        source: sqlx::Error,
    },
    #[error("cannot open the catalog {path}: {source}")]
    Open { path: PathBuf, source: sqlx::Error },
    #[error(
        "{path} is not a catalog of this program (application id {application_id:#010x}); choose another data folder"
    )]
    Foreign { path: PathBuf, application_id: u32 },
    #[error(
        "{path} was written by a newer version of this program (schema {found}, this one knows up to {known}); \
         use that version or another data folder"
    )]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("cannot bring {path} to schema {known}: {source}")]
    Migrate { path: PathBuf, known: u32, source: sqlx::migrate::MigrateError },
    #[error(
        "{path} is damaged: {detail}; restore it from a backup or move it away and add the documents again"
    )]
    Damaged { path: PathBuf, detail: String },
    #[error("a corpus named {name:?} already exists; choose another name")]
    NameTaken { name: String },
    #[error("no {kind} {key:?}; list what exists to find the right one")]
    NotFound { kind: &'static str, key: String },
    #[error(
        "corpus {corpus:?} holds the state of model {expected}, not of {got}; use that model or another corpus"
    )]
    DifferentModel { corpus: String, expected: String, got: String },
    #[error("job {job} is already {state}; start a new one")]
    JobFinished { job: String, state: JobState },
    #[error("answer {answer} is already {status}; ask again")]
    AnswerFinished { answer: String, status: AnswerStatus },
    #[error("cannot publish job {job}: {unfinished} of its documents are not finished")]
    Unfinished { job: String, unfinished: u64 },
    #[error("catalog row {table}.{column} holds {value:?}, which this program never writes")]
    BadRow { table: &'static str, column: &'static str, value: String },
    #[error("{what} {value} does not fit the catalog, whose integers end at 2^63 - 1")]
    OutOfRange { what: &'static str, value: u64 },
}

/// SQLite's FULL, and IOERR_SHMSIZE: no room to make the index of the write-ahead log longer
/// (<https://www.sqlite.org/rescode.html>).
const NO_ROOM: [&str; 2] = ["13", "4874"];

impl Error {
    /// The disk has no room left.
    pub fn is_disk_full(&self) -> bool {
        let mut cause: Option<&dyn std::error::Error> = Some(self);
        while let Some(error) = cause {
            if let Some(sqlx::Error::Database(database)) = error.downcast_ref() {
                return database.code().is_some_and(|code| NO_ROOM.contains(&&*code));
            }
            cause = error.source();
        }
        false
    }

    pub(crate) fn not_found(kind: &'static str, key: impl ToString) -> Self {
        Self::NotFound { kind, key: key.to_string() }
    }
}
