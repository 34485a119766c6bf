//! Replay: the same question with the same plan over the same corpus version and model gives the same answer, bit for
//! bit; or it is said what is missing.

use crate::{Answer, AskRequest, Error, Result, ask::give};
use ingest::Ingest;
use scout::Cancel;
use serde::Serialize;

/// A replayed answer beside the stored one.
#[derive(Debug, Clone, Serialize)]
pub struct Replay {
    pub answer: Answer,
    /// Text, spans and quotes are the stored ones.
    pub identical: bool,
    pub stored_text: String,
}

/// Gives a stored answer again without storing it.
pub async fn replay(ingest: &Ingest, owner: &str, answer: &str) -> Result<Replay> {
    let stored = ingest.stores.catalog.answer(owner, answer).await?;
    let missing = |missing: String| Error::CannotReplay { answer: answer.to_owned(), missing };
    let Some(plan) = stored.plan else {
        return Err(missing("a document it was composed from was removed, its plan went with it".into()));
    };
    let request: AskRequest =
        serde_json::from_value(plan).map_err(|e| missing(format!("its plan cannot be read: {e}")))?;
    let open = ingest.engine.fingerprint().to_string();
    if stored.model_fingerprint != open {
        return Err(missing(format!("model {} (open is {open})", stored.model_fingerprint)));
    }
    let corpus = ingest.stores.catalog.corpus(owner, stored.corpus.as_str()).await?;
    if corpus.version != stored.corpus_version {
        return Err(missing(format!(
            "version {} of corpus {:?} (it is at version {})",
            stored.corpus_version, corpus.name, corpus.version
        )));
    }
    let mut answer = give(ingest, &corpus, &request, &Cancel::default(), &mut |_| {}).await?.answer;
    if ingest.stores.catalog.answer(owner, stored.id.as_str()).await?.plan.is_none() {
        return Err(missing("a document it was composed from was removed meanwhile".into()));
    }
    answer.id = stored.id.to_string();
    answer.created_ms = stored.created_ms;
    answer.conversation_id = stored.conversation.as_ref().map(ToString::to_string);
    let quotes = |number: u64| {
        let found = answer.citations.iter().find(|c| c.number == number);
        found.map(|c| (c.quote.as_str(), c.source.start_char, c.source.end_char, c.answer_span.start))
    };
    let identical = answer.text == stored.text
        && answer.citations.len() == stored.citations.len()
        && stored.citations.iter().all(|c| {
            quotes(c.number) == Some((c.quote.as_str(), c.source.start, c.source.end, c.answer.start))
        });
    Ok(Replay { answer, identical, stored_text: stored.text })
}
