//! Read: the question behind each composed passage, in one batch, and what that tells about passages and units.

use crate::{
    Result,
    ask::Turn,
    compose::ComposedPassage,
    gather::{Candidate, Gathered},
};
use scout::{Decoding, Engine, Question, Step, log_prob};
use std::ops::Range;

/// Tokens of the question, the last ones, whose likelihood is asked for: their logits take 4 bytes × vocabulary each.
const FIT_TOKENS: usize = 48;

/// Tokens of earlier turns in a prompt, at most.
pub const MAX_HISTORY_TOKENS: u64 = 1_024;

/// The end of a prompt: the question and what closes the user's turn.
pub struct Tail {
    pub ids: Vec<u32>,
    /// Tokens of `ids` that are the question's.
    pub question: Range<usize>,
    /// Tokens of earlier turns in front.
    pub n_earlier: usize,
}

impl Tail {
    /// Without the earlier turns.
    fn alone(&self) -> Self {
        Self {
            ids: self.ids[self.n_earlier..].to_vec(),
            question: self.question.start - self.n_earlier..self.question.end - self.n_earlier,
            n_earlier: 0,
        }
    }
}

/// Earlier turns, then the question, encoded so that no text in them can become a special token, and the end of the
/// user's turn.
pub fn question_tail(engine: &Engine, question: &str, history: &[Turn]) -> Result<Tail> {
    let mut opening = earlier(engine, history)?;
    let n_earlier = opening.len();
    opening.extend(engine.tokenizer().encode_document("\n\nQuestion:")?.ids);
    let words = engine.tokenizer().encode_document(&format!(" {}", question.trim()))?.ids;
    let question = opening.len()..opening.len() + words.len();
    let ids = [&opening, &words, &engine.header().suffix_ids].map(Vec::as_slice).concat();
    Ok(Tail { ids, question, n_earlier })
}

/// The newest turns that fit [`MAX_HISTORY_TOKENS`], oldest first.
fn earlier(engine: &Engine, history: &[Turn]) -> Result<Vec<u32>> {
    let (mut taken, mut left) = (Vec::new(), MAX_HISTORY_TOKENS);
    for Turn { question, answer, .. } in history.iter().rev() {
        let turn = format!("\n\nEarlier question: {}\nEarlier answer: {}", question.trim(), answer.trim());
        let ids = engine.tokenizer().encode_document(&turn)?.ids;
        if ids.len() as u64 > left {
            break;
        }
        left -= ids.len() as u64;
        taken.push(ids);
    }
    Ok(taken.into_iter().rev().flatten().collect())
}

/// One passage being asked.
pub struct Asked {
    pub candidate: usize,
    pub composed: ComposedPassage,
    /// Of the next token, `[vocab]`.
    pub logits: Vec<f32>,
    /// Attention mass of the question's tokens on each composed document token.
    pub by_token: Vec<(u64, f64)>,
}

/// Reads `tail` behind every passage and behind the header alone, as one batch. Gives each passage its next logits, and
/// its units their attention mass and the passage's fit.
pub fn read_question(
    question: &Question<'_>,
    asked: &mut [Asked],
    gathered: &mut Gathered,
    tail: &Tail,
) -> Result<()> {
    if asked.is_empty() {
        return Ok(());
    }
    // Behind earlier turns every question is likely, whatever the passage says: fit is that of the question alone.
    let fits = match tail.n_earlier {
        0 => None,
        _ => Some(fits(question, asked, &tail.alone())?),
    };
    let engine = question.engine();
    let n_layers = engine.config().n_layers;
    let rows = tail.ids.len().saturating_sub(FIT_TOKENS + engine.header().suffix_ids.len())..tail.ids.len();
    let mut alone = question.sequence()?;
    let step = |sequence, mass| Step { sequence, ids: &tail.ids, logits: rows.clone(), mass };
    let mut steps = vec![step(&mut alone, None)];
    for a in asked.iter_mut() {
        steps.push(step(&mut a.composed.sequence, Some((0..tail.ids.len(), n_layers / 3..n_layers))));
    }
    let decoded = question.step(&mut steps)?;
    let likelihood = |at: usize| question_likelihood(&decoded, at * rows.len(), &rows, tail);
    let base = likelihood(0);
    for (i, asked) in asked.iter_mut().enumerate() {
        asked.logits = decoded.logits.row((i + 2) * rows.len() - 1).to_vec();
        let by_token = asked.composed.token_mass(&decoded.mass[i + 1]);
        let fit = fits.as_ref().map_or_else(|| likelihood(i + 1) - base, |fits| fits[i]);
        let candidate = &mut gathered.candidates[asked.candidate];
        candidate.units.iter_mut().for_each(|unit| unit.evidence.fit = fit);
        share_mass(candidate, &by_token);
        asked.by_token = by_token;
    }
    Ok(())
}

/// How much likelier the question is behind each passage than behind the header alone; the sequences stay as they are.
fn fits(question: &Question<'_>, asked: &[Asked], tail: &Tail) -> Result<Vec<f64>> {
    let engine = question.engine();
    let rows = tail.ids.len().saturating_sub(FIT_TOKENS + engine.header().suffix_ids.len())..tail.ids.len();
    let mut sequences = vec![question.sequence()?];
    sequences.extend(asked.iter().map(|asked| asked.composed.sequence.fork()));
    let step = |sequence| Step { sequence, ids: &tail.ids, logits: rows.clone(), mass: None };
    let decoded = question.step(&mut sequences.iter_mut().map(step).collect::<Vec<_>>())?;
    let likelihood = |at: usize| question_likelihood(&decoded, at * rows.len(), &rows, tail);
    let base = likelihood(0);
    Ok((0..asked.len()).map(|i| likelihood(i + 1) - base).collect())
}

/// Mean log-likelihood of the question's tokens, nats, from the logits of `rows` of the tail, which start at row `first`.
fn question_likelihood(decoded: &Decoding, first: usize, rows: &Range<usize>, tail: &Tail) -> f64 {
    let asked = tail.question.start.max(rows.start + 1)..tail.question.end;
    let nats = |at: usize| log_prob(decoded.logits.row(first + at - 1 - rows.start), tail.ids[at]);
    asked.clone().map(nats).sum::<f64>() / asked.len().max(1) as f64
}

/// Each unit's share of the attention mass on the document tokens of its sequence.
fn share_mass(candidate: &mut Candidate, by_token: &[(u64, f64)]) {
    let total: f64 = by_token.iter().map(|(_, mass)| mass).sum();
    let spans = &candidate.source.text.token_spans;
    for unit in &mut candidate.units {
        let inside: f64 = by_token
            .iter()
            .filter(|(token, _)| spans[*token as usize].intersect(unit.bytes).is_some())
            .map(|(_, mass)| mass)
            .sum();
        unit.evidence.mass = if total > 0.0 { inside / total } else { 0.0 };
    }
}
