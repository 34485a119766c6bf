//! Cite: from chosen units to citations with exact places in the canonical text, each verified against it.

use crate::{
    answer::{AnswerSpan, Citation, Context, Evidence, PageBox, Related, SourceSpan, Verification},
    gather::{Candidate, Gathered, QuotableUnit, Source, terms},
    lexical::support,
    quote::Chosen,
    respond::Response,
    sentences,
    verify::{Status, verify},
};
use base::ByteSpan;
use corpus::tokens::CharIndex;

/// Code points shown before and after a quote.
const CONTEXT_CHARS: usize = 160;

/// Citations in the order of the answer, numbered from 1, and the spans nothing supports. A quote that is not in the
/// stored text word for word gives no citation: its span counts as unsupported.
pub fn cite(gathered: &Gathered, response: &Response) -> (Vec<Citation>, Vec<AnswerSpan>) {
    let (mut citations, mut unsupported) = (Vec::new(), Vec::new());
    for (span, chosen) in &response.sentences {
        let answer_span = AnswerSpan { start: span.start, end: span.end };
        let sentence = sentences::slice(&response.text, *span);
        let number = citations.len() as u64 + 1;
        let citation = chosen.map(|c| citation(gathered, c, number, answer_span, &sentence));
        match citation.filter(|c| c.verification.status != Status::NotFound) {
            Some(citation) => citations.push(citation),
            None => unsupported.push(answer_span),
        }
    }
    (citations, unsupported)
}

fn citation(
    gathered: &Gathered,
    chosen: Chosen,
    number: u64,
    answer_span: AnswerSpan,
    sentence: &str,
) -> Citation {
    let candidate = &gathered.candidates[chosen.candidate];
    let unit = &candidate.units[chosen.unit];
    let text = candidate.source.text.text.as_str();
    let index = CharIndex::new(text);
    let source = place(&candidate.source, unit.bytes, &index);
    let quote = text[unit.bytes.start as usize..unit.bytes.end as usize].to_owned();
    // Read back through the code points that the API gives out, as a client would.
    let stored = index.byte_span(base::CharSpan::new(source.start_char, source.end_char));
    let status = verify(text.get(stored.start as usize..stored.end as usize), &quote);
    Citation {
        id: format!("cit_{number}"),
        number,
        answer_span,
        context: around(text, unit.bytes),
        verification: Verification {
            status,
            method: "text_compare".into(),
            score: if status == Status::NotFound { 0.0 } else { 1.0 },
        },
        evidence: evidence(unit, sentence),
        source,
        quote,
    }
}

/// Passages that are named when the answer is not in the documents, at most.
pub const RELATED: usize = 3;

/// The passages that the word index ranks best.
pub fn related(gathered: &Gathered) -> Vec<Related> {
    let near = |candidate: &Candidate| {
        let source = &candidate.source;
        let bytes = candidate.passage.bytes;
        let place = place(source, bytes, &CharIndex::new(&source.text.text));
        Related {
            document_id: place.document_id,
            path: place.path,
            title: place.title,
            start_char: place.start_char,
            end_char: place.end_char,
            page: place.page_start,
            text: source.text.text[bytes.start as usize..bytes.end as usize].to_owned(),
        }
    };
    gathered.candidates.iter().take(RELATED).map(near).collect()
}

fn evidence(unit: &QuotableUnit, sentence: &str) -> Vec<Evidence> {
    vec![
        Evidence::Attention { score: unit.evidence.mass },
        Evidence::TextMatch { score: support(&terms(sentence), &unit.terms) },
        Evidence::QuestionTerms { score: unit.evidence.coverage },
    ]
}

fn place(source: &Source, bytes: ByteSpan, index: &CharIndex<'_>) -> SourceSpan {
    let chars = index.char_span(bytes);
    let text = &source.text;
    let mut pages = text.pages.iter().filter(|page| page.bytes.intersect(bytes).is_some());
    let first = pages.next();
    let last = pages.next_back().or(first);
    let boxes = text.boxes.iter().filter(|run| run.bytes.intersect(bytes).is_some()).map(|run| PageBox {
        page: run.page,
        x0: run.area.x0,
        y0: run.area.y0,
        x1: run.area.x1,
        y1: run.area.y1,
    });
    SourceSpan {
        document_id: source.document.id.to_string(),
        file_id: source.document.version.file.id.to_string(),
        path: source.document.path.clone(),
        title: source.document.version.title.clone(),
        start_char: chars.start,
        end_char: chars.end,
        offset_unit: "code_point".into(),
        page_start: first.map(|page| page.index),
        page_end: last.map(|page| page.index),
        page_label: first.and_then(|page| page.label.clone()),
        line: text.text[..bytes.start as usize].bytes().filter(|b| *b == b'\n').count() as u64 + 1,
        boxes: boxes.collect(),
    }
}

fn around(text: &str, bytes: ByteSpan) -> Context {
    let before: Vec<char> = text[..bytes.start as usize].chars().rev().take(CONTEXT_CHARS).collect();
    Context {
        before: before.into_iter().rev().collect(),
        after: text[bytes.end as usize..].chars().take(CONTEXT_CHARS).collect(),
    }
}
