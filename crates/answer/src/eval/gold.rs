//! Where gold quotes stand in the canonical texts, and which passages and units hold them.

use super::{EvalQuestion, Gold, JudgedUnit};
use crate::{Error, Result, gather::Candidate};
use base::Id;
use catalog::Corpus;
use corpus::tokens::CharIndex;
use ingest::Ingest;
use std::collections::BTreeMap;
use unicode_normalization::UnicodeNormalization;

/// Gold spans by document, code points.
#[derive(Default)]
pub(super) struct GoldSpans {
    /// By what a question file calls them, id or path.
    documents: BTreeMap<String, GoldDocument>,
}

struct GoldDocument {
    id: Id,
    /// `None` before extraction and when there was nothing to extract.
    text: Option<Vec<char>>,
}

impl GoldSpans {
    pub(super) async fn ranks(
        &mut self,
        ingest: &Ingest,
        corpus: &Corpus,
        question: &EvalQuestion,
        ranked: &[Candidate],
    ) -> Result<Vec<Option<usize>>> {
        let mut ranks = Vec::new();
        for gold in &question.gold {
            let spans = self.find(ingest, corpus, gold).await?;
            let document = self.document(ingest, corpus, gold).await?;
            let holds = |c: &Candidate| {
                c.source.document.id == document
                    && overlaps(&spans, CharIndex::new(&c.source.text.text).char_span(c.passage.bytes))
            };
            ranks.push(ranked.iter().position(holds).map(|at| at + 1));
        }
        Ok(ranks)
    }

    pub(super) async fn units(
        &mut self,
        ingest: &Ingest,
        corpus: &Corpus,
        question: &EvalQuestion,
        candidates: &[Candidate],
    ) -> Result<Vec<JudgedUnit>> {
        let mut golds = Vec::new();
        for gold in &question.gold {
            golds.push((self.document(ingest, corpus, gold).await?, self.find(ingest, corpus, gold).await?));
        }
        let mut units = Vec::new();
        for (passage, candidate) in candidates.iter().enumerate() {
            let document = &candidate.source.document;
            let index = CharIndex::new(&candidate.source.text.text);
            for unit in &candidate.units {
                let at = index.char_span(unit.bytes);
                let gold = golds.iter().any(|(id, spans)| *id == document.id && overlaps(spans, at));
                let (document, evidence) = (document.path.clone(), unit.evidence);
                units.push(JudgedUnit { passage, document, gold, evidence });
            }
        }
        Ok(units)
    }

    /// The document that a gold quote is of.
    pub(super) async fn document(&mut self, ingest: &Ingest, corpus: &Corpus, gold: &Gold) -> Result<Id> {
        Ok(self.known(ingest, corpus, gold).await?.id.clone())
    }

    async fn known(&mut self, ingest: &Ingest, corpus: &Corpus, gold: &Gold) -> Result<&GoldDocument> {
        if !self.documents.contains_key(&gold.document) {
            let document = ingest.stores.catalog.document(&corpus.id, &gold.document).await?;
            let text = match &document.version.stored {
                Some(stored) => Some(ingest.stores.library.document_text(stored)?.text.chars().collect()),
                None => None,
            };
            self.documents.insert(gold.document.clone(), GoldDocument { id: document.id, text });
        }
        Ok(&self.documents[&gold.document])
    }

    /// The places of a gold quote in the canonical text, compared without white space, hyphens and Markdown marks.
    pub(super) async fn find(
        &mut self,
        ingest: &Ingest,
        corpus: &Corpus,
        gold: &Gold,
    ) -> Result<Vec<std::ops::Range<u64>>> {
        let Some(text) = &self.known(ingest, corpus, gold).await?.text else { return Ok(Vec::new()) };
        let (squeezed, places) = squeeze(text.iter().copied());
        let spans: Vec<_> = std::iter::once(&gold.quote)
            .chain(&gold.or)
            .filter_map(|quote| {
                let (wanted, _) = squeeze(quote.chars());
                let at = find(&squeezed, &wanted)?;
                Some(places[at]..places[at + wanted.len() - 1] + 1)
            })
            .collect();
        match spans.is_empty() {
            true => Err(Error::QuestionFile {
                detail: format!("{}: the gold quote {:?} is not in its text", gold.document, gold.quote),
            }),
            false => Ok(spans),
        }
    }
}

pub(super) fn overlaps(spans: &[std::ops::Range<u64>], at: base::CharSpan) -> bool {
    spans.iter().any(|span| span.start < at.end && at.start < span.end)
}

fn find(text: &[char], wanted: &[char]) -> Option<usize> {
    if wanted.is_empty() {
        return None;
    }
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// NFKC without white space, hyphens and the marks `` ` * _ ``; each character with the place it came from.
fn squeeze(text: impl Iterator<Item = char>) -> (Vec<char>, Vec<u64>) {
    let (mut kept, mut places) = (Vec::new(), Vec::new());
    for (place, c) in text.enumerate() {
        for c in std::iter::once(c).nfkc() {
            if !c.is_whitespace() && !matches!(c, '-' | '\u{2010}' | '\u{2011}' | '\u{AD}' | '`' | '*' | '_')
            {
                kept.push(c);
                places.push(place as u64);
            }
        }
    }
    (kept, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gold_quotes_are_found_through_line_ends_and_hyphens() {
        let text: Vec<char> = "The inter-\nnational *rule* is ﬁne.".chars().collect();
        let (squeezed, places) = squeeze(text.iter().copied());
        let (wanted, _) = squeeze("international rule is fine.".chars());
        let at = find(&squeezed, &wanted).unwrap();
        assert_eq!(places[at], 4);
    }
}
