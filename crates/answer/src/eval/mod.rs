//! `eval`: a question file over a corpus, judged by a fixed rule, as one table.
//!
//! An answer is right when its normalised text holds one of the accepted strings; a citation when it shares a code
//! point with a gold span of its document; an unanswerable question when it is refused.

mod exact;
mod fresh;
mod gold;
mod greedy;
mod judge;
mod question_file;
mod reuse;
mod rule;
mod together;

pub use greedy::{GreedyAnswer, Parting};
pub use question_file::{EvalQuestion, Gold};
pub use reuse::{Pair, Reuse};

use crate::{
    AskRequest, Error, Mode, Result, UnitEvidence,
    ask::give,
    gather::{Gathered, gather},
};
use catalog::Corpus;
use gold::GoldSpans;
use ingest::Ingest;
use judge::judge;
use scout::{Cancel, Engine};
use serde::Serialize;
use std::collections::BTreeMap;
use together::Sight;

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
    /// Answerable questions that passages were looked up for: none by a model that sees whole corpora.
    pub answerable: u64,
    /// Answerable questions that were not refused.
    pub answered: u64,
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
    /// What stored rows cost, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reuse: Option<Reuse>,
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
    /// Whether some document holds the answer.
    #[serde(skip)]
    pub answerable: bool,
    pub precision: f64,
    pub recall: f64,
    pub text: String,
    pub ttft_ms: u64,
    /// Document tokens whose stored rows were composed, and those that were computed.
    pub reused_corpus_tokens: u64,
    pub prefilled_corpus_tokens: u64,
    /// For each gold document the rank, from 1, of its first passage that holds gold, among the first eight.
    pub ranks: Vec<Option<usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pair: Option<Pair>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greedy: Option<GreedyAnswer>,
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

/// Tokens of a greedy answer, at most.
const ANSWER_TOKENS: usize = 32;
/// Ranks that count for recall.
const RECALL_AT: usize = 8;

/// What is measured beside the answers.
#[derive(Clone, Copy, Default)]
pub struct Extras<'a> {
    /// List every unit of the composed passages with its evidence.
    pub evidence: bool,
    /// Compare stored rows with freshly prefilled ones on the gold passage.
    pub reuse: bool,
    /// Ask with the stored rows of all gold quotes out of sight; only of models that see whole corpora.
    pub hide_gold: bool,
    /// Read the documents anew, one behind the other, instead of opening their stored rows; only of models that see
    /// whole corpora.
    pub exact: bool,
    /// Hold greedy answers behind the first passage found against this engine's, which has the same tokenizer; models
    /// that see whole corpora find no passages to compare behind.
    pub reference: Option<&'a Engine>,
}

impl Extras<'_> {
    /// Errors: [`Error::EvalOption`] for what a model of this kind cannot be asked, [`Error::ExactQuote`].
    fn check(&self, sees_everything: bool, mode: Mode) -> Result<()> {
        if self.exact && mode == Mode::Quote {
            return Err(Error::ExactQuote);
        }
        let whole = [("--hide-gold", self.hide_gold), ("--exact", self.exact)];
        let chosen = [("--evidence", self.evidence), ("--reuse", self.reuse)];
        let (refused, models) = match sees_everything {
            true => (chosen, "are given passages"),
            false => (whole, "see whole corpora"),
        };
        match refused.iter().find(|(_, asked)| *asked) {
            Some((option, _)) => Err(Error::EvalOption { option, models }),
            None => Ok(()),
        }
    }
}

/// Asks every question without storing the answers. `request` carries the settings beside the question, `progress` hears
/// each judgement, `cancel` ends it.
pub async fn evaluate(
    ingest: &Ingest,
    corpus: &Corpus,
    questions: &[EvalQuestion],
    request: &AskRequest,
    extras: Extras<'_>,
    cancel: &Cancel,
    progress: &mut (dyn FnMut(&Judged, usize, usize) + Send),
) -> Result<EvalReport> {
    extras.check(ingest.engine.sees_everything(), request.mode)?;
    let mut golds = GoldSpans::default();
    let mut report = EvalReport {
        mode: request.mode.as_str().into(),
        kinds: BTreeMap::new(),
        all: Tally::default(),
        reuse: None,
        results: Vec::new(),
    };
    // A file that does not fit the corpus is found out before anything is asked.
    for question in questions {
        cancel.check()?;
        for gold in &question.gold {
            golds.find(ingest, corpus, gold).await?;
        }
    }
    if ingest.engine.sees_everything() {
        let asked = (questions, request, extras);
        evaluate_together(ingest, corpus, asked, cancel, progress, (&mut golds, &mut report)).await?;
        return Ok(report);
    }
    for (i, question) in questions.iter().enumerate() {
        let request = AskRequest { question: question.question.clone(), ..request.clone() };
        let given = give(ingest, corpus, &request, cancel, &mut |_| {}).await?;
        let mut judged = judge(ingest, corpus, question, &given.answer, &mut golds).await?;
        let ranked = rank(ingest, corpus, question).await?;
        judged.ranks = golds.ranks(ingest, corpus, question, &ranked.candidates).await?;
        if let (true, [Some(rank)]) = (extras.reuse, judged.ranks.as_slice()) {
            let asking = ingest.engine.question(&corpus.owner).cancelled_by(cancel);
            let candidate = &ranked.candidates[rank - 1];
            judged.pair = tokio::task::block_in_place(|| reuse::pair(ingest, &asking, question, candidate))?;
        }
        if let (Some(reference), Some(first)) = (extras.reference, ranked.candidates.first()) {
            let reference = reference.question(&corpus.owner).cancelled_by(cancel);
            let other = ingest.engine.question(&corpus.owner).cancelled_by(cancel);
            let compare = || greedy::compare(ingest, &reference, &other, &question.question, first);
            judged.greedy = tokio::task::block_in_place(compare)?;
        }
        if extras.evidence {
            let asked = &given.gathered.candidates;
            judged.units = golds.units(ingest, corpus, question, asked).await?;
        }
        progress(&judged, i + 1, questions.len());
        report.kinds.entry(question.kind.clone()).or_default().add(&judged);
        report.all.add(&judged);
        report.results.push(judged);
    }
    report.kinds.values_mut().chain([&mut report.all]).for_each(Tally::average);
    report.reuse = Reuse::of(report.results.iter().filter_map(|judged| judged.pair.as_ref()));
    Ok(report)
}

/// Questions asked together: each has some rows in memory beside the pages.
const TOGETHER: usize = 256;

async fn evaluate_together(
    ingest: &Ingest,
    corpus: &Corpus,
    (questions, request, extras): (&[EvalQuestion], &AskRequest, Extras<'_>),
    cancel: &Cancel,
    progress: &mut (dyn FnMut(&Judged, usize, usize) + Send),
    (golds, report): (&mut GoldSpans, &mut EvalReport),
) -> Result<()> {
    let sight = if extras.hide_gold { Sight::WithoutGold } else { Sight::Everything };
    let mut done = 0;
    // Exact rows are kept nowhere: the documents are read once for all questions.
    let together = if extras.exact { questions.len().max(1) } else { TOGETHER };
    for batch in questions.chunks(together) {
        let answers = match extras.exact {
            true => exact::answers(ingest, corpus, batch, request, cancel).await?,
            false => together::answers(ingest, corpus, batch, request, (sight, golds), cancel).await?,
        };
        for (question, answer) in batch.iter().zip(&answers) {
            cancel.check()?;
            let judged = judge(ingest, corpus, question, answer, golds).await?;
            done += 1;
            progress(&judged, done, questions.len());
            report.kinds.entry(question.kind.clone()).or_default().add(&judged);
            report.all.add(&judged);
            report.results.push(judged);
        }
    }
    report.kinds.values_mut().chain([&mut report.all]).for_each(Tally::average);
    Ok(())
}

async fn rank(ingest: &Ingest, corpus: &Corpus, question: &EvalQuestion) -> Result<Gathered> {
    let snapshot = ingest.stores.snapshot(corpus).await?;
    gather(ingest, &snapshot, &AskRequest::new(&question.question, Mode::Auto), RECALL_AT).await
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
        self.answered += u64::from(judged.answerable && !judged.refused);
        self.precision += judged.precision;
        self.recall += judged.recall;
    }

    /// Precision and recall are means over the answerable questions that were answered.
    fn average(&mut self) {
        let answered = self.answered.max(1) as f64;
        self.precision /= answered;
        self.recall /= answered;
    }
}
