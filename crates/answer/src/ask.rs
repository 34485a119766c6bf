//! `ask`: one question from words to a stored answer. Read it top to bottom.

use crate::{
    Error, Result, Weights,
    answer::{Answer, Citation, Grounding, Usage},
    cite::cite,
    compose::DamagedPart,
    gather::{Gathered, gather},
    read::{Tail, question_tail},
    respond::{MAX_OUTPUT_TOKENS, Plan, Response, respond},
};
use base::{CharSpan, Id, IdKind};
use catalog::{Corpus, NewAnswer};
use ingest::{Ingest, Snapshot};
use scout::Sampling;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Tokens a question may have.
const MAX_QUESTION_TOKENS: u64 = 1_024;
/// Tokens that are composed of one passage at most: its own, which two parts may share, and the document header of
/// either part.
const MAX_COMPOSED_TOKENS: u64 = corpus::passages::MAX_TOKENS + 2 * ingest::MAX_HEADER_TOKENS as u64;
/// Segments that may be rebuilt for one question before it is given up.
const MAX_REBUILDS: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Quoting: a quote cannot say what the documents do not.
    #[default]
    Auto,
    /// Whole units of the documents, word for word.
    Quote,
    /// The model's own words, cited where a passage supports them.
    Free,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Quote => "quote",
            Self::Free => "free",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskRequest {
    pub question: String,
    pub mode: Mode,
    /// Ids or paths; empty asks all documents.
    pub documents: Vec<String>,
    pub max_output_tokens: u64,
    pub sampling: Sampling,
    /// Passages composed, each in a sequence of its own.
    pub passages: usize,
    pub weights: Weights,
}

impl AskRequest {
    pub fn new(question: &str, mode: Mode) -> Self {
        Self {
            question: question.to_owned(),
            mode,
            documents: Vec::new(),
            max_output_tokens: MAX_OUTPUT_TOKENS,
            sampling: Sampling::default(),
            passages: 6,
            weights: Weights::default(),
        }
    }

    fn plan(&self) -> Plan {
        Plan {
            passages: self.passages,
            weights: self.weights,
            sampling: self.sampling,
            max_output_tokens: self.max_output_tokens,
        }
    }
}

/// What a listener hears before the answer is complete.
#[derive(Debug, Clone, PartialEq)]
pub enum AskEvent {
    /// A damaged or lost segment of a document is computed again from its text.
    Rebuilding { document: String, tokens: u64, reason: String },
    /// Final text: nothing said is ever taken back.
    Text(String),
}

/// Answers `request` from the newest version of `corpus` and remembers the answer.
pub async fn ask(
    ingest: &Ingest,
    corpus: &Corpus,
    request: &AskRequest,
    on_event: &mut (dyn FnMut(AskEvent) + Send),
) -> Result<Answer> {
    let given = give(ingest, corpus, request, on_event).await?;
    remember(ingest, &given.snapshot, &given.gathered, request, given.answer).await
}

/// An answer before it is stored; the snapshot keeps its documents readable.
pub(crate) struct Given {
    pub answer: Answer,
    pub gathered: Gathered,
    snapshot: Snapshot,
}

pub(crate) async fn give(
    ingest: &Ingest,
    corpus: &Corpus,
    request: &AskRequest,
    on_event: &mut (dyn FnMut(AskEvent) + Send),
) -> Result<Given> {
    let start = Instant::now();
    let tail = check_request(ingest, corpus, request)?;
    let snapshot = ingest.stores.snapshot(corpus).await?;
    let counts = ingest.stores.catalog.corpus_counts(&snapshot.corpus.id).await?;
    if counts.ready == 0 {
        return Err(Error::NothingToAsk { corpus: corpus.name.clone() });
    }
    let bytes_before = ingest.stores.kv.counters().bytes_read;

    let mut gathered =
        gather(ingest, &snapshot, &request.question, &request.documents, request.passages).await?;
    let mut first_text = None;
    let mut hear = |event: AskEvent| {
        if matches!(event, AskEvent::Text(_)) {
            first_text.get_or_insert_with(|| start.elapsed());
        }
        on_event(event);
    };
    let (response, prefilled) = respond_or_rebuild(ingest, &mut gathered, &tail, request, &mut hear).await?;
    let ttft_ms = first_text.unwrap_or_else(|| start.elapsed()).as_millis() as u64;
    let (citations, unsupported) = cite(&gathered, &response);
    let usage = Usage {
        corpus_tokens: counts.tokens,
        reused_corpus_tokens: response.reused_tokens.saturating_sub(prefilled),
        prefilled_corpus_tokens: prefilled,
        kv_bytes_read: ingest.stores.kv.counters().bytes_read.saturating_sub(bytes_before),
        question_tokens: response.question_tokens,
        output_tokens: response.output_tokens,
        ttft_ms,
        output_tokens_per_s: rate(response.output_tokens, response.decode_s),
    };
    let answer = Answer {
        object: "answer".into(),
        id: String::new(),
        corpus_id: snapshot.corpus.id.to_string(),
        corpus_version: snapshot.corpus.version,
        status: "completed".into(),
        question: request.question.clone(),
        mode: request.mode.as_str().into(),
        grounding: grounding(&response, &citations),
        text: response.text,
        citations,
        unsupported_spans: unsupported,
        usage,
        stop_reason: response.finish.into(),
        created_ms: 0,
    };
    Ok(Given { answer, gathered, snapshot })
}

fn rate(tokens: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { tokens as f64 / seconds } else { 0.0 }
}

/// Whether the request can be carried out; gives what follows a composed passage.
fn check_request(ingest: &Ingest, corpus: &Corpus, request: &AskRequest) -> Result<Tail> {
    let (engine, question) = (&ingest.engine, &request.question);
    if !question.chars().any(|c| c.is_alphanumeric()) {
        return Err(Error::EmptyQuestion);
    }
    let tail = question_tail(engine, question)?;
    let tokens = tail.question.len() as u64;
    if tokens > MAX_QUESTION_TOKENS {
        return Err(Error::QuestionTooLong { tokens, limit: MAX_QUESTION_TOKENS });
    }
    let window = engine.config().window;
    let taken = engine.header().ids.len() as u64 + MAX_COMPOSED_TOKENS + tail.ids.len() as u64;
    let (asked, limit) = (request.max_output_tokens, window.saturating_sub(taken));
    if asked > limit {
        return Err(Error::OutputTooLong { asked, limit, window });
    }
    let open = engine.fingerprint().to_string();
    let open_kv = engine.kv_dtype().name();
    match &corpus.model {
        None => Err(Error::NothingToAsk { corpus: corpus.name.clone() }),
        Some(bound) if bound.fingerprint != open => Err(Error::OtherModel {
            corpus: corpus.name.clone(),
            bound: bound.name.clone(),
            bound_fingerprint: bound.fingerprint.clone(),
            open: engine.name().to_owned(),
        }),
        Some(bound) if bound.kv_dtype != open_kv => {
            Err(Error::OtherKv { corpus: corpus.name.clone(), bound: bound.kv_dtype.clone(), open: open_kv })
        }
        Some(_) => Ok(tail),
    }
}

/// Runs the model on its own thread; a damaged segment is rebuilt from the text and the question asked again.
/// Gives the response and the document tokens that had to be computed.
async fn respond_or_rebuild(
    ingest: &Ingest,
    gathered: &mut Gathered,
    tail: &Tail,
    request: &AskRequest,
    on_event: &mut (dyn FnMut(AskEvent) + Send),
) -> Result<(Response, u64)> {
    let (plan, quote) = (request.plan(), request.mode != Mode::Free);
    let mut prefilled = 0;
    for _ in 0..=MAX_REBUILDS {
        let tried = tokio::task::block_in_place(|| {
            let said = &mut |text: &str| on_event(AskEvent::Text(text.to_owned()));
            respond(&ingest.engine, &ingest.stores.kv, gathered, tail, quote, &plan, said)
        })?;
        let part = match tried {
            Ok(response) => return Ok((response, prefilled)),
            Err(part) => part,
        };
        let DamagedPart { version, idx, tokens, reason } = part;
        let document = ingest.stores.catalog.version(version).await?.path;
        on_event(AskEvent::Rebuilding { document, tokens, reason });
        ingest.rebuild_segment(version, idx).await?;
        prefilled += tokens;
    }
    Err(Error::SegmentMissing {
        document: "several documents".into(),
        segment: "more than can be rebuilt".into(),
    })
}

fn grounding(response: &Response, citations: &[Citation]) -> Grounding {
    match (response.text.is_empty(), citations.len()) {
        (true, _) | (_, 0) => Grounding::NotInCorpus,
        (_, n) if n < response.sentences.len() => Grounding::PartlySupported,
        _ => Grounding::Supported,
    }
}

/// Stores the answer with what replay needs.
async fn remember(
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
