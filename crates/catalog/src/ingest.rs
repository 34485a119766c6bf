//! An ingest from plan to publish: what differs, what is staged, and the one commit that makes it visible.

use base::{Id, IdKind};
use serde_json::Value;
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use crate::{
    Catalog, Document, Error, JobKind, JobState, NewFile, NewJob, Result, State, VersionId, citation, corpus,
    file::register_file,
    job,
    row::{Columns, int, mint, now_ms, words},
};

words! {
    /// What an ingest does with one document.
    Change {
        Added = "added",
        Changed = "changed",
        Removed = "removed",
        Unchanged = "unchanged",
    }
}

/// A source file as it lies in the user's folder now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Its identity inside the corpus.
    pub path: String,
    pub file: NewFile,
    /// Where on disk it lies, with links resolved; what is not UTF-8 in it is told apart only as far as it reads.
    /// `None`: it came over the network or from an archive.
    pub place: Option<String>,
}

/// A document that the newest corpus version shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub document: Id,
    pub path: String,
    pub version: VersionId,
    pub state: State,
    pub place: Option<String>,
}

/// The difference between a folder and a corpus. The caller may move entries before it begins: `missing` into
/// `removed` to prune, refused `unchanged` ones into `changed` to try them again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub added: Vec<FoundFile>,
    pub changed: Vec<FoundFile>,
    pub unchanged: Vec<Known>,
    /// In the corpus but not among the files found; kept unless moved to `removed`.
    pub missing: Vec<Known>,
    pub removed: Vec<Known>,
}

/// Whether an ingest begins or goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// `kind`: [`JobKind::Ingest`] or [`JobKind::Import`]; `params`: whatever tells such jobs apart.
    New {
        kind: JobKind,
        params: Value,
    },
    /// Like `New`, for whoever works through the queue.
    Queue {
        kind: JobKind,
        params: Value,
    },
    Resume(Id),
}

/// A running ingest: its job and every document version it has to bring to a final state.
#[derive(Debug, Clone)]
pub struct Ingest {
    pub job: Id,
    pub staged: Vec<Document>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    pub added: u64,
    pub changed: u64,
    pub removed: u64,
    pub unchanged: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The version now visible; unchanged when the ingest changed nothing.
    pub corpus_version: u64,
    pub summary: Summary,
}

impl Catalog {
    /// Compares found files with the newest version of the corpus, by path and SHA-256.
    pub async fn plan_ingest(&self, corpus: &Id, found: Vec<FoundFile>) -> Result<Plan> {
        let rows = sqlx::query(
            "SELECT d.id, d.path, v.id AS version_id, v.state, v.place, f.sha256, 0 AS leaving
             FROM document d JOIN document_version v ON v.document_id = d.id JOIN file f ON f.id = v.file_id
             WHERE d.corpus_id = ?1 AND v.visible_from IS NOT NULL AND v.visible_to IS NULL",
        );
        compare(&rows.bind(corpus.as_str()).fetch_all(self.reader()).await?, found)
    }

    /// Like [`Catalog::plan_ingest`], with what the corpus will show once its queued and running jobs have ended: files
    /// that are acknowledged one after the other under one path must end with the last one shown.
    pub async fn plan_upload(&self, corpus: &Id, found: Vec<FoundFile>) -> Result<Plan> {
        // By number, so that of each document the last row is the one that wins. What a job that is being cancelled
        // staged may go or may still come: nothing counts as the same as it.
        let rows = sqlx::query(
            "SELECT d.id, d.path, v.id AS version_id, v.state, v.place, f.sha256,
                    v.visible_from IS NULL AND j.cancel_requested AS leaving
             FROM document d JOIN document_version v ON v.document_id = d.id JOIN file f ON f.id = v.file_id
                  LEFT JOIN job j ON j.id = v.job_id
             WHERE d.corpus_id = ?1 AND v.visible_to IS NULL
               AND (v.visible_from IS NOT NULL OR j.state IN ('queued', 'running'))
             ORDER BY v.number",
        );
        compare(&rows.bind(corpus.as_str()).fetch_all(self.reader()).await?, found)
    }

    /// Starts an ingest, or goes on with one: versions it had staged from the same bytes keep what was done,
    /// staged documents that the new plan does not name stay staged. Originals must be durable on disk.
    ///
    /// Errors: [`Error::JobFinished`] when the job to resume has succeeded or was cancelled.
    pub async fn begin_ingest(&self, owner: &str, corpus: &Id, plan: &Plan, start: Start) -> Result<Ingest> {
        let mut tx = self.write().await?;
        corpus::check_owner(&mut tx, owner, corpus).await?;
        let job = match start {
            Start::Resume(job) => job::restart(&mut tx, owner, corpus, &job).await?,
            Start::New { kind, params } => {
                let new = NewJob { kind, corpus: Some(corpus.clone()), params };
                job::insert(&mut tx, owner, &new, JobState::Running).await?
            }
            Start::Queue { kind, params } => {
                let new = NewJob { kind, corpus: Some(corpus.clone()), params };
                job::insert(&mut tx, owner, &new, JobState::Queued).await?
            }
        };
        let changes = plan.added.iter().map(|f| (f, Change::Added));
        for (found, change) in changes.chain(plan.changed.iter().map(|f| (f, Change::Changed))) {
            let document = find_or_insert_document(&mut tx, owner, corpus, &found.path).await?;
            let file = register_file(&mut tx, owner, found.file).await?;
            stage(&mut tx, &job, &document, &file, found).await?;
            note(&mut tx, &job, &document, change).await?;
        }
        let kept = plan.unchanged.iter().map(|k| (k, Change::Unchanged));
        for (known, change) in kept.chain(plan.removed.iter().map(|k| (k, Change::Removed))) {
            unstage(&mut tx, &job, &known.document).await?;
            note(&mut tx, &job, &known.document, change).await?;
        }
        tx.commit().await?;
        let staged = self.staged(&job).await?;
        Ok(Ingest { job, staged })
    }

    /// Makes everything the job staged visible, hides what it replaces or removes, scrubs quotes of removed
    /// documents and marks the job succeeded: one commit. Repeating it after success is an error.
    ///
    /// Errors: [`Error::Unfinished`] while a staged version is not final; [`Error::JobFinished`].
    pub async fn publish(&self, job: &Id) -> Result<Published> {
        let mut tx = self.write().await?;
        let found = job::find(&mut tx, job).await?;
        if !matches!(found.state, JobState::Running | JobState::Queued) {
            return Err(Error::JobFinished { job: job.to_string(), state: found.state });
        }
        let corpus = found.corpus.ok_or_else(|| Error::not_found("corpus of job", job))?;
        let unfinished: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM document_version WHERE job_id = ?1 AND visible_from IS NULL
             AND state NOT IN ('ready', 'needs_ocr', 'needs_password', 'failed')",
        )
        .bind(job.as_str())
        .fetch_one(&mut *tx)
        .await?;
        if unfinished > 0 {
            return Err(Error::Unfinished { job: job.to_string(), unfinished: unfinished as u64 });
        }
        drop_outdated(&mut tx, job).await?;
        let summary = summarise(&mut tx, job).await?;
        let staged: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM document_version WHERE job_id = ?1 AND visible_from IS NULL",
        )
        .bind(job.as_str())
        .fetch_one(&mut *tx)
        .await?;
        let changed = staged > 0 || summary.removed > 0;
        let corpus_version = if changed {
            raise_version(&mut tx, &corpus).await?
        } else {
            version_of(&mut tx, &corpus).await?
        };
        if changed {
            show(&mut tx, job, corpus_version).await?;
        }
        job::finish(&mut tx, job, JobState::Succeeded, None).await?;
        tx.commit().await?;
        Ok(Published { corpus_version, summary })
    }

    /// Makes those staged documents visible that are final, in one commit; the job goes on with the others. Gives the
    /// corpus version that shows them; `None` when there are none.
    pub async fn publish_ready(&self, job: &Id) -> Result<Option<u64>> {
        let mut tx = self.write().await?;
        let found = job::find(&mut tx, job).await?;
        if found.state != JobState::Running {
            return Err(Error::JobFinished { job: job.to_string(), state: found.state });
        }
        let corpus = found.corpus.ok_or_else(|| Error::not_found("corpus of job", job))?;
        drop_outdated(&mut tx, job).await?;
        let ready: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM document_version WHERE job_id = ?1 AND visible_from IS NULL
             AND state IN ('ready', 'needs_ocr', 'needs_password', 'failed')",
        )
        .bind(job.as_str())
        .fetch_all(&mut *tx)
        .await?;
        if ready.is_empty() {
            tx.commit().await?;
            return Ok(None);
        }
        let version = raise_version(&mut tx, &corpus).await?;
        for id in ready {
            sqlx::query(
                "UPDATE document_version SET visible_to = ?2 WHERE visible_from IS NOT NULL AND visible_to IS NULL
                 AND document_id = (SELECT document_id FROM document_version WHERE id = ?1)",
            )
            .bind(id)
            .bind(int("corpus version", version)?)
            .execute(&mut *tx)
            .await?;
            sqlx::query("UPDATE document_version SET visible_from = ?2 WHERE id = ?1")
                .bind(id)
                .bind(int("corpus version", version)?)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(Some(version))
    }
}

/// `rows`: of several about one document, the last counts.
fn compare(rows: &[SqliteRow], found: Vec<FoundFile>) -> Result<Plan> {
    let mut known = std::collections::BTreeMap::new();
    for row in rows {
        let entry = Known {
            document: row.id(IdKind::Document, "id")?,
            path: row.text("path")?,
            version: VersionId(row.count("version_id")?),
            state: row.word("state")?,
            place: row.opt_text("place")?,
        };
        let sha256 = if row.flag("leaving")? { None } else { Some(row.digest("sha256")?) };
        known.insert(entry.path.clone(), (entry, sha256));
    }
    let mut plan = Plan::default();
    for file in found {
        match known.remove(&file.path) {
            None => plan.added.push(file),
            Some((entry, sha256)) if sha256 == Some(file.file.sha256) => plan.unchanged.push(entry),
            Some(_) => plan.changed.push(file),
        }
    }
    plan.missing = known.into_values().map(|(entry, _)| entry).collect();
    Ok(plan)
}

/// Drops final versions of the job whose documents show a newer one meanwhile: another job, begun later, was done
/// earlier. The files that only they named go with the next deletion.
async fn drop_outdated(tx: &mut SqliteConnection, job: &Id) -> Result<()> {
    let dropped = sqlx::query(
        "DELETE FROM document_version WHERE job_id = ?1 AND visible_from IS NULL
         AND state IN ('ready', 'needs_ocr', 'needs_password', 'failed')
         AND EXISTS (SELECT 1 FROM document_version AS shown
                     WHERE shown.document_id = document_version.document_id
                       AND shown.visible_from IS NOT NULL AND shown.visible_to IS NULL
                       AND shown.number > document_version.number)
         RETURNING document_id",
    )
    .bind(job.as_str())
    .fetch_all(&mut *tx)
    .await?;
    for row in &dropped {
        note(tx, job, &row.id(IdKind::Document, "document_id")?, Change::Unchanged).await?;
    }
    Ok(())
}

async fn find_or_insert_document(
    tx: &mut SqliteConnection,
    owner: &str,
    corpus: &Id,
    path: &str,
) -> Result<Id> {
    sqlx::query(
        "INSERT INTO document (id, owner_id, corpus_id, path, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (corpus_id, path) DO NOTHING",
    )
    .bind(mint(IdKind::Document).as_str())
    .bind(owner)
    .bind(corpus.as_str())
    .bind(path)
    .bind(now_ms() as i64)
    .execute(&mut *tx)
    .await?;
    sqlx::query("SELECT id FROM document WHERE corpus_id = ?1 AND path = ?2")
        .bind(corpus.as_str())
        .bind(path)
        .fetch_one(tx)
        .await?
        .id(IdKind::Document, "id")
}

/// Stages a version unless the job already staged one from the same file; other bytes replace the staged one.
async fn stage(
    tx: &mut SqliteConnection,
    job: &Id,
    document: &Id,
    file: &Id,
    found: &FoundFile,
) -> Result<()> {
    let same = sqlx::query(
        "UPDATE document_version SET place = ?4
         WHERE job_id = ?1 AND document_id = ?2 AND file_id = ?3 AND visible_from IS NULL",
    )
    .bind(job.as_str())
    .bind(document.as_str())
    .bind(file.as_str())
    .bind(found.place.as_deref())
    .execute(&mut *tx)
    .await?;
    if same.rows_affected() > 0 {
        return Ok(());
    }
    unstage(tx, job, document).await?;
    let title = found.path.rsplit('/').next().unwrap_or(&found.path);
    sqlx::query(
        "INSERT INTO document_version (document_id, job_id, file_id, number, title, state, created_ms, place)
         SELECT ?1, ?2, ?3, coalesce(max(number), 0) + 1, ?4, 'queued', ?5, ?6
         FROM document_version WHERE document_id = ?1",
    )
    .bind(document.as_str())
    .bind(job.as_str())
    .bind(file.as_str())
    .bind(title)
    .bind(now_ms() as i64)
    .bind(found.place.as_deref())
    .execute(tx)
    .await?;
    Ok(())
}

async fn unstage(tx: &mut SqliteConnection, job: &Id, document: &Id) -> Result<()> {
    sqlx::query(
        "DELETE FROM document_version WHERE job_id = ?1 AND document_id = ?2 AND visible_from IS NULL",
    )
    .bind(job.as_str())
    .bind(document.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

async fn note(tx: &mut SqliteConnection, job: &Id, document: &Id, change: Change) -> Result<()> {
    sqlx::query(
        "INSERT INTO job_document (job_id, document_id, change) VALUES (?1, ?2, ?3)
         ON CONFLICT (job_id, document_id) DO UPDATE SET change = excluded.change",
    )
    .bind(job.as_str())
    .bind(document.as_str())
    .bind(change.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

async fn summarise(tx: &mut SqliteConnection, job: &Id) -> Result<Summary> {
    let rows =
        sqlx::query("SELECT change, count(*) AS n FROM job_document WHERE job_id = ?1 GROUP BY change")
            .bind(job.as_str())
            .fetch_all(tx)
            .await?;
    let mut summary = Summary::default();
    for row in &rows {
        let n = row.count("n")?;
        match row.word::<Change>("change")? {
            Change::Added => summary.added = n,
            Change::Changed => summary.changed = n,
            Change::Removed => summary.removed = n,
            Change::Unchanged => summary.unchanged = n,
        }
    }
    Ok(summary)
}

/// Flips visibility at `version`: removed and replaced versions end there, staged ones begin.
async fn show(tx: &mut SqliteConnection, job: &Id, version: u64) -> Result<()> {
    let removed =
        sqlx::query("SELECT document_id FROM job_document WHERE job_id = ?1 AND change = 'removed'")
            .bind(job.as_str())
            .fetch_all(&mut *tx)
            .await?;
    for row in &removed {
        citation::scrub_document(tx, &row.id(IdKind::Document, "document_id")?).await?;
    }
    sqlx::query(
        "UPDATE document_version SET visible_to = ?2 WHERE visible_from IS NOT NULL AND visible_to IS NULL
         AND document_id IN (SELECT document_id FROM document_version WHERE job_id = ?1 AND visible_from IS NULL
                             UNION SELECT document_id FROM job_document WHERE job_id = ?1 AND change = 'removed')",
    )
    .bind(job.as_str())
    .bind(int("corpus version", version)?)
    .execute(&mut *tx)
    .await?;
    sqlx::query("UPDATE document_version SET visible_from = ?2 WHERE job_id = ?1 AND visible_from IS NULL")
        .bind(job.as_str())
        .bind(int("corpus version", version)?)
        .execute(tx)
        .await?;
    Ok(())
}

pub(crate) async fn raise_version(tx: &mut SqliteConnection, corpus: &Id) -> Result<u64> {
    let row = sqlx::query(
        "UPDATE corpus SET version = version + 1, updated_ms = ?2 WHERE id = ?1 RETURNING version",
    )
    .bind(corpus.as_str())
    .bind(now_ms() as i64)
    .fetch_optional(tx)
    .await?;
    row.ok_or_else(|| Error::not_found("corpus", corpus))?.count("version")
}

async fn version_of(tx: &mut SqliteConnection, corpus: &Id) -> Result<u64> {
    let row =
        sqlx::query("SELECT version FROM corpus WHERE id = ?1").bind(corpus.as_str()).fetch_one(tx).await?;
    Ok(row.try_get::<i64, _>("version")? as u64)
}
