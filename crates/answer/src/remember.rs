//! Remember: an answer goes into the catalog with everything that replay needs to give it again bit for bit.

use crate::{
    Result,
    answer::{Answer, Citation},
    ask::AskRequest,
    gather::Gathered,
};
use base::{CharSpan, Id, IdKind};
use catalog::NewAnswer;
use ingest::{Ingest, Snapshot};
use serde::Serialize;

/// Stores the answer with what replay needs.
pub async fn remember(
    ingest: &Ingest,
    snapshot: &Snapshot,
    gathered: &Gathered,
    request: &AskRequest,
    answer: Answer,
) -> Result<Answer> {
    let citations =
        answer.citations.iter().map(|c| stored_citation(gathered, c)).collect::<Result<Vec<_>>>()?;
    let composed = gathered.candidates.iter().take(request.passages);
    let new = NewAnswer {
        corpus: snapshot.corpus.id.clone(),
        corpus_version: snapshot.corpus.version,
        model_fingerprint: ingest.engine.fingerprint().to_string(),
        question: request.question.clone(),
        mode: answer.mode.clone(),
        seed: request.sampling.seed,
        status: answer.status.clone(),
        grounding: json(&answer.grounding).as_str().unwrap_or_default().to_owned(),
        text: answer.text.clone(),
        plan: json(request),
        usage: json(&answer.usage),
        detail: serde_json::json!({
            "unsupported_spans": answer.unsupported_spans, "stop_reason": answer.stop_reason,
            "attention_map": answer.attention_map,
        }),
        citations,
        sources: composed.map(|candidate| candidate.source.document.id.clone()).collect(),
    };
    let (id, created_ms) = ingest.stores.catalog.insert_answer(&snapshot.corpus.owner, &new).await?;
    Ok(Answer { id: id.to_string(), created_ms, ..answer })
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
