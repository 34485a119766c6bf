//! Native plan: every document in scope is composed and attended to; no text index takes part. What the answer's tokens
//! attended to, page by page, is the evidence of its citations.

use crate::{
    AskRequest, Error, Mode, Result,
    attention::Looked,
    compose::DamagedPart,
    gather::{Candidate, Gathered, Source, bare_candidate, load, unit_text},
    lexical::support,
    quote::Chosen,
    read::Tail,
    respond::{Response, Said},
    sentences,
};
use base::{CharSpan, Id, TokenSpan};
use catalog::{Document, Part, State};
use ingest::{Ingest, Snapshot};
use kv::{PAGE_TOKENS, Segment, SegmentId};
use scout::{Engine, Question, Sampler, Sequence, Step, Stream, StreamMass};
use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
    time::Instant,
};

/// Passages that can be cited: those that got most of the answer's attention.
const PASSAGES: usize = 6;
/// A citation's unit holds at least this share of its sentence's words.
const LEAST_SUPPORT: f64 = 0.5;

/// All stored rows of the documents in scope.
pub struct Context {
    pub documents: Vec<Document>,
    /// Per document its parts.
    parts: Vec<Vec<Part>>,
    /// Document and part of a segment. Documents of the same bytes share one, and it is attended to once.
    owners: HashMap<SegmentId, (usize, usize)>,
}

/// Mass on a document's tokens: (token, mass), ascending.
type TokenMass = Vec<(u64, f64)>;
/// Of documents, by their place in [`Context::documents`].
pub type DocumentMass = BTreeMap<usize, TokenMass>;

impl Context {
    /// The ready documents of the snapshot, or those that the request names.
    pub async fn of(ingest: &Ingest, snapshot: &Snapshot, request: &AskRequest) -> Result<Self> {
        let catalog = &ingest.stores.catalog;
        let mut documents = Vec::new();
        if request.documents.is_empty() {
            documents = catalog.documents(&snapshot.corpus.id, snapshot.corpus.version).await?;
        }
        for name in &request.documents {
            documents.push(catalog.document(&snapshot.corpus.id, name).await?);
        }
        documents.retain(|document| document.version.state == State::Ready);
        let (mut parts, mut owners) = (Vec::new(), HashMap::new());
        for (at, document) in documents.iter().enumerate() {
            let of_document = catalog.parts(document.version.id).await?;
            for (part, known) in of_document.iter().enumerate() {
                owners.entry(SegmentId(known.segment.0)).or_insert((at, part));
            }
            parts.push(of_document);
        }
        Ok(Self { documents, parts, owners })
    }

    pub fn sources(&self) -> Vec<Id> {
        let mut sources: Vec<Id> = self.documents.iter().map(|document| document.id.clone()).collect();
        sources.sort();
        sources.dedup();
        sources
    }

    /// All segments in the order of the documents; `Ok(Err(part))` for one that has to be computed again.
    pub fn segments(
        &self,
        engine: &Engine,
        store: &kv::Store,
    ) -> Result<std::result::Result<Vec<Segment>, DamagedPart>> {
        let mut owned: Vec<_> = self.owners.iter().collect();
        owned.sort_by_key(|(_, place)| **place);
        let mut segments: Vec<Segment> = Vec::new();
        for (id, (document, part)) in owned {
            let (document, part) = (&self.documents[*document], &self.parts[*document][*part]);
            let damaged = |reason: String| DamagedPart {
                version: document.version.id,
                idx: part.idx,
                tokens: part.tokens.len(),
                reason,
            };
            let segment = match store.open_segment(id) {
                Ok(Some(segment)) => segment,
                Ok(None) => return Ok(Err(damaged("missing".into()))),
                Err(error) if error.is_damage() => return Ok(Err(damaged(error.to_string()))),
                Err(error) => return Err(error.into()),
            };
            if !engine.computes(&segment, part.tokens.len()) {
                return Err(Error::OtherRows { document: document.path.clone() });
            }
            segments.push(segment);
        }
        Ok(Ok(segments))
    }

    /// A sequence behind all segments, `hidden` tokens of them out of sight; `Ok(Err(part))` as of
    /// [`Context::segments`].
    pub fn compose(
        &self,
        engine: &Engine,
        store: &kv::Store,
        hidden: &[(SegmentId, Range<u64>)],
    ) -> Result<std::result::Result<(Sequence, Arc<Stream>), DamagedPart>> {
        let segments = match self.segments(engine, store)? {
            Ok(segments) => segments,
            Err(part) => return Ok(Err(part)),
        };
        let mut sequence = engine.sequence()?;
        let stream = sequence.stream(segments, hidden)?;
        Ok(Ok((sequence, stream)))
    }

    /// Where a document's tokens lie: segments and their tokens.
    pub fn stored(
        &self,
        store: &kv::Store,
        path: &str,
        tokens: TokenSpan,
    ) -> Result<Vec<(SegmentId, Range<u64>)>> {
        let mut stored = Vec::new();
        let Some(at) = self.documents.iter().position(|document| document.path == path) else {
            return Ok(stored);
        };
        for part in &self.parts[at] {
            let id = SegmentId(part.segment.0);
            let (Some(own), Some(segment)) = (part.tokens.intersect(tokens), store.open_segment(&id)?) else {
                continue;
            };
            let header = segment.n_tokens().saturating_sub(part.tokens.len());
            let first = header + own.start - part.tokens.start;
            stored.push((id, first..first + own.len()));
        }
        Ok(stored)
    }

    /// Mass per document and token.
    pub fn by_document(&self, stream: &Stream, mass: &StreamMass) -> DocumentMass {
        let mut found = DocumentMass::new();
        for (page, slots) in mass {
            let (segment, page) = stream.locate(*page);
            let segment = &stream.segments()[segment];
            let Some((document, part)) = self.owners.get(&segment.id()).copied() else { continue };
            let tokens = self.parts[document][part].tokens;
            let header = segment.n_tokens().saturating_sub(tokens.len());
            let tokens_mass = found.entry(document).or_default();
            for (slot, value) in slots.iter().enumerate().filter(|(_, value)| **value > 0.0) {
                let at = page * PAGE_TOKENS as u64 + slot as u64;
                if at >= header {
                    tokens_mass.push((tokens.start + at - header, f64::from(*value)));
                }
            }
        }
        found.values_mut().for_each(|mass| mass.sort_by_key(|(token, _)| *token));
        found
    }
}

/// What one question's sequence wrote and looked at.
pub struct Written {
    pub text: String,
    pub n_tokens: u64,
    pub ended: bool,
    pub mass: StreamMass,
}

/// A running question on a stream.
struct Pen {
    sequence: Sequence,
    next: Vec<u32>,
    sampler: Sampler,
    ids: Vec<u32>,
    written: Written,
}

/// Writes the answers to several questions behind copies of `sequence`, all in one batch: one walk over the stored pages
/// serves as many rows as go into a pass. `heard` is told the first question's text whenever it grew.
pub fn write(
    question: &Question<'_>,
    sequence: &Sequence,
    tails: &[&[u32]],
    sampling: scout::Sampling,
    max_tokens: u64,
    heard: &mut dyn FnMut(&str),
) -> Result<Vec<Written>> {
    let engine = question.engine();
    let layers = 0..engine.config().n_layers;
    // What all questions begin with is read once.
    let mut opened = sequence.fork();
    let common = common_start(tails);
    if common > 0 {
        let ids = &tails[0][..common];
        question.step(&mut [Step { sequence: &mut opened, ids, logits: 0..0, mass: None }])?;
    }
    let pen = |tail: &&[u32]| Pen {
        sequence: opened.fork(),
        next: tail[common..].to_vec(),
        sampler: Sampler::new(sampling),
        ids: Vec::new(),
        written: Written { text: String::new(), n_tokens: 0, ended: false, mass: StreamMass::new() },
    };
    let mut pens: Vec<Pen> = tails.iter().map(pen).collect();
    loop {
        let mut running: Vec<&mut Pen> =
            pens.iter_mut().filter(|pen| !pen.written.ended && pen.written.n_tokens < max_tokens).collect();
        if running.is_empty() {
            break;
        }
        let mut steps: Vec<Step<'_>> = running
            .iter_mut()
            .map(|pen| {
                let last = pen.next.len() - 1..pen.next.len();
                let mass = Some((last.clone(), layers.clone()));
                Step { sequence: &mut pen.sequence, ids: &pen.next, logits: last, mass }
            })
            .collect();
        let decoded = question.step(&mut steps)?;
        for (at, (pen, mass)) in running.into_iter().zip(decoded.stream_mass).enumerate() {
            pen.take(engine, decoded.logits.row(at), mass)?;
        }
        heard(&pens[0].written.text);
    }
    Ok(pens.into_iter().map(|pen| pen.written).collect())
}

/// Tokens that all tails begin with, their last ones left out; 0 for a single one.
fn common_start(tails: &[&[u32]]) -> usize {
    let [first, others @ ..] = tails else { return 0 };
    let shared =
        |other: &&[u32]| first.iter().zip(*other).take_while(|(a, b)| a == b).count().min(other.len() - 1);
    others.iter().map(shared).min().unwrap_or(0).min(first.len() - 1)
}

impl Pen {
    /// Takes the next token. What the step that ends the answer looked at says nothing of its words.
    fn take(&mut self, engine: &Engine, logits: &[f32], mass: StreamMass) -> Result<()> {
        let id = self.sampler.next(logits);
        if engine.stop_ids().contains(&id) {
            self.written.ended = true;
            return Ok(());
        }
        for (page, slots) in mass {
            let sum = self.written.mass.entry(page).or_insert([0.0; PAGE_TOKENS]);
            sum.iter_mut().zip(slots).for_each(|(sum, value)| *sum += value);
        }
        self.ids.push(id);
        self.next = vec![id];
        self.written.n_tokens += 1;
        self.written.text = engine.tokenizer().decode(&self.ids)?;
        Ok(())
    }
}

/// Answers from the whole context. `Ok(Err(part))`: a stored segment has to be rebuilt first; nothing was said then.
pub fn respond(
    running: &Question<'_>,
    store: &kv::Store,
    context: &Context,
    tail: &Tail,
    request: &AskRequest,
    said: &mut dyn FnMut(Said<'_>),
) -> Result<std::result::Result<(Response, DocumentMass), DamagedPart>> {
    let (sequence, stream) = match context.compose(running.engine(), store, &[])? {
        Ok(composed) => composed,
        Err(part) => return Ok(Err(part)),
    };
    said(Said::Composed);
    let start = Instant::now();
    // A quote is said when it is known which one it is; free words as they are settled.
    let free = request.mode != Mode::Quote;
    let mut heard = 0;
    let mut say = |text: &str, said: &mut dyn FnMut(Said<'_>)| {
        if free && heard < text.len() {
            said(Said::Text(&text[heard..]));
            heard = text.len();
        }
    };
    let written =
        write(running, &sequence, &[&tail.ids], request.sampling, request.max_output_tokens, &mut |text| {
            say(sentences::settled(text.trim_start()), said)
        });
    let written = match written {
        Err(Error::Engine(scout::Error::Kv(error))) if error.is_damage() => {
            return match context.damaged(store, &error.to_string())? {
                Some(part) => Ok(Err(part)),
                None => Err(error.into()),
            };
        }
        other => other?.remove(0),
    };
    say(written.text.trim(), said);
    let masses = context.by_document(&stream, &written.mass);
    let response = Response {
        question_tokens: tail.ids.len() as u64,
        kv_bytes_read: stream.bytes_read(),
        decode_s: start.elapsed().as_secs_f64(),
        ..written.response(&stream)
    };
    Ok(Ok((response, masses)))
}

impl Written {
    /// What was said, without the sources of its sentences.
    pub fn response(&self, stream: &Stream) -> Response {
        Response {
            text: self.text.trim().to_owned(),
            output_tokens: self.n_tokens,
            reused_tokens: stream.n_tokens(),
            finish: if self.ended { "end" } else { "max_output_tokens" },
            ..Response::default()
        }
    }
}

impl Context {
    /// The first part whose segment fails its checks.
    fn damaged(&self, store: &kv::Store, reason: &str) -> Result<Option<DamagedPart>> {
        for (id, (document, part)) in &self.owners {
            match store.verify(id) {
                Ok(true) => {}
                Err(error) if !error.is_damage() => return Err(error.into()),
                _ => {
                    let part = &self.parts[*document][*part];
                    let version = self.documents[*document].version.id;
                    let (idx, tokens) = (part.idx, part.tokens.len());
                    return Ok(Some(DamagedPart { version, idx, tokens, reason: reason.to_owned() }));
                }
            }
        }
        Ok(None)
    }

    /// Every document with the mass on it, for the attention map.
    pub fn looked(&self, mut masses: DocumentMass) -> Looked {
        let of = |(at, document): (usize, &Document)| {
            (document.id.to_string(), masses.remove(&at).unwrap_or_default())
        };
        self.documents.iter().enumerate().map(of).collect()
    }

    /// The passages that got most of the mass, best first, their units with their shares of it.
    pub async fn gathered(
        &self,
        ingest: &Ingest,
        request: &AskRequest,
        masses: &DocumentMass,
    ) -> Result<Gathered> {
        let total: f64 = masses.values().flatten().map(|(_, mass)| mass).sum();
        let mut by_mass: Vec<(f64, usize)> = masses
            .iter()
            .map(|(document, mass)| (mass.iter().map(|(_, mass)| mass).sum(), *document))
            .collect();
        by_mass.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut found: Vec<(f64, usize, Arc<Source>, usize)> = Vec::new();
        for (_, document) in by_mass.into_iter().take(PASSAGES) {
            let source = Arc::new(load(&ingest.stores, self.documents[document].version.id).await?);
            for (mass, passage) in passages_by_mass(&source, &masses[&document]) {
                found.push((mass, document, source.clone(), passage));
            }
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let ready = |(_, document, source, passage): (f64, usize, Arc<Source>, usize)| {
            let passage = source.passages[passage].clone();
            let mut candidate = bare_candidate(source, passage, &request.question);
            share_mass(&mut candidate, &masses[&document], total);
            candidate
        };
        let candidates: Vec<Candidate> = found.into_iter().take(PASSAGES).map(ready).collect();
        Ok(Gathered { question: crate::lexical::Question::new([]), candidates })
    }
}

/// Passages of a document with any mass.
fn passages_by_mass(source: &Source, mass: &TokenMass) -> Vec<(f64, usize)> {
    let mut found: BTreeMap<usize, f64> = BTreeMap::new();
    for (token, mass) in mass {
        let at = source.passages.partition_point(|passage| passage.tokens.end <= *token);
        if source.passages.get(at).is_some_and(|passage| passage.tokens.start <= *token) {
            *found.entry(at).or_default() += mass;
        }
    }
    found.into_iter().map(|(at, mass)| (mass, at)).collect()
}

fn share_mass(candidate: &mut Candidate, mass: &TokenMass, total: f64) {
    let spans = &candidate.source.text.token_spans;
    for unit in &mut candidate.units {
        let inside = mass.iter().filter(|(token, _)| spans[*token as usize].intersect(unit.bytes).is_some());
        let inside: f64 = inside.map(|(_, mass)| mass).sum();
        unit.evidence.mass = if total > 0.0 { inside / total } else { 0.0 };
    }
}

/// The unit with most mass, whatever it says.
pub fn most_attended(gathered: &Gathered) -> Option<Chosen> {
    let mut best: Option<Chosen> = None;
    for (candidate, of) in gathered.candidates.iter().enumerate() {
        for (unit, known) in of.units.iter().enumerate() {
            let score = known.evidence.mass;
            if score > best.map_or(0.0, |best| best.score) {
                best = Some(Chosen { candidate, unit, score });
            }
        }
    }
    best
}

/// Gives each sentence the unit that was attended to most among those that bear it out; a quote is that unit itself.
pub fn ground(response: &mut Response, gathered: &Gathered, quote: bool) {
    if quote {
        let Some(chosen) = most_attended(gathered) else {
            response.text.clear();
            return;
        };
        let candidate = &gathered.candidates[chosen.candidate];
        let words = unit_text(candidate, candidate.units[chosen.unit].bytes);
        response.text = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let whole = CharSpan::new(0, response.text.chars().count() as u64);
        response.sentences = vec![(whole, Some(chosen))];
        return;
    }
    response.sentences = sentences::sentences(&response.text)
        .into_iter()
        .map(|span| (span, supported(gathered, &sentences::slice(&response.text, span))))
        .collect();
}

fn supported(gathered: &Gathered, sentence: &str) -> Option<Chosen> {
    let claim = crate::gather::terms(sentence);
    let mut best: Option<Chosen> = None;
    for (candidate, of) in gathered.candidates.iter().enumerate() {
        for (unit, known) in of.units.iter().enumerate() {
            let score = known.evidence.mass;
            let better = score > best.map_or(0.0, |best| best.score);
            if better && support(&claim, &known.terms) >= LEAST_SUPPORT {
                best = Some(Chosen { candidate, unit, score });
            }
        }
    }
    best
}
