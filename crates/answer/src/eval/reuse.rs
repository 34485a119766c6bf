//! Reuse: what composing stored rows costs against prefilling the same passage fresh, on questions whose passage is known.
//!
//! Both sides see the header, the document header, the passage, the question, and then each accepted answer. Stored rows
//! were computed with the part's earlier text before them and re-rotated to where they are composed; fresh rows saw
//! the passage alone.

use super::{ANSWER_TOKENS, EvalQuestion, fresh, rule::contains};
use crate::{
    Error, Result,
    compose::compose,
    gather::Candidate,
    read::{Tail, question_tail},
};
use ingest::Ingest;
use scout::{Question, Sequence, Step, greedy, log_prob};
use serde::Serialize;

/// One question with its gold passage, stored rows against fresh ones.
#[derive(Debug, Clone, Serialize)]
pub struct Pair {
    pub id: String,
    /// Mean negative log-likelihood per token of the accepted answer that is likelier fresh; nats.
    pub reused_nats: f64,
    pub fresh_nats: f64,
    /// Whether the greedy answer holds an accepted string.
    pub reused_right: bool,
    pub fresh_right: bool,
}

/// All pairs of a question set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reuse {
    pub questions: u64,
    /// Means of [`Pair::reused_nats`] and [`Pair::fresh_nats`].
    pub reused_nats: f64,
    pub fresh_nats: f64,
    /// Standard error of the mean difference, nats.
    pub standard_error: f64,
    pub reused_right: u64,
    pub fresh_right: u64,
}

impl Reuse {
    pub(super) fn of<'a>(pairs: impl Iterator<Item = &'a Pair>) -> Option<Self> {
        let pairs: Vec<&Pair> = pairs.collect();
        let n = pairs.len() as f64;
        let mean = |value: &dyn Fn(&Pair) -> f64| pairs.iter().map(|pair| value(pair)).sum::<f64>() / n;
        let difference = |pair: &Pair| pair.reused_nats - pair.fresh_nats;
        let off = mean(&difference);
        let variance = mean(&|pair| (difference(pair) - off).powi(2)) * n / (n - 1.0).max(1.0);
        let right = |of: fn(&Pair) -> bool| pairs.iter().filter(|pair| of(pair)).count() as u64;
        (!pairs.is_empty()).then(|| Self {
            questions: pairs.len() as u64,
            reused_nats: mean(&|pair| pair.reused_nats),
            fresh_nats: mean(&|pair| pair.fresh_nats),
            standard_error: (variance / n).sqrt(),
            reused_right: right(|pair| pair.reused_right),
            fresh_right: right(|pair| pair.fresh_right),
        })
    }
}

/// Asks one passage both ways. `None` when the question has no accepted answer to measure.
pub(super) fn pair(
    ingest: &Ingest,
    asking: &Question<'_>,
    question: &EvalQuestion,
    candidate: &Candidate,
) -> Result<Option<Pair>> {
    let engine = &ingest.engine;
    let tail = question_tail(engine, &question.question, &[])?;
    let reused = match compose(asking, &ingest.stores.kv, candidate)? {
        Ok(composed) => composed.sequence,
        Err(part) => {
            return Err(Error::SegmentMissing {
                document: candidate.source.document.path.clone(),
                segment: format!("{}: {}", part.idx, part.reason),
            });
        }
    };
    let Some(ids) = fresh::ids(ingest, candidate)? else { return Ok(None) };
    let fresh = fresh::sequence(asking, &ids)?;
    let (reused, fresh) = (Read::new(asking, reused, &tail)?, Read::new(asking, fresh, &tail)?);
    let mut best: Option<(f64, f64)> = None;
    for accepted in &question.accept {
        let ids = engine.tokenizer().encode_document(accepted.trim_matches('`'))?.ids;
        let (a, b) = (reused.nats(asking, &ids)?, fresh.nats(asking, &ids)?);
        if best.is_none_or(|(_, least)| b < least) {
            best = Some((a, b));
        }
    }
    let Some((reused_nats, fresh_nats)) = best else { return Ok(None) };
    let right = |read: &Read| -> Result<bool> {
        let text = read.answer(asking)?;
        Ok(question.accept.iter().any(|accepted| contains(&text, accepted)))
    };
    Ok(Some(Pair {
        id: question.id.clone(),
        reused_nats,
        fresh_nats,
        reused_right: right(&reused)?,
        fresh_right: right(&fresh)?,
    }))
}

/// A sequence that has read the question.
pub(super) struct Read {
    pub(super) sequence: Sequence,
    /// What follows the question, `[vocab]`.
    pub(super) logits: Vec<f32>,
}

impl Read {
    pub(super) fn new(asking: &Question<'_>, mut sequence: Sequence, tail: &Tail) -> Result<Self> {
        let last = tail.ids.len() - 1..tail.ids.len();
        let step = Step { sequence: &mut sequence, ids: &tail.ids, logits: last, mass: None };
        let logits = asking.step(&mut [step])?.logits.row(0).to_vec();
        Ok(Self { sequence, logits })
    }

    /// Mean negative log-likelihood per token of `ids` as the answer, nats.
    fn nats(&self, asking: &Question<'_>, ids: &[u32]) -> Result<f64> {
        let mut sequence = self.sequence.fork();
        let step = Step { sequence: &mut sequence, ids, logits: 0..ids.len(), mass: None };
        let decoded = asking.step(&mut [step])?.logits;
        let nats = |at: usize| match at {
            0 => log_prob(&self.logits, ids[0]),
            _ => log_prob(decoded.row(at - 1), ids[at]),
        };
        Ok(-(0..ids.len()).map(nats).sum::<f64>() / ids.len().max(1) as f64)
    }

    /// The greedy answer.
    fn answer(&self, asking: &Question<'_>) -> Result<String> {
        let (mut sequence, mut logits, mut ids) = (self.sequence.fork(), self.logits.clone(), Vec::new());
        while ids.len() < ANSWER_TOKENS {
            let id = greedy(&logits);
            if asking.engine().stop_ids().contains(&id) {
                break;
            }
            ids.push(id);
            let step = Step { sequence: &mut sequence, ids: &[id], logits: 0..1, mass: None };
            logits = asking.step(&mut [step])?.logits.row(0).to_vec();
        }
        Ok(asking.engine().tokenizer().decode(&ids)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_paired() {
        let pair = |reused_nats, fresh_nats, reused_right| Pair {
            id: String::new(),
            reused_nats,
            fresh_nats,
            reused_right,
            fresh_right: true,
        };
        let pairs = [pair(5.0, 4.0, true), pair(1.0, 0.0, false)];
        let reuse = Reuse::of(pairs.iter()).unwrap();
        assert_eq!((reuse.reused_nats, reuse.fresh_nats, reuse.standard_error), (3.0, 2.0, 0.0));
        assert_eq!((reuse.questions, reuse.reused_right, reuse.fresh_right), (2, 1, 2));
        assert_eq!(Reuse::of([].iter()), None);
    }
}
