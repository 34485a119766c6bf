//! Opening the database file: identity and schema check, migrations, one writer and several readers.

use std::{
    borrow::Cow,
    fmt::Debug,
    fs,
    io::{self, Read},
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    Row, Sqlite, SqliteConnection, SqlitePool, Transaction,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{
        SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    },
};

use crate::{Error, Result};

/// `Ibid` as four ASCII bytes; bytes 68..72 of the database header.
const APPLICATION_ID: u32 = 0x4962_6964;
/// Every schema step, oldest first; a step's number is its position from 1 and the `user_version` it sets.
const MIGRATIONS: [(&str, &str); 5] = [
    ("catalog", include_str!("../../../migrations/0001_catalog.sql")),
    ("answer_source", include_str!("../../../migrations/0002_answer_source.sql")),
    ("service", include_str!("../../../migrations/0003_service.sql")),
    ("idempotency_content", include_str!("../../../migrations/0004_idempotency_content.sql")),
    ("place", include_str!("../../../migrations/0005_place.sql")),
];
const READERS: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The open catalog of one data folder. Cheap to clone; one process at a time is expected to write.
#[derive(Debug, Clone)]
pub struct Catalog {
    writer: SqlitePool,
    readers: SqlitePool,
    path: PathBuf,
    seam: Option<Arc<dyn CommitSeam>>,
}

/// Asked before every commit and told after it: each is one durable step, done whole or not at all. The program puts
/// nothing here; a test puts a power switch here that the files obey too.
pub trait CommitSeam: Debug + Send + Sync {
    /// An error: the commit does not happen.
    fn before(&self) -> io::Result<u64>;
    /// `step` is what [`CommitSeam::before`] gave. An error: it happened, and the caller does not hear of it.
    fn after(&self, step: u64) -> io::Result<()>;
}

/// A write transaction; rolled back when it is dropped without a commit.
pub(crate) struct Write {
    transaction: Transaction<'static, Sqlite>,
    seam: Option<Arc<dyn CommitSeam>>,
}

impl Write {
    pub async fn commit(self) -> std::result::Result<(), sqlx::Error> {
        let Some(seam) = self.seam else { return self.transaction.commit().await };
        let step = seam.before()?;
        self.transaction.commit().await?;
        Ok(seam.after(step)?)
    }
}

impl Deref for Write {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.transaction
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }
}

impl Catalog {
    /// Opens or creates the database file; brings an older one to this schema.
    ///
    /// Errors: [`Error::Foreign`], [`Error::Newer`], [`Error::Damaged`] leave the file as it was.
    pub async fn open(path: &Path) -> Result<Self> {
        refuse_other_files(path)?;
        let open = |source| Error::Open { path: path.to_owned(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .auto_vacuum(SqliteAutoVacuum::None)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("secure_delete", "ON")
            // Sorting must not leave document text in temporary files.
            .pragma("temp_store", "MEMORY");
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await
            .map_err(open)?;
        migrate(path, &writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await
            .map_err(open)?;
        Ok(Self { writer, readers, path: path.to_owned(), seam: None })
    }

    /// Puts something behind the commits; see [`CommitSeam`].
    pub fn with_commit_seam(self, seam: Arc<dyn CommitSeam>) -> Self {
        Self { seam: Some(seam), ..self }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for running statements and closes every connection.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Moves the write-ahead log into the database file and empties it, so that deleted bytes are gone from disk.
    /// `false`: a reader was in the way; call again later.
    pub async fn checkpoint(&self) -> Result<bool> {
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.writer).await?;
        Ok(row.try_get::<i64, _>(0)? == 0)
    }

    /// SQLite's own full check of pages and indices.
    pub async fn check_integrity(&self) -> Result<()> {
        let rows = sqlx::query("PRAGMA integrity_check").fetch_all(self.reader()).await?;
        let lines =
            rows.iter().map(|r| r.try_get::<String, _>(0)).collect::<std::result::Result<Vec<_>, _>>()?;
        if lines == ["ok"] {
            Ok(())
        } else {
            Err(Error::Damaged { path: self.path.clone(), detail: lines.join("; ") })
        }
    }

    pub(crate) fn reader(&self) -> &SqlitePool {
        &self.readers
    }

    /// A write transaction that holds the write lock from its start, so that what it reads cannot change under it.
    pub(crate) async fn write(&self) -> Result<Write> {
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Write { transaction, seam: self.seam.clone() })
    }
}

/// Reads the database header (<https://www.sqlite.org/fileformat.html>, section 1.3) before SQLite may write to it.
fn refuse_other_files(path: &Path) -> Result<()> {
    let mut header = Vec::new();
    match fs::File::open(path).and_then(|file| file.take(100).read_to_end(&mut header)) {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::Open { path: path.to_owned(), source: e.into() }),
    }
    // An empty file, or one whose first commit is still in the log only.
    if header.is_empty() {
        return Ok(());
    }
    let word = |at: usize| header.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    let (Some(version), Some(application_id), true) =
        (word(60), word(68), header.starts_with(b"SQLite format 3\0"))
    else {
        return Err(Error::Foreign { path: path.to_owned(), application_id: 0 });
    };
    let known = MIGRATIONS.len() as u32;
    match (application_id, version) {
        (APPLICATION_ID, v) if v > known => Err(Error::Newer { path: path.to_owned(), found: v, known }),
        // Both zero: created, then interrupted before the first migration; `migrate` decides.
        (APPLICATION_ID, _) | (0, 0) => Ok(()),
        _ => Err(Error::Foreign { path: path.to_owned(), application_id }),
    }
}

/// The header on disk may be older than the log, so identity and version are asked again through SQLite.
async fn migrate(path: &Path, writer: &SqlitePool) -> Result<()> {
    let open = |source| Error::Open { path: path.to_owned(), source };
    let known = MIGRATIONS.len() as u32;
    let pragma = |sql: &'static str| async move {
        let value: i64 = sqlx::query_scalar(sql).fetch_one(writer).await.map_err(open)?;
        Ok::<u32, Error>(value as u32)
    };
    let application_id = pragma("PRAGMA application_id").await?;
    let found = pragma("PRAGMA user_version").await?;
    let tables: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM sqlite_schema WHERE name NOT GLOB '_sqlx*' AND name NOT GLOB 'sqlite_*'",
    )
    .fetch_one(writer)
    .await
    .map_err(open)?;
    if application_id != APPLICATION_ID && (application_id != 0 || tables > 0) {
        return Err(Error::Foreign { path: path.to_owned(), application_id });
    }
    if found > known {
        return Err(Error::Newer { path: path.to_owned(), found, known });
    }
    migrator(MIGRATIONS.len()).run(writer).await.map_err(|source| Error::Migrate {
        path: path.to_owned(),
        known,
        source,
    })
}

/// Brings a database to the first `n` steps.
fn migrator(n: usize) -> Migrator {
    let steps = MIGRATIONS.iter().take(n).zip(1..).map(|((name, sql), number)| {
        Migration::new(
            number,
            Cow::Borrowed(*name),
            MigrationType::Simple,
            sqlx::SqlStr::from_static(sql),
            false,
        )
    });
    Migrator::with_migrations(steps.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AnswerStatus;

    #[tokio::test]
    async fn a_catalog_of_an_older_program_is_brought_to_this_schema() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("catalog.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let old = SqlitePool::connect_with(options).await.unwrap();
        migrator(1).run(&old).await.unwrap();
        for sql in [
            "INSERT INTO corpus (id, owner_id, name, created_ms, updated_ms) VALUES ('corp_a', 'local', 'a', 1, 1)",
            "INSERT INTO document VALUES ('doc_a', 'local', 'corp_a', 'a.txt', 1), ('doc_b', 'local', 'corp_a', 'b.txt', 1)",
            "INSERT INTO answer VALUES ('ans_a', 'local', 'corp_a', 1, 'f', 'q', 'auto', 0, 's', 'g', 't', '{}', '{}', '{}', 0, 1)",
        ] {
            sqlx::query(sql).execute(&old).await.unwrap();
        }
        old.close().await;
        let catalog = Catalog::open(&path).await.unwrap();
        let sources: i64 = sqlx::query_scalar("SELECT count(*) FROM answer_source WHERE answer_id = 'ans_a'")
            .fetch_one(catalog.reader())
            .await
            .unwrap();
        assert_eq!(sources, 2, "of an older answer nothing is known, so that any document may be its source");
        let version: i64 =
            sqlx::query_scalar("PRAGMA user_version").fetch_one(catalog.reader()).await.unwrap();
        assert_eq!(version as usize, MIGRATIONS.len());
    }

    /// A row in every table of schema 2.
    const SCHEMA_2: [&str; 13] = [
        "INSERT INTO corpus VALUES ('corp_00000000000000000000000001', 'local', 'a', 1, 'm', 'f', 'int8', '{}', 1, 2)",
        "INSERT INTO corpus VALUES ('corp_00000000000000000000000002', 'local', 'b', 0, NULL, NULL, NULL, '{}', 1, 2)",
        "INSERT INTO blob (kind, digest, bytes) VALUES ('original', zeroblob(32), 5)",
        "INSERT INTO file VALUES ('file_00000000000000000000000001', 'local', zeroblob(32), 5, 1)",
        "INSERT INTO segment (digest, bytes) VALUES (zeroblob(32), 7)",
        "INSERT INTO job (id, owner_id, corpus_id, kind, state, created_ms, heartbeat_ms) VALUES
             ('job_00000000000000000000000001', 'local', 'corp_00000000000000000000000001', 'ingest', 'succeeded', 1, 1)",
        "INSERT INTO document VALUES
             ('doc_00000000000000000000000001', 'local', 'corp_00000000000000000000000001', 'a.txt', 1)",
        "INSERT INTO document_version (id, document_id, job_id, file_id, number, state, visible_from, created_ms) VALUES
             (1, 'doc_00000000000000000000000001', 'job_00000000000000000000000001',
              'file_00000000000000000000000001', 1, 'ready', 1, 1)",
        "INSERT INTO part VALUES (1, 0, 0, 9, zeroblob(32), 'ready')",
        "INSERT INTO passage VALUES (1, 0, 0, 9, 0, 9, NULL, NULL, '')",
        "INSERT INTO job_document VALUES ('job_00000000000000000000000001', 'doc_00000000000000000000000001', 'added')",
        "INSERT INTO answer VALUES
             ('ans_00000000000000000000000001', 'local', 'corp_00000000000000000000000001', 1, 'f', 'who?', 'auto', -1,
              'completed', 'supported', 'text', '{}', '{\"output_tokens\": 3}', '{}', 0, 77)",
        "INSERT INTO citation VALUES ('ans_00000000000000000000000001', 1, 0, 4, 'doc_00000000000000000000000001', 1,
              'title', 0, 4, 'quote', '{}', 0)",
    ];

    #[tokio::test]
    async fn a_catalog_of_schema_2_keeps_every_row_and_reference() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("catalog.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true).foreign_keys(true);
        let old = SqlitePool::connect_with(options).await.unwrap();
        migrator(2).run(&old).await.unwrap();
        for sql in SCHEMA_2 {
            sqlx::query(sql).execute(&old).await.unwrap();
        }
        sqlx::query("INSERT INTO answer_source SELECT answer_id, document_id FROM citation")
            .execute(&old)
            .await
            .unwrap();
        old.close().await;

        let catalog = Catalog::open(&path).await.unwrap();
        let broken = sqlx::query("PRAGMA foreign_key_check").fetch_all(catalog.reader()).await.unwrap();
        assert!(broken.is_empty());
        catalog.check_integrity().await.unwrap();
        let corpora = catalog.corpora("local").await.unwrap();
        assert_eq!(corpora.iter().map(|c| c.last_asked_ms).collect::<Vec<_>>(), [Some(77), None]);
        let counts = catalog.corpus_counts(&corpora[0].id).await.unwrap();
        assert_eq!((counts.documents, counts.ready), (1, 1));
        let answer = catalog.answer("local", "ans_00000000000000000000000001").await.unwrap();
        assert_eq!(
            (answer.status, answer.grounding.as_deref()),
            (AnswerStatus::Completed, Some("supported"))
        );
        assert_eq!((answer.seed, answer.conversation, answer.error), (u64::MAX, None, None));
        assert_eq!((answer.text.as_str(), answer.citations[0].quote.as_str()), ("text", "quote"));
        assert_eq!(catalog.usage("local").await.unwrap().output_tokens, 3);

        // References still do their work: removal finds the old answer, a removed corpus takes everything along.
        let document = catalog.document_of("local", "doc_00000000000000000000000001").await.unwrap();
        catalog.remove_document(&document).await.unwrap();
        let answer = catalog.answer("local", answer.id.as_str()).await.unwrap();
        assert!(answer.source_removed && answer.citations[0].source_removed);
        catalog.remove_corpus(&corpora[0].id).await.unwrap();
        assert!(catalog.answer("local", answer.id.as_str()).await.is_err());
    }
}
