//! Questions behind documents that were read one behind the other, as if nothing were stored: how many are right then and
//! not otherwise is what isolated rows cost.

use super::{
    EvalQuestion,
    together::{concluded, whole},
};
use crate::{
    Answer, AskRequest, Result,
    native::{self, Context},
    read::question_tail,
};
use catalog::Corpus;
use ingest::Ingest;
use std::ops::ControlFlow;

/// Answers to `questions`, in order; none is stored, and none cites, for there is no stored row that it looked at.
pub(super) async fn answers(
    ingest: &Ingest,
    corpus: &Corpus,
    questions: &[EvalQuestion],
    request: &AskRequest,
) -> Result<Vec<Answer>> {
    let engine = &ingest.engine;
    let snapshot = ingest.stores.snapshot(corpus).await?;
    let context = Context::of(ingest, &snapshot, request).await?;
    let segments = whole(ingest, context.segments(engine, &ingest.stores.kv)?).await?;
    let mut behind = engine.sequence()?;
    tokio::task::block_in_place(|| {
        segments.iter().try_for_each(|segment| {
            engine.prefill_behind(&mut behind, segment.tokens(), &mut |_| ControlFlow::Continue(()))
        })
    })?;
    let stream = engine.sequence()?.stream(segments, &[])?;
    let mut answers = Vec::new();
    for question in questions {
        let tail = question_tail(engine, &question.question, &[])?.ids;
        let written = tokio::task::block_in_place(|| {
            let (asking, most) = (engine.question(&corpus.owner), request.max_output_tokens);
            native::write(&asking, &behind, &[&tail], request.sampling, most, &mut |_| {})
        })?;
        let request = AskRequest { question: question.question.clone(), ..request.clone() };
        answers.push(concluded(ingest, &snapshot, &context, &request, &stream, &written[0]).await?);
    }
    Ok(answers)
}
