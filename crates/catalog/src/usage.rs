//! What an owner has and has used, for limits and for the page that shows it.

use crate::{Catalog, Result, row::Columns};

/// Documents and bytes as the newest versions of the owner's corpora show them; what several of them share counts
/// once. Token counts of answers are sums over the answers that are still kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub corpora: u64,
    pub documents: u64,
    pub tokens: u64,
    pub source_bytes: u64,
    pub text_bytes: u64,
    pub kv_bytes: u64,
    pub answers: u64,
    pub output_tokens: u64,
    pub prefilled_corpus_tokens: u64,
    pub reused_corpus_tokens: u64,
}

impl Catalog {
    pub async fn usage(&self, owner: &str) -> Result<Usage> {
        let held = sqlx::query(
            "WITH live AS (SELECT v.* FROM document d JOIN document_version v ON v.document_id = d.id
                           WHERE d.owner_id = ?1 AND v.visible_from IS NOT NULL AND v.visible_to IS NULL)
             SELECT (SELECT count(*) FROM corpus WHERE owner_id = ?1) AS corpora,
                    (SELECT count(*) FROM live) AS documents,
                    coalesce((SELECT sum(tokens) FROM live), 0) AS tokens,
                    coalesce((SELECT sum(bytes) FROM file WHERE id IN (SELECT file_id FROM live)), 0) AS source_bytes,
                    coalesce((SELECT sum(bytes) FROM blob
                              WHERE kind = 'text' AND digest IN (SELECT text_digest FROM live)), 0) AS text_bytes,
                    coalesce((SELECT sum(bytes) FROM segment WHERE digest IN
                              (SELECT segment FROM part WHERE version_id IN (SELECT id FROM live))), 0) AS kv_bytes",
        )
        .bind(owner)
        .fetch_one(self.reader())
        .await?;
        let used = sqlx::query(
            "SELECT count(*) AS answers,
                    coalesce(sum(CAST(usage ->> 'output_tokens' AS INTEGER)), 0) AS output_tokens,
                    coalesce(sum(CAST(usage ->> 'prefilled_corpus_tokens' AS INTEGER)), 0) AS prefilled_corpus_tokens,
                    coalesce(sum(CAST(usage ->> 'reused_corpus_tokens' AS INTEGER)), 0) AS reused_corpus_tokens
             FROM answer WHERE owner_id = ?1",
        )
        .bind(owner)
        .fetch_one(self.reader())
        .await?;
        Ok(Usage {
            corpora: held.count("corpora")?,
            documents: held.count("documents")?,
            tokens: held.count("tokens")?,
            source_bytes: held.count("source_bytes")?,
            text_bytes: held.count("text_bytes")?,
            kv_bytes: held.count("kv_bytes")?,
            answers: used.count("answers")?,
            output_tokens: used.count("output_tokens")?,
            prefilled_corpus_tokens: used.count("prefilled_corpus_tokens")?,
            reused_corpus_tokens: used.count("reused_corpus_tokens")?,
        })
    }

    /// Tokens of the owner's documents, visible and staged by jobs that wait or run: what its KV takes once all of them
    /// are read. What a failed job staged is read by nobody.
    pub async fn planned_tokens(&self, owner: &str) -> Result<u64> {
        let row = sqlx::query(
            "SELECT coalesce(sum(v.tokens), 0) AS tokens FROM document d JOIN document_version v ON v.document_id = d.id
             WHERE d.owner_id = ?1 AND v.visible_to IS NULL AND (v.visible_from IS NOT NULL
                   OR v.job_id IN (SELECT id FROM job WHERE state IN ('queued', 'running')))",
        )
        .bind(owner)
        .fetch_one(self.reader())
        .await?;
        row.count("tokens")
    }
}
