//! Questions behind documents that were read one behind the other, as if nothing were stored: how many are right then and
//! not otherwise is what isolated rows cost.

use super::{
    EvalQuestion,
    together::{concluded, whole},
};
use crate::{
    Answer, AskRequest, Result, Usage,
    native::{self, Context},
    read::question_tail,
};
use catalog::Corpus;
use ingest::Ingest;
use kv::Segment;
use scout::{Cancel, Question, Sequence};
use std::ops::ControlFlow;

/// Answers to `questions`, in order; none is stored, and none cites, for there is no stored row that it looked at.
pub(super) async fn answers(
    ingest: &Ingest,
    corpus: &Corpus,
    questions: &[EvalQuestion],
    request: &AskRequest,
    cancel: &Cancel,
) -> Result<Vec<Answer>> {
    let engine = &ingest.engine;
    let snapshot = ingest.stores.snapshot(corpus).await?;
    let context = Context::of(ingest, &snapshot, request, cancel).await?;
    let asking = || engine.question(&corpus.owner).cancelled_by(cancel);
    let segments = tokio::task::block_in_place(|| context.segments(&asking(), &ingest.stores.kv))?;
    let segments = whole(ingest, segments).await?;
    let behind = tokio::task::block_in_place(|| read(&asking(), &segments))?;
    let stream = engine.empty_sequence().stream(segments, &[])?;
    let usage = Usage {
        corpus_tokens: stream.n_tokens(),
        prefilled_corpus_tokens: stream.n_tokens(),
        ..Usage::default()
    };
    let mut answers = Vec::new();
    for question in questions {
        let tail = question_tail(engine, &question.question, &[])?.ids;
        let written = tokio::task::block_in_place(|| {
            let most = request.max_output_tokens;
            native::write(&asking(), &behind, &[&tail], request.sampling, most, &mut |_| Ok(()))
        })?;
        let request = AskRequest { question: question.question.clone(), ..request.clone() };
        let given = (&written[0], usage.clone());
        answers.push(concluded(ingest, &snapshot, &context, &request, &stream, given).await?);
    }
    Ok(answers)
}

/// Reads the segments' tokens one behind the other.
fn read(question: &Question<'_>, segments: &[Segment]) -> Result<Sequence> {
    let mut behind = question.sequence()?;
    let mut go_on = |_| match question.check_cancelled() {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    };
    for segment in segments {
        question.engine().prefill_behind(&mut behind, segment.tokens(), &mut go_on)?;
    }
    Ok(behind)
}
