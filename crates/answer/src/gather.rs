//! Gather: the best passages for a question, with the text and the quotable units each one holds. No model runs here.

use crate::{AskRequest, Result, Turn, choose::UnitEvidence, expected::Expected, lexical::Question};
use base::ByteSpan;
use catalog::{Document, Part, Passage, State, VersionId};
use corpus::{BlockKind, Unit, units::units};
use ingest::{DocumentText, Ingest, Snapshot, Stores};
use scout::Engine;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Words that the model holds for near one word of the question, at most.
const RELATED_WORDS: usize = 12;
/// Weight of a related term's BM25 score, times its cosine.
const RELATED: f32 = 0.5;
/// Weight of the BM25 score of a term of the turn before; of the one before that, half as much.
const EARLIER: f32 = 0.5;
const EARLIER_TURNS: usize = 3;
/// Words of more than about a seventh of the passages say too little to be related to anything; nats.
const LEAST_IDF: f64 = 2.0;

/// One document as the answer needs it.
pub struct Source {
    pub document: Document,
    pub text: DocumentText,
    pub passages: Vec<Passage>,
    pub parts: Vec<Part>,
}

/// A passage that may answer, best first.
pub struct Candidate {
    pub source: Arc<Source>,
    pub passage: Passage,
    pub units: Vec<QuotableUnit>,
}

pub struct QuotableUnit {
    /// Bytes of the canonical text.
    pub bytes: ByteSpan,
    pub terms: Vec<String>,
    pub evidence: UnitEvidence,
}

/// What was found for a question.
pub struct Gathered {
    pub question: Question,
    pub candidates: Vec<Candidate>,
}

pub fn terms(text: &str) -> Vec<String> {
    search::terms(text).into_iter().map(|term| term.text).collect()
}

/// The `k` best passages of the snapshot for a question, within the documents it names if any (ids or paths). Words of
/// earlier turns help to find them; what they weigh is judged by the question alone.
pub async fn gather(
    ingest: &Ingest,
    snapshot: &Snapshot,
    request: &AskRequest,
    k: usize,
) -> Result<Gathered> {
    let stores = &ingest.stores;
    let question = request.question.as_str();
    let asking = Asking {
        weighed: tokio::task::block_in_place(|| weigh(&ingest.engine, snapshot, question))?,
        words: question,
        expected: Expected::of(question),
    };
    let scope = scope(stores, snapshot, &request.documents).await?;
    let mut related: Vec<(String, f32)> =
        asking.weighed.related().into_iter().map(|(term, cosine)| (term, RELATED * cosine)).collect();
    related.extend(earlier_terms(&request.history, &asking.weighed));
    let hits = snapshot.index.search_related(question, &related, k, scope.as_deref())?;
    let top = hits.first().map_or(1.0, |hit| f64::from(hit.score)).max(f64::MIN_POSITIVE);
    let mut sources: HashMap<u64, Arc<Source>> = HashMap::new();
    let mut candidates = Vec::new();
    for hit in &hits {
        let version = hit.key.version;
        let source = match sources.get(&version) {
            Some(source) => source.clone(),
            None => {
                let source = Arc::new(load(stores, VersionId(version)).await?);
                sources.insert(version, source.clone());
                source
            }
        };
        let Some(passage) = source.passages.get(hit.key.idx as usize).cloned() else { continue };
        if source.document.version.state != State::Ready {
            continue;
        }
        let rank = f64::from(hit.score) / top;
        let units = measure(&source, &passage, &asking, rank);
        candidates.push(Candidate { source, passage, units });
    }
    Ok(Gathered { question: asking.weighed, candidates })
}

/// Terms of earlier turns that the question does not have, the newest weighing most.
fn earlier_terms(history: &[Turn], asking: &Question) -> Vec<(String, f32)> {
    let mut found: Vec<(String, f32)> = Vec::new();
    let mut weight = EARLIER;
    for turn in history.iter().rev().take(EARLIER_TURNS) {
        for (words, share) in [(&turn.question, 1.0), (&turn.answer, 0.5)] {
            for term in terms(words) {
                if !asking.holds(&term) && !found.iter().any(|(known, _)| *known == term) {
                    found.push((term, weight * share));
                }
            }
        }
        weight *= 0.5;
    }
    found
}

/// The question's terms with their weights, and the terms that the model holds for near.
fn weigh(engine: &Engine, snapshot: &Snapshot, question: &str) -> Result<Question> {
    let terms = search::terms(question);
    let mut weighed = Vec::new();
    for term in &terms {
        weighed.push((term.text.clone(), f64::from(snapshot.index.idf(&term.text)?)));
    }
    let mut asking = Question::new(weighed.iter().cloned());
    let (telling, words): (Vec<&str>, Vec<&str>) = terms
        .iter()
        .zip(&weighed)
        .filter(|(_, (_, idf))| *idf >= LEAST_IDF)
        .map(|(t, _)| (t.text.as_str(), &question[t.span.start as usize..t.span.end as usize]))
        .unzip();
    for (term, near) in telling.into_iter().zip(engine.related(&words, RELATED_WORDS)?) {
        for (word, cosine) in near {
            let Some(related) = search::terms(&word).into_iter().next() else { continue };
            let known = snapshot.index.doc_freq(&related.text)? > 0;
            if known && f64::from(snapshot.index.idf(&related.text)?) >= LEAST_IDF {
                asking.relate(term, related.text, f64::from(cosine));
            }
        }
    }
    Ok(asking)
}

async fn scope(stores: &Stores, snapshot: &Snapshot, documents: &[String]) -> Result<Option<Vec<u64>>> {
    if documents.is_empty() {
        return Ok(None);
    }
    let mut versions = Vec::new();
    for name in documents {
        versions.push(stores.catalog.document(&snapshot.corpus.id, name).await?.version.id.0);
    }
    Ok(Some(versions))
}

/// A document with all that an answer needs of it.
pub(crate) async fn load(stores: &Stores, version: VersionId) -> Result<Source> {
    let document = stores.catalog.version(version).await?;
    let text = match &document.version.stored {
        Some(stored) => stores.library.document_text(stored)?,
        None => DocumentText::default(),
    };
    let passages = stores.catalog.passages(version).await?;
    let parts = stores.catalog.parts(version).await?;
    Ok(Source { document, text, passages, parts })
}

/// A passage that was found without words: its units have no evidence but what is measured later.
pub(crate) fn bare_candidate(source: Arc<Source>, passage: Passage, question: &str) -> Candidate {
    let asking = Asking { weighed: Question::new([]), words: question, expected: Expected::of(question) };
    let units = measure(&source, &passage, &asking, 0.0);
    Candidate { source, passage, units }
}

struct Asking<'a> {
    weighed: Question,
    words: &'a str,
    expected: Expected,
}

/// The passage's whole units with the evidence that needs no model.
fn measure(source: &Source, passage: &Passage, asking: &Asking<'_>, rank: f64) -> Vec<QuotableUnit> {
    let text = source.text.text.as_str();
    let first = source.text.blocks.partition_point(|block| block.bytes.end <= passage.bytes.start);
    let last = source.text.blocks.partition_point(|block| block.bytes.start < passage.bytes.end);
    let inside: Vec<Unit> = units(text, &source.text.blocks[first..last.max(first)])
        .into_iter()
        .filter(|unit| passage.bytes.contains(unit.bytes))
        .collect();
    let words = |unit: &Unit| &text[unit.bytes.start as usize..unit.bytes.end as usize];
    let worded: Vec<Vec<String>> = inside.iter().map(|unit| terms(words(unit))).collect();
    let around = terms(&format!("{} {}", source.document.version.title, passage.heading));
    let flag = |yes: bool| f64::from(u8::from(yes));
    let evidence = |i: usize, unit: &Unit| {
        let near = worded[i.saturating_sub(2)..(i + 2).min(worded.len())].iter().flatten().chain(&around);
        let news: HashSet<&String> = worded[i].iter().filter(|term| !asking.weighed.holds(term)).collect();
        UnitEvidence {
            coverage: asking.weighed.coverage(worded[i].iter().map(String::as_str)),
            near: asking.weighed.near_coverage(worded[i].iter().map(String::as_str)),
            context: asking.weighed.near_coverage(near.map(String::as_str)),
            rank,
            expected: flag(asking.expected.is_in(words(unit), asking.words)),
            heading: flag(matches!(unit.kind, BlockKind::Heading(_))),
            news: (1.0 + news.len() as f64).ln(),
            ..UnitEvidence::default()
        }
    };
    let quotable = |(i, unit): (usize, &Unit)| QuotableUnit {
        bytes: unit.bytes,
        terms: worded[i].clone(),
        evidence: evidence(i, unit),
    };
    inside.iter().enumerate().map(quotable).collect()
}

/// The stored words of a unit.
pub fn unit_text(candidate: &Candidate, bytes: ByteSpan) -> &str {
    &candidate.source.text.text[bytes.start as usize..bytes.end as usize]
}
