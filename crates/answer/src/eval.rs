//! `eval`: a question file over a corpus, judged by a fixed rule, as one table.
//!
//! An answer is right when its normalised text holds one of the accepted strings; a citation when it shares a code
//! point with a gold span of its document; an unanswerable question when it is refused.

use crate::{
    Answer, AskRequest, Error, Grounding, Result, UnitEvidence,
    ask::give,
    gather::{Candidate, gather},
};
use catalog::Corpus;
use corpus::tokens::CharIndex;
use ingest::Ingest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use unicode_normalization::UnicodeNormalization;

#[derive(Debug, Clone, Deserialize)]
pub struct EvalQuestion {
    pub id: String,
    #[serde(default)]
    pub split: String,
    #[serde(default)]
    pub kind: String,
    pub question: String,
    #[serde(default)]
    pub accept: Vec<String>,
    #[serde(default)]
    pub accept_also: Vec<String>,
    #[serde(default)]
    pub gold: Vec<Gold>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Gold {
    pub document: String,
    pub quote: String,
    #[serde(default)]
    pub or: Vec<String>,
}

/// Sums over one kind of question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Tally {
    pub questions: u64,
    /// Answer and citations right; for unanswerable ones, refused.
    pub right: u64,
    pub answer_right: u64,
    pub citations_right: u64,
    pub refused: u64,
    pub precision: f64,
    pub recall: f64,
    pub answerable: u64,
    /// Answerable questions with one gold document, and how many of them have gold in the first passage.
    pub single: u64,
    pub found_at_1: u64,
    /// Answerable questions whose gold documents all have gold among the first eight passages.
    pub found_at_8: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct EvalReport {
    pub mode: String,
    pub kinds: BTreeMap<String, Tally>,
    pub all: Tally,
    /// Per question: id, right, text.
    pub results: Vec<Judged>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    pub id: String,
    pub kind: String,
    pub right: bool,
    pub answer_right: bool,
    pub citations_right: bool,
    pub refused: bool,
    pub precision: f64,
    pub recall: f64,
    pub text: String,
    pub ttft_ms: u64,
    /// For each gold document the rank, from 1, of its first passage that holds gold, among the first eight.
    pub ranks: Vec<Option<usize>>,
    /// What every unit of the composed passages had for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<JudgedUnit>,
}

/// A unit that could have been quoted.
#[derive(Debug, Clone, Serialize)]
pub struct JudgedUnit {
    /// Number of its passage, best first, from 0.
    pub passage: usize,
    pub document: String,
    /// Whether it shares a code point with a gold span.
    pub gold: bool,
    pub evidence: UnitEvidence,
}

/// Ranks that count for recall.
const RECALL_AT: usize = 8;

/// Asks every question without storing the answers; `evidence` lists every unit too. `request` carries the other settings, `progress` hears each judgement.
pub async fn evaluate(
    ingest: &Ingest,
    corpus: &Corpus,
    questions: &[EvalQuestion],
    request: &AskRequest,
    evidence: bool,
    progress: &mut (dyn FnMut(&Judged, usize, usize) + Send),
) -> Result<EvalReport> {
    let mut golds = GoldSpans::default();
    let mut report = EvalReport {
        mode: request.mode.as_str().into(),
        kinds: BTreeMap::new(),
        all: Tally::default(),
        results: Vec::new(),
    };
    for (i, question) in questions.iter().enumerate() {
        let request = AskRequest { question: question.question.clone(), ..request.clone() };
        let given = give(ingest, corpus, &request, &mut |_| {}).await?;
        let mut judged = judge(ingest, corpus, question, &given.answer, &mut golds).await?;
        let stores = &ingest.stores;
        let ranked =
            gather(stores, &stores.snapshot(corpus).await?, &question.question, &[], RECALL_AT).await?;
        judged.ranks = golds.ranks(ingest, corpus, question, &ranked.candidates).await?;
        if evidence {
            let asked = &given.gathered.candidates;
            judged.units = golds.units(ingest, corpus, question, asked).await?;
        }
        progress(&judged, i + 1, questions.len());
        report.kinds.entry(question.kind.clone()).or_default().add(&judged);
        report.all.add(&judged);
        report.results.push(judged);
    }
    report.kinds.values_mut().chain([&mut report.all]).for_each(Tally::average);
    Ok(report)
}

impl Tally {
    fn add(&mut self, judged: &Judged) {
        self.questions += 1;
        self.right += u64::from(judged.right);
        self.answer_right += u64::from(judged.answer_right);
        self.citations_right += u64::from(judged.citations_right);
        self.refused += u64::from(judged.refused);
        self.answerable += u64::from(!judged.ranks.is_empty());
        self.single += u64::from(judged.ranks.len() == 1);
        self.found_at_1 += u64::from(judged.ranks == [Some(1)]);
        self.found_at_8 += u64::from(!judged.ranks.is_empty() && judged.ranks.iter().all(Option::is_some));
        self.precision += judged.precision;
        self.recall += judged.recall;
    }

    /// Precision and recall are means over the questions that were answered.
    fn average(&mut self) {
        let answered = (self.questions - self.refused).max(1) as f64;
        self.precision /= answered;
        self.recall /= answered;
    }
}

/// Gold spans by document path, code points.
#[derive(Default)]
struct GoldSpans {
    texts: BTreeMap<String, Option<Vec<char>>>,
}

async fn judge(
    ingest: &Ingest,
    corpus: &Corpus,
    question: &EvalQuestion,
    answer: &Answer,
    golds: &mut GoldSpans,
) -> Result<Judged> {
    let refused = answer.grounding == Grounding::NotInCorpus;
    let holds = |list: &[String]| list.iter().any(|accepted| contains(&answer.text, accepted));
    let answer_right = !refused
        && holds(&question.accept)
        && (question.accept_also.is_empty() || holds(&question.accept_also));
    let (mut cited, mut gold_chars, mut shared) = (0, 0, 0);
    let mut hit_documents = 0;
    for gold in &question.gold {
        let spans = golds.find(ingest, corpus, gold).await?;
        let cited_chars: HashSet<u64> = cited_in(answer, &gold.document);
        let any_hit = spans.iter().any(|span| span.clone().any(|c| cited_chars.contains(&c)));
        hit_documents += u64::from(any_hit);
        let counted =
            spans.iter().find(|span| (*span).clone().any(|c| cited_chars.contains(&c))).or(spans.first());
        gold_chars += counted.map_or(0, |span| span.end - span.start);
        shared += counted.map_or(0, |span| span.clone().filter(|c| cited_chars.contains(c)).count() as u64);
    }
    for citation in &answer.citations {
        cited += citation.source.end_char - citation.source.start_char;
    }
    let citations_right = !question.gold.is_empty() && hit_documents == question.gold.len() as u64;
    let share = |whole: u64| if refused || whole == 0 { 0.0 } else { shared as f64 / whole as f64 };
    Ok(Judged {
        id: question.id.clone(),
        kind: question.kind.clone(),
        right: if question.gold.is_empty() { refused } else { answer_right && citations_right },
        answer_right,
        citations_right,
        refused,
        precision: share(cited),
        recall: share(gold_chars),
        text: answer.text.clone(),
        ttft_ms: answer.usage.ttft_ms,
        ranks: Vec::new(),
        units: Vec::new(),
    })
}

fn cited_in(answer: &Answer, document: &str) -> HashSet<u64> {
    answer
        .citations
        .iter()
        .filter(|c| c.source.path == document)
        .flat_map(|c| c.source.start_char..c.source.end_char)
        .collect()
}

impl GoldSpans {
    async fn ranks(
        &mut self,
        ingest: &Ingest,
        corpus: &Corpus,
        question: &EvalQuestion,
        ranked: &[Candidate],
    ) -> Result<Vec<Option<usize>>> {
        let mut ranks = Vec::new();
        for gold in &question.gold {
            let spans = self.find(ingest, corpus, gold).await?;
            let holds = |c: &Candidate| {
                c.source.document.path == gold.document
                    && overlaps(&spans, CharIndex::new(&c.source.text.text).char_span(c.passage.bytes))
            };
            ranks.push(ranked.iter().position(holds).map(|at| at + 1));
        }
        Ok(ranks)
    }

    async fn units(
        &mut self,
        ingest: &Ingest,
        corpus: &Corpus,
        question: &EvalQuestion,
        candidates: &[Candidate],
    ) -> Result<Vec<JudgedUnit>> {
        let mut golds = Vec::new();
        for gold in &question.gold {
            golds.push((gold.document.as_str(), self.find(ingest, corpus, gold).await?));
        }
        let mut units = Vec::new();
        for (passage, candidate) in candidates.iter().enumerate() {
            let document = &candidate.source.document.path;
            let index = CharIndex::new(&candidate.source.text.text);
            for unit in &candidate.units {
                let at = index.char_span(unit.bytes);
                let gold = golds.iter().any(|(path, spans)| path == document && overlaps(spans, at));
                units.push(JudgedUnit { passage, document: document.clone(), gold, evidence: unit.evidence });
            }
        }
        Ok(units)
    }

    /// The places of a gold quote in the canonical text, compared without white space, hyphens and Markdown marks.
    async fn find(
        &mut self,
        ingest: &Ingest,
        corpus: &Corpus,
        gold: &Gold,
    ) -> Result<Vec<std::ops::Range<u64>>> {
        if !self.texts.contains_key(&gold.document) {
            let document = ingest.stores.catalog.document(&corpus.id, &gold.document).await?;
            let text = match &document.version.stored {
                Some(stored) => Some(ingest.stores.library.document_text(stored)?.text.chars().collect()),
                None => None,
            };
            self.texts.insert(gold.document.clone(), text);
        }
        let Some(Some(text)) = self.texts.get(&gold.document) else { return Ok(Vec::new()) };
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

fn overlaps(spans: &[std::ops::Range<u64>], at: base::CharSpan) -> bool {
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

/// Whether the answer holds the accepted string at word borders; between back-quotes it is compared as it stands.
fn contains(answer: &str, accepted: &str) -> bool {
    if accepted.len() > 2 && accepted.starts_with('`') && accepted.ends_with('`') {
        return answer.contains(&accepted[1..accepted.len() - 1]);
    }
    format!(" {} ", normalised(answer)).contains(&format!(" {} ", normalised(accepted)))
}

fn normalised(text: &str) -> String {
    let folded: Vec<char> = text.nfkc().collect::<String>().to_lowercase().chars().collect();
    let chars = without_thousands(&folded);
    let digit = |i: Option<usize>| i.and_then(|i| chars.get(i)).is_some_and(|c| c.is_numeric());
    let mut kept = String::new();
    for (i, c) in chars.iter().enumerate() {
        let inside_number = matches!(c, '.' | ':') && digit(i.checked_sub(1)) && digit(Some(i + 1));
        let word = c.is_alphanumeric() || unicode_normalization::char::is_combining_mark(*c);
        kept.push(if inside_number || word { *c } else { ' ' });
    }
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `1,024` → `1024`: separators go only from a whole number written in groups of three.
fn without_thousands(chars: &[char]) -> Vec<char> {
    let mut out = Vec::with_capacity(chars.len());
    let mut i = 0;
    while i < chars.len() {
        let starts =
            chars[i].is_ascii_digit() && (i == 0 || !matches!(chars[i - 1], '0'..='9' | '.' | ',' | '\''));
        let end = if starts { grouped_number(chars, i) } else { None };
        match end {
            Some(end) => {
                out.extend(chars[i..end].iter().filter(|c| c.is_ascii_digit()));
                i = end;
            }
            None => {
                out.push(chars[i]);
                i += 1;
            }
        }
    }
    out
}

/// End of a number of one to three digits followed by groups of exactly three; `None` when it is not one.
fn grouped_number(chars: &[char], start: usize) -> Option<usize> {
    let digits = |from: usize| chars[from..].iter().take_while(|c| c.is_ascii_digit()).count();
    let first = digits(start);
    let mut end = start + first;
    let mut groups = 0;
    while end < chars.len()
        && matches!(chars[end], ',' | '\'' | '\u{202F}' | '\u{2009}')
        && digits(end + 1) == 3
    {
        end += 4;
        groups += 1;
    }
    let whole =
        chars.get(end).is_none_or(|c| *c != '.' || chars.get(end + 1).is_none_or(|d| !d.is_ascii_digit()));
    (groups > 0 && first <= 3 && whole).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_strings_are_found_at_word_borders() {
        for (answer, accepted, expected) in [
            ("It was 1886.", "1886", true),
            ("It was 18860.", "1886", false),
            ("About 1,024 pages", "1024", true),
            ("cells 38.7,100 apart", "7100", false),
            ("a ratio of 3:1", "3:1", true),
            ("TOLBERT Lanston!", "Tolbert Lanston", true),
            ("type `:q!` now", "`:q!`", true),
            ("type q now", "`:q!`", false),
        ] {
            assert_eq!(contains(answer, accepted), expected, "{answer:?} {accepted:?}");
        }
    }

    #[test]
    fn gold_quotes_are_found_through_line_ends_and_hyphens() {
        let text: Vec<char> = "The inter-\nnational *rule* is ﬁne.".chars().collect();
        let (squeezed, places) = squeeze(text.iter().copied());
        let (wanted, _) = squeeze("international rule is fine.".chars());
        let at = find(&squeezed, &wanted).unwrap();
        assert_eq!(places[at], 4);
    }
}
