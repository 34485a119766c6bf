//! Many questions of one corpus whose model sees all of it: one walk over the stored pages serves a whole batch.

use super::{EvalQuestion, gold::GoldSpans};
use crate::{
    Answer, AskRequest, Error, Result,
    answer::Usage,
    ask::cited,
    compose::DamagedPart,
    gather::load,
    native::{self, Context, Written},
    read::question_tail,
};
use base::{CharSpan, TokenSpan};
use catalog::Corpus;
use corpus::tokens::CharIndex;
use ingest::{Ingest, Snapshot};
use kv::SegmentId;
use scout::Cancel;
use std::ops::Range;

/// What stays out of sight while the questions are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    Everything,
    /// The stored rows of every question's gold quotes are hidden: an answer that is still right was not read there.
    WithoutGold,
}

/// Answers to `questions`, in order; none is stored.
pub(super) async fn answers(
    ingest: &Ingest,
    corpus: &Corpus,
    questions: &[EvalQuestion],
    request: &AskRequest,
    (sight, golds): (Sight, &mut GoldSpans),
    cancel: &Cancel,
) -> Result<Vec<Answer>> {
    let snapshot = ingest.stores.snapshot(corpus).await?;
    let context = Context::of(ingest, &snapshot, request, cancel).await?;
    let hidden = match sight {
        Sight::Everything => Vec::new(),
        Sight::WithoutGold => hidden(ingest, corpus, &context, questions, golds, cancel).await?,
    };
    let engine = &ingest.engine;
    let asking = || engine.question(&corpus.owner).cancelled_by(cancel);
    let composed = tokio::task::block_in_place(|| context.compose(&asking(), &ingest.stores.kv, &hidden))?;
    let (sequence, stream) = whole(ingest, composed).await?;
    let mut tails = Vec::new();
    for question in questions {
        tails.push(question_tail(engine, &question.question, &[])?.ids);
    }
    let written = tokio::task::block_in_place(|| {
        let tails: Vec<&[u32]> = tails.iter().map(Vec::as_slice).collect();
        let most = request.max_output_tokens;
        native::write(&asking(), &sequence, &tails, request.sampling, most, &mut |_| Ok(()))
    })?;
    let usage = Usage {
        corpus_tokens: stream.n_tokens(),
        reused_corpus_tokens: stream.n_tokens(),
        ..Usage::default()
    };
    let mut answers = Vec::new();
    for (question, written) in questions.iter().zip(&written) {
        cancel.check()?;
        let request = AskRequest { question: question.question.clone(), ..request.clone() };
        let given = (written, usage.clone());
        answers.push(concluded(ingest, &snapshot, &context, &request, &stream, given).await?);
    }
    Ok(answers)
}

/// Errors: [`Error::SegmentMissing`] where a part has to be computed again.
pub(super) async fn whole<T>(ingest: &Ingest, found: std::result::Result<T, DamagedPart>) -> Result<T> {
    match found {
        Ok(found) => Ok(found),
        Err(part) => {
            let document = ingest.stores.catalog.version(part.version).await?.path;
            Err(Error::SegmentMissing { document, segment: part.reason })
        }
    }
}

/// What was written as an answer, with the sources it looked at, and what it cost.
pub(super) async fn concluded(
    ingest: &Ingest,
    snapshot: &Snapshot,
    context: &Context,
    request: &AskRequest,
    stream: &scout::Stream,
    (written, usage): (&Written, Usage),
) -> Result<Answer> {
    let mut response = written.response(stream);
    let masses = context.by_document(stream, &written.mass);
    let gathered = context.gathered(ingest, request, &masses).await?;
    native::ground(&mut response, &gathered, request.mode == crate::Mode::Quote);
    let usage = Usage { output_tokens: response.output_tokens, ..usage };
    cited(ingest, snapshot, request, (&gathered, Some(&context.looked(masses))), response, usage).await
}

/// Stored rows of the gold quotes of all questions.
async fn hidden(
    ingest: &Ingest,
    corpus: &Corpus,
    context: &Context,
    questions: &[EvalQuestion],
    golds: &mut GoldSpans,
    cancel: &Cancel,
) -> Result<Vec<(SegmentId, Range<u64>)>> {
    let mut hidden = Vec::new();
    for gold in questions.iter().flat_map(|question| &question.gold) {
        cancel.check()?;
        let document = ingest.stores.catalog.document(&corpus.id, &gold.document).await?;
        let source = load(&ingest.stores, document.version.id).await?;
        let index = CharIndex::new(&source.text.text);
        for chars in golds.find(ingest, corpus, gold).await? {
            let bytes = index.byte_span(CharSpan::new(chars.start, chars.end));
            let spans = &source.text.token_spans;
            let first = spans.partition_point(|span| span.end <= bytes.start) as u64;
            let end = spans.partition_point(|span| span.start < bytes.end) as u64;
            hidden.extend(context.stored(&ingest.stores.kv, &document.id, TokenSpan::new(first, end))?);
        }
    }
    Ok(hidden)
}
