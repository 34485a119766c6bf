//! Remember: an answer goes into the catalog with everything that replay needs to give it again bit for bit.

use crate::{
    Result,
    answer::Citation,
    ask::{AskRequest, Given},
    cite::RELATED,
    gather::Gathered,
};
use base::{CharSpan, Id, IdKind};
use catalog::NewAnswer;
use ingest::Ingest;
use serde::Serialize;

/// An answer as the catalog keeps it, with what replay needs.
pub fn new_answer(ingest: &Ingest, request: &AskRequest, given: &Given) -> Result<NewAnswer> {
    let Given { answer, gathered, snapshot } = given;
    let citations =
        answer.citations.iter().map(|c| stored_citation(gathered, c)).collect::<Result<Vec<_>>>()?;
    Ok(NewAnswer {
        corpus: snapshot.corpus.id.clone(),
        corpus_version: snapshot.corpus.version,
        model_fingerprint: ingest.engine.fingerprint().to_string(),
        question: request.question.clone(),
        mode: answer.mode.clone(),
        seed: request.sampling.seed,
        status: "completed".into(),
        grounding: json(&answer.grounding).as_str().unwrap_or_default().to_owned(),
        text: answer.text.clone(),
        plan: json(request),
        usage: json(&answer.usage),
        detail: serde_json::json!({
            "unsupported_spans": answer.unsupported_spans, "stop_reason": answer.stop_reason,
            "attention_map": answer.attention_map,
        }),
        citations,
        sources: sources(request, gathered),
    })
}

/// The documents whose text can be in the answer: composed now, or taken over from earlier turns.
pub fn sources(request: &AskRequest, gathered: &Gathered) -> Vec<Id> {
    let composed = gathered.candidates.iter().take(request.passages.max(RELATED));
    let composed = composed.map(|candidate| candidate.source.document.id.clone());
    let earlier = request.history.iter().flat_map(|turn| &turn.sources);
    let mut sources: Vec<Id> =
        composed.chain(earlier.filter_map(|id| Id::parse(IdKind::Document, id).ok())).collect();
    sources.sort();
    sources.dedup();
    sources
}

fn stored_citation(gathered: &Gathered, citation: &Citation) -> Result<catalog::Citation> {
    let id = Id::parse(IdKind::Document, &citation.source.document_id).expect("ids of our own citations");
    let version = gathered
        .candidates
        .iter()
        .find(|c| c.source.document.id == id)
        .map(|c| c.source.document.version.id)
        .expect("a citation points at a gathered document");
    Ok(catalog::Citation {
        number: citation.number,
        answer: CharSpan::new(citation.answer_span.start, citation.answer_span.end),
        document: id,
        version,
        title: citation.source.title.clone(),
        source: CharSpan::new(citation.source.start_char, citation.source.end_char),
        quote: citation.quote.clone(),
        detail: json(citation),
        source_removed: false,
    })
}

fn json(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("plain structures always encode")
}
