//! Check: whether a question can be asked of a corpus at all, before anything is read for it.

use crate::{
    AskRequest, Error, Result,
    read::{Tail, question_tail},
};
use catalog::{Corpus, JobState};
use ingest::Ingest;

/// Tokens a question may have.
const MAX_QUESTION_TOKENS: u64 = 1_024;
/// Tokens that are composed of one passage at most: its own, which two parts may share, and the document header of
/// either part.
const MAX_COMPOSED_TOKENS: u64 = corpus::passages::MAX_TOKENS + 2 * ingest::MAX_HEADER_TOKENS as u64;

/// Whether the request can be carried out; for a caller that answers it later.
pub fn check(ingest: &Ingest, corpus: &Corpus, request: &AskRequest) -> Result<()> {
    check_request(ingest, corpus, request).map(drop)
}

/// Why a corpus has nothing to ask: nothing was added, or its first documents are on their way.
pub async fn nothing_to_ask(ingest: &Ingest, corpus: &Corpus) -> Result<Error> {
    let job = ingest.stores.catalog.newest_ingest(&corpus.id).await?;
    let progress = job.and_then(|job| match job.state {
        JobState::Queued => Some("not begun yet".to_owned()),
        JobState::Running if job.progress.total == 0 => Some("just begun".to_owned()),
        JobState::Running => {
            let now = job.progress;
            Some(format!("{}: {} of {} {}", now.stage, now.done, now.total, now.unit))
        }
        _ => None,
    });
    Ok(match progress {
        Some(progress) => Error::StillReading { corpus: corpus.name.clone(), progress },
        None => Error::NothingToAsk { corpus: corpus.name.clone() },
    })
}

/// Whether the request can be carried out; gives what follows a composed passage.
pub fn check_request(ingest: &Ingest, corpus: &Corpus, request: &AskRequest) -> Result<Tail> {
    let (engine, question) = (&ingest.engine, &request.question);
    if !question.chars().any(|c| c.is_alphanumeric()) {
        return Err(Error::EmptyQuestion);
    }
    let tail = question_tail(engine, question, &request.history)?;
    let tokens = tail.question.len() as u64;
    if tokens > MAX_QUESTION_TOKENS {
        return Err(Error::QuestionTooLong { tokens, limit: MAX_QUESTION_TOKENS });
    }
    let window = engine.config().window;
    // What is composed of a whole corpus is held against the window when it is known.
    let composed = if engine.sees_everything() { 0 } else { MAX_COMPOSED_TOKENS };
    let taken = engine.header().ids.len() as u64 + composed + tail.ids.len() as u64;
    let (asked, limit) = (request.max_output_tokens, window.saturating_sub(taken));
    if asked > limit {
        return Err(Error::OutputTooLong { asked, limit, window });
    }
    match &corpus.model {
        None => Err(Error::NothingToAsk { corpus: corpus.name.clone() }),
        Some(_) => check_model(ingest, corpus).map(|()| tail),
    }
}

/// Errors: [`Error::OtherModel`], [`Error::OtherKv`] for a corpus whose state the open engine does not compute.
pub fn check_model(ingest: &Ingest, corpus: &Corpus) -> Result<()> {
    let engine = &ingest.engine;
    let open = engine.fingerprint().to_string();
    let open_kv = engine.kv_dtype().name();
    match &corpus.model {
        Some(bound) if bound.fingerprint != open => Err(Error::OtherModel {
            corpus: corpus.name.clone(),
            bound: bound.name.clone(),
            bound_fingerprint: bound.fingerprint.clone(),
            open: engine.name().to_owned(),
        }),
        Some(bound) if bound.kv_dtype != open_kv => {
            Err(Error::OtherKv { corpus: corpus.name.clone(), bound: bound.kv_dtype.clone(), open: open_kv })
        }
        Some(_) | None => Ok(()),
    }
}
