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
use scout::{Cancel, Question, Sequence, Stream, StreamMass};
use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
    time::Instant,
};

#[cfg(test)]
mod tests;
mod write;

pub use write::{Written, write};

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
    ///
    /// Errors: also [`scout::Error::Cancelled`].
    pub async fn of(
        ingest: &Ingest,
        snapshot: &Snapshot,
        request: &AskRequest,
        cancel: &Cancel,
    ) -> Result<Self> {
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
            cancel.check()?;
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
        question: &Question<'_>,
        store: &kv::Store,
    ) -> Result<std::result::Result<Vec<Segment>, DamagedPart>> {
        let mut owned: Vec<_> = self.owners.iter().collect();
        owned.sort_by_key(|(_, place)| **place);
        let mut segments: Vec<Segment> = Vec::new();
        for (id, (document, part)) in owned {
            question.check_cancelled()?;
            let segment = match store.open_segment(id) {
                Ok(Some(segment)) => segment,
                Ok(None) => return Ok(Err(self.damaged((*document, *part), "missing".into()))),
                Err(error) if error.is_damage() => {
                    return Ok(Err(self.damaged((*document, *part), error.to_string())));
                }
                Err(error) => return Err(error.into()),
            };
            let (document, part) = (&self.documents[*document], &self.parts[*document][*part]);
            if !question.engine().computes(&segment, part.tokens.len()) {
                return Err(Error::OtherRows { document: document.path.clone() });
            }
            segments.push(segment);
        }
        Ok(Ok(segments))
    }

    fn damaged(&self, (document, part): (usize, usize), reason: String) -> DamagedPart {
        let (document, part) = (&self.documents[document], &self.parts[document][part]);
        DamagedPart { version: document.version.id, idx: part.idx, tokens: part.tokens.len(), reason }
    }

    /// A sequence behind all segments, `hidden` tokens of them out of sight; `Ok(Err(part))` as of
    /// [`Context::segments`].
    pub fn compose(
        &self,
        question: &Question<'_>,
        store: &kv::Store,
        hidden: &[(SegmentId, Range<u64>)],
    ) -> Result<std::result::Result<(Sequence, Arc<Stream>), DamagedPart>> {
        let segments = match self.segments(question, store)? {
            Ok(segments) => segments,
            Err(part) => return Ok(Err(part)),
        };
        let mut sequence = question.sequence()?;
        let stream = sequence.stream(segments, hidden)?;
        Ok(Ok((sequence, stream)))
    }

    /// Where a document's tokens lie: segments and their tokens.
    pub fn stored(
        &self,
        store: &kv::Store,
        document: &Id,
        tokens: TokenSpan,
    ) -> Result<Vec<(SegmentId, Range<u64>)>> {
        let mut stored = Vec::new();
        let Some(at) = self.documents.iter().position(|known| known.id == *document) else {
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

/// What a listener has heard of an answer, in all attempts at it: nothing of it is taken back or said twice.
#[derive(Default)]
pub struct Heard(String);

impl Heard {
    /// Says what `text`, the start of the answer as it is now, has more than was heard.
    ///
    /// Errors: [`Error::SaidOtherwise`] when the two differ.
    fn say(&mut self, text: &str, said: &mut dyn FnMut(Said<'_>)) -> Result<()> {
        match text.strip_prefix(&self.0) {
            Some("") => {}
            Some(more) => {
                said(Said::Text(more));
                self.0.push_str(more);
            }
            // An attempt that has not come as far as the one before.
            None if self.0.starts_with(text) => {}
            None => return Err(Error::SaidOtherwise),
        }
        Ok(())
    }

    /// The whole answer.
    fn end(&mut self, text: &str, said: &mut dyn FnMut(Said<'_>)) -> Result<()> {
        self.say(text, said)?;
        if self.0 == text { Ok(()) } else { Err(Error::SaidOtherwise) }
    }
}

/// Answers from the whole context. `Ok(Err(part))`: a stored segment has to be rebuilt, then it is to be asked again with
/// what was `heard` until then. The same rows give the same words, also of one that is sampled, from its seed: the next
/// attempt says what the listener has not heard. Rows that were not computed here, as of an archive, may be others than
/// those rebuilt, and then the words may be: that is an error, for what was said stays said.
pub fn respond(
    running: &Question<'_>,
    store: &kv::Store,
    context: &Context,
    tail: &Tail,
    request: &AskRequest,
    heard: &mut Heard,
    said: &mut dyn FnMut(Said<'_>),
) -> Result<std::result::Result<(Response, DocumentMass), DamagedPart>> {
    let (sequence, stream) = match context.compose(running, store, &[])? {
        Ok(composed) => composed,
        Err(part) => return Ok(Err(part)),
    };
    said(Said::Composed);
    let start = Instant::now();
    // A quote is said when it is known which one it is; free words as they are settled.
    let free = request.mode != Mode::Quote;
    let written =
        write(running, &sequence, &[&tail.ids], request.sampling, request.max_output_tokens, &mut |text| {
            if free { heard.say(sentences::settled(text.trim_start()), said) } else { Ok(()) }
        });
    let written = match written {
        Err(Error::Engine(scout::Error::Kv(error))) => {
            let owner = error.damaged_segment().and_then(|segment| context.owners.get(&segment));
            return match owner {
                Some(owner) => Ok(Err(context.damaged(*owner, error.to_string()))),
                None => Err(error.into()),
            };
        }
        other => other?.remove(0),
    };
    if free {
        heard.end(written.text.trim(), said)?;
    }
    let masses = context.by_document(&stream, &written.mass);
    let response = Response {
        question_tokens: tail.ids.len() as u64,
        kv_bytes_read: stream.bytes_read(),
        decode_s: start.elapsed().as_secs_f64(),
        ..written.response(&stream)
    };
    Ok(Ok((response, masses)))
}

impl Context {
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
