//! `ask`: one question from words to a stored answer. Read it top to bottom.

use crate::{
    Error, Result, Weights,
    answer::{Answer, Citation, Grounding, Usage},
    attention::{Looked, attention_map, whole_map},
    check::{check_request, nothing_to_ask},
    cite::{cite, related},
    compose::DamagedPart,
    gather::{Gathered, gather},
    native,
    read::Tail,
    remember::{new_answer, sources},
    respond::{MAX_OUTPUT_TOKENS, Plan, Response, Said, respond},
};
use base::Id;
use catalog::Corpus;
use ingest::{Ingest, Snapshot};
use scout::{Cancel, Question, Sampling};
use serde::{Deserialize, Serialize};
use std::{ops::ControlFlow, time::Instant};

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

/// An earlier question of a conversation with its answer. It helps to find passages and stands in the prompt; nothing
/// of it can be cited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    pub question: String,
    pub answer: String,
    /// Ids of the documents that the answer was composed from: when one of them is removed, what was taken over from
    /// there has to go too.
    #[serde(default)]
    pub sources: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskRequest {
    pub question: String,
    /// Oldest first; of a long one the newest turns that fit are taken.
    #[serde(default)]
    pub history: Vec<Turn>,
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
            history: Vec::new(),
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
    /// The version of the corpus that is asked.
    Started { corpus_version: u64 },
    /// The documents whose text may come up from now on.
    Composing { sources: Vec<Id> },
    /// Bytes of KV that the composed passages have, before and behind reading them.
    Loading { kv_bytes_done: u64, kv_bytes_total: u64 },
    /// A damaged or lost segment of a document is computed again from its text.
    Rebuilding { document: String, tokens: u64, reason: String },
    /// Final text: nothing said is ever taken back.
    Text(String),
}

/// Hears what happens while a question is answered.
pub type Listener<'a> = dyn FnMut(AskEvent) + Send + 'a;

/// Answers `request` from the newest version of `corpus` and remembers the answer.
pub async fn ask(
    ingest: &Ingest,
    corpus: &Corpus,
    request: &AskRequest,
    cancel: &Cancel,
    on_event: &mut Listener<'_>,
) -> Result<Answer> {
    let given = give(ingest, corpus, request, cancel, on_event).await?;
    let new = new_answer(ingest, request, &given)?;
    let (id, created_ms) = ingest.stores.catalog.insert_answer(&corpus.owner, &new).await?;
    Ok(Answer { id: id.to_string(), created_ms, ..given.answer })
}

/// Answers a question that the catalog has accepted, under the id it has there. `on_event` must see to it that the
/// answer is started and that its sources are noted before anything said is stored.
pub async fn ask_accepted(
    ingest: &Ingest,
    accepted: &catalog::Answer,
    request: &AskRequest,
    cancel: &Cancel,
    on_event: &mut Listener<'_>,
) -> Result<Answer> {
    let corpus = ingest.stores.catalog.corpus(&accepted.owner, accepted.corpus.as_str()).await?;
    let given = give(ingest, &corpus, request, cancel, on_event).await?;
    let new = new_answer(ingest, request, &given)?;
    ingest.stores.catalog.complete_answer(&accepted.id, &new).await?;
    Ok(Answer {
        id: accepted.id.to_string(),
        created_ms: accepted.created_ms,
        conversation_id: accepted.conversation.as_ref().map(ToString::to_string),
        ..given.answer
    })
}

/// An answer before it is stored; the snapshot keeps its documents readable.
pub(crate) struct Given {
    pub answer: Answer,
    pub gathered: Gathered,
    pub snapshot: Snapshot,
    /// The documents whose text can be in it.
    pub sources: Vec<Id>,
}

pub(crate) async fn give(
    ingest: &Ingest,
    corpus: &Corpus,
    request: &AskRequest,
    cancel: &Cancel,
    on_event: &mut Listener<'_>,
) -> Result<Given> {
    let start = Instant::now();
    let running = Running { ingest, owner: &corpus.owner, cancel };
    let tail = match check_request(ingest, corpus, request) {
        Err(Error::NothingToAsk { .. }) => return Err(nothing_to_ask(ingest, corpus).await?),
        checked => checked?,
    };
    let snapshot = ingest.stores.snapshot(corpus).await?;
    let counts = ingest.stores.catalog.corpus_counts(&snapshot.corpus.id).await?;
    if counts.ready == 0 {
        return Err(nothing_to_ask(ingest, corpus).await?);
    }
    on_event(AskEvent::Started { corpus_version: snapshot.corpus.version });

    let mut first_text = None;
    let mut hear = |event: AskEvent| {
        if matches!(event, AskEvent::Text(_)) {
            first_text.get_or_insert_with(|| start.elapsed());
        }
        on_event(event);
    };
    let Found { gathered, sources, response, prefilled, whole } = match ingest.engine.sees_everything() {
        true => from_everything(&running, &snapshot, &tail, request, &mut hear).await?,
        false => from_passages(&running, &snapshot, &tail, request, &mut hear).await?,
    };
    let ttft_ms = first_text.unwrap_or_else(|| start.elapsed()).as_millis() as u64;
    let usage = Usage {
        corpus_tokens: counts.tokens,
        reused_corpus_tokens: response.reused_tokens.saturating_sub(prefilled),
        prefilled_corpus_tokens: prefilled,
        kv_bytes_read: response.kv_bytes_read,
        question_tokens: response.question_tokens,
        output_tokens: response.output_tokens,
        ttft_ms,
        output_tokens_per_s: rate(response.output_tokens, response.decode_s),
    };
    let answer = cited(ingest, &snapshot, request, (&gathered, whole.as_ref()), response, usage).await?;
    Ok(Given { answer, gathered, snapshot, sources })
}

/// The REST object of a response; `whole` where it saw all documents.
pub(crate) async fn cited(
    ingest: &Ingest,
    snapshot: &Snapshot,
    request: &AskRequest,
    (gathered, whole): (&Gathered, Option<&Looked>),
    response: Response,
    usage: Usage,
) -> Result<Answer> {
    let (citations, unsupported_spans) = cite(gathered, &response);
    let grounding = grounding(&response, &citations);
    let documents = ingest.stores.catalog.documents(&snapshot.corpus.id, snapshot.corpus.version).await?;
    let axis = documents.into_iter().map(|d| (d.id.to_string(), d.version.tokens));
    Ok(Answer {
        id: String::new(),
        corpus_id: snapshot.corpus.id.to_string(),
        corpus_version: snapshot.corpus.version,
        conversation_id: None,
        question: request.question.clone(),
        mode: request.mode.as_str().into(),
        grounding,
        attention_map: match whole {
            Some(looked) => whole_map(axis, looked),
            None => attention_map(axis, gathered, &response, &citations),
        },
        related: if grounding == Grounding::NotInCorpus { related(gathered) } else { Vec::new() },
        text: response.text,
        citations,
        unsupported_spans,
        usage,
        stop_reason: response.finish.into(),
        created_ms: 0,
    })
}

fn rate(tokens: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { tokens as f64 / seconds } else { 0.0 }
}

/// Who asks, with what, and who may stop it.
struct Running<'a> {
    ingest: &'a Ingest,
    owner: &'a str,
    cancel: &'a Cancel,
}

/// What an answer is made from.
struct Found {
    gathered: Gathered,
    sources: Vec<Id>,
    response: Response,
    /// Document tokens that had to be computed.
    prefilled: u64,
    /// Where the model looked, when it saw all documents.
    whole: Option<Looked>,
}

async fn from_passages(
    running: &Running<'_>,
    snapshot: &Snapshot,
    tail: &Tail,
    request: &AskRequest,
    on_event: &mut Listener<'_>,
) -> Result<Found> {
    let mut gathered = gather(running.ingest, snapshot, request, request.passages).await?;
    let sources = sources(running.ingest, snapshot, request, &gathered).await?;
    on_event(AskEvent::Composing { sources: sources.clone() });
    let (plan, quote) = (request.plan(), request.mode != Mode::Free);
    let tokens = gathered.candidates.iter().take(plan.passages).map(|c| c.passage.tokens.len()).sum();
    let kv = &running.ingest.stores.kv;
    let attempt = |question: &Question<'_>, said: &mut Saying<'_>| {
        respond(question, kv, &mut gathered, tail, quote, &plan, said)
    };
    let (response, prefilled) = with_rebuilds(running, tokens, attempt, on_event).await?;
    Ok(Found { gathered, sources, response, prefilled, whole: None })
}

async fn from_everything(
    running: &Running<'_>,
    snapshot: &Snapshot,
    tail: &Tail,
    request: &AskRequest,
    on_event: &mut Listener<'_>,
) -> Result<Found> {
    let Running { ingest, cancel, .. } = *running;
    let context = native::Context::of(ingest, snapshot, request, cancel).await?;
    let sources = context.sources();
    on_event(AskEvent::Composing { sources: sources.clone() });
    let tokens = context.documents.iter().map(|document| document.version.tokens).sum();
    let mut told = native::Heard::default();
    let attempt = |question: &Question<'_>, said: &mut Saying<'_>| {
        native::respond(question, &ingest.stores.kv, &context, tail, request, &mut told, said)
    };
    let ((mut response, masses), prefilled) = with_rebuilds(running, tokens, attempt, on_event).await?;
    let gathered = context.gathered(ingest, request, &masses).await?;
    let quote = request.mode == Mode::Quote;
    native::ground(&mut response, &gathered, quote);
    if quote && !response.text.is_empty() {
        on_event(AskEvent::Text(response.text.clone()));
    }
    Ok(Found { gathered, sources, response, prefilled, whole: Some(context.looked(masses)) })
}

/// Hears a response in the making.
type Saying<'a> = dyn FnMut(Said<'_>) + 'a;

/// Runs the model on its own thread; a damaged segment is rebuilt from the text and the question asked again. Gives what
/// `attempt` found and the document tokens that had to be computed. `tokens`: those that are composed.
async fn with_rebuilds<T>(
    running: &Running<'_>,
    tokens: u64,
    mut attempt: impl FnMut(&Question<'_>, &mut Saying<'_>) -> Result<std::result::Result<T, DamagedPart>>,
    on_event: &mut Listener<'_>,
) -> Result<(T, u64)> {
    let Running { ingest, owner, cancel } = *running;
    let kv_bytes_total = tokens * ingest.engine.kv_bytes_per_token();
    let (mut prefilled, mut rebuilds) = (0, 0);
    loop {
        on_event(AskEvent::Loading { kv_bytes_done: 0, kv_bytes_total });
        let tried = tokio::task::block_in_place(|| {
            // Prefill waits for a question that lives: a rebuild must find it ended.
            let question = ingest.engine.question(owner).cancelled_by(cancel);
            attempt(&question, &mut |said| on_event(heard(said, kv_bytes_total)))
        })?;
        match tried {
            Ok(found) => return Ok((found, prefilled)),
            Err(part) if rebuilds == MAX_REBUILDS => {
                let document = ingest.stores.catalog.version(part.version).await?.path;
                return Err(Error::NotRebuilt { document, part: part.idx, rebuilds, reason: part.reason });
            }
            Err(part) => prefilled += rebuild(running, part, on_event).await?,
        }
        rebuilds += 1;
    }
}

/// What the listener is told of a response in the making.
fn heard(said: Said<'_>, kv_bytes_total: u64) -> AskEvent {
    match said {
        Said::Composed => AskEvent::Loading { kv_bytes_done: kv_bytes_total, kv_bytes_total },
        Said::Text(text) => AskEvent::Text(text.to_owned()),
    }
}

/// Computes a damaged part again from its text; the tokens it took, 0 when another question has done so meanwhile.
async fn rebuild(running: &Running<'_>, part: DamagedPart, on_event: &mut Listener<'_>) -> Result<u64> {
    let Running { ingest, cancel, .. } = *running;
    let DamagedPart { version, idx, tokens, reason } = part;
    let document = ingest.stores.catalog.version(version).await?.path;
    on_event(AskEvent::Rebuilding { document, tokens, reason });
    let watch = |_| if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    match ingest.rebuild_segment(version, idx, &watch).await {
        Err(ingest::Error::Interrupted) => Err(scout::Error::Cancelled.into()),
        computed => Ok(if computed? { tokens } else { 0 }),
    }
}

fn grounding(response: &Response, citations: &[Citation]) -> Grounding {
    match (response.text.is_empty(), citations.len()) {
        (true, _) | (_, 0) => Grounding::NotInCorpus,
        (_, n) if n < response.sentences.len() => Grounding::PartlySupported,
        _ => Grounding::Supported,
    }
}
