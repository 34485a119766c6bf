//! Remember: an answer goes into the catalog with everything that replay needs to give it again bit for bit.

use crate::{
    Result, Turn,
    answer::Citation,
    ask::{AskRequest, Given},
    cite::RELATED,
    gather::Gathered,
};
use base::{CharSpan, Id, IdKind};
use catalog::NewAnswer;
use ingest::{Ingest, Snapshot};
use serde::Serialize;

/// An answer as the catalog keeps it, with what replay needs.
pub fn new_answer(ingest: &Ingest, request: &AskRequest, given: &Given) -> Result<NewAnswer> {
    let Given { answer, gathered, snapshot, sources } = given;
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
        sources: sources.clone(),
    })
}

/// The documents whose text can be in the answer: composed now, or taken over from earlier turns. An earlier answer that
/// does not say where it came from can come from any document of the corpus.
pub async fn sources(
    ingest: &Ingest,
    snapshot: &Snapshot,
    request: &AskRequest,
    gathered: &Gathered,
) -> Result<Vec<Id>> {
    if request.history.iter().any(is_unsourced) {
        let corpus = &snapshot.corpus;
        let documents = ingest.stores.catalog.documents(&corpus.id, corpus.version).await?;
        return Ok(documents.into_iter().map(|document| document.id).collect());
    }
    let composed = gathered.candidates.iter().take(request.passages.max(RELATED));
    let composed = composed.map(|candidate| candidate.source.document.id.clone());
    let earlier = request.history.iter().flat_map(|turn| &turn.sources);
    let mut sources: Vec<Id> =
        composed.chain(earlier.filter_map(|id| Id::parse(IdKind::Document, id).ok())).collect();
    sources.sort();
    sources.dedup();
    Ok(sources)
}

fn is_unsourced(turn: &Turn) -> bool {
    turn.sources.is_empty() && !turn.answer.trim().is_empty()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_answer_without_sources_can_come_from_anywhere_a_question_alone_cannot() {
        let turn = |answer: &str, sources: &[&str]| Turn {
            question: "Who?".into(),
            answer: answer.into(),
            sources: sources.iter().map(|id| (*id).to_owned()).collect(),
        };
        assert!(is_unsourced(&turn("Ann.", &[])));
        assert!(!is_unsourced(&turn("Ann.", &["doc"])));
        assert!(!is_unsourced(&turn(" ", &[])));
    }
}
