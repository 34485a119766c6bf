//! `ibid bench perplexity`: what the fast arithmetic and each KV type cost in predicting real text, against the f32
//! reference on the same tokens.

use super::{sample_text::Maker, stop_when_cancelled};
use crate::{
    cli::{Against, BenchPerplexity},
    data_folder::DataFolder,
    event::{Meter, Out},
    owner::open_engine,
    settings::{KvDtype, Numerics, Settings},
};
use anyhow::{Context, Result};
use compute::Rows;
use corpus::{Limits, worker::Worker};
use rayon::prelude::*;
use scout::{Engine, Step};
use serde_json::{Value, json};
use std::sync::Arc;

/// Tokens of one step: the logits of both engines are held at once.
const ROWS: usize = 256;

/// What one arithmetic made of the text.
#[derive(Debug, Clone, Default)]
struct Tally {
    tokens: u64,
    /// Negative log-likelihood of the text's tokens, nats.
    loss: f64,
    /// Sum over tokens of the divergence of the reference's distribution from this one, nats.
    divergence: f64,
    /// Tokens whose most likely successor is another than the reference's.
    changed: u64,
    /// Of those, how far apart the reference holds its first two, nats.
    margins: Vec<f32>,
}

impl Tally {
    fn add(mut self, other: Self) -> Self {
        self.tokens += other.tokens;
        self.loss += other.loss;
        self.divergence += other.divergence;
        self.changed += other.changed;
        self.margins.extend(other.margins);
        self
    }

    fn perplexity(&self) -> f64 {
        (self.loss / self.tokens.max(1) as f64).exp()
    }
}

struct Candidate {
    name: &'static str,
    engine: Arc<Engine>,
    tally: Tally,
}

pub async fn run(data: &DataFolder, settings: &Settings, args: &BenchPerplexity, out: &Out) -> Result<()> {
    let with = |numerics, kv_dtype| Settings { numerics, kv_dtype, ..settings.clone() };
    let reference = match args.against {
        Against::Reference => with(Numerics::Reference, KvDtype::Auto),
        Against::Int8 => with(Numerics::Fast, KvDtype::Int8),
    };
    let reference = open_engine(data, &reference, out).await?;
    let mut candidates = Vec::new();
    for &kv_dtype in &args.kv {
        let engine = open_engine(data, &with(Numerics::Fast, kv_dtype), out).await?;
        candidates.push(Candidate { name: engine.kv_dtype().name(), engine, tally: Tally::default() });
    }
    let own = tokio::task::block_in_place(|| measure(&reference, &mut candidates, args, out))?;
    report(&reference, &own, &candidates, args, out);
    Ok(())
}

/// Runs the text through all engines, a stretch at a time; gives what the reference made of it.
fn measure(
    reference: &Engine,
    candidates: &mut [Candidate],
    args: &BenchPerplexity,
    out: &Out,
) -> Result<Tally> {
    let worker = Worker::of_this_program().context("cannot find this program")?;
    let limits = Limits::default();
    let maker = Maker { tokenizer: reference.tokenizer(), worker: &worker, limits: &limits, out };
    let documents = maker.token_ids(&args.from, args.tokens)?;
    let total = documents.iter().map(|ids| ids.len() as u64).sum();
    let mut meter = Meter::new(out, "predicting", "tokens");
    let (mut own, mut done) = (Tally::default(), 0);
    for stretch in documents.iter().flat_map(|ids| ids.chunks(args.stretch as usize)) {
        let mut sequence = reference.sequence()?;
        let mut others = candidates
            .iter()
            .map(|candidate| candidate.engine.sequence())
            .collect::<scout::Result<Vec<_>>>()?;
        for first in (0..stretch.len()).step_by(ROWS) {
            stop_when_cancelled(out)?;
            let ids = &stretch[first..(first + ROWS).min(stretch.len())];
            // The last token of a stretch has nothing behind it to predict.
            let next = &stretch[first + 1..(first + 1 + ids.len()).min(stretch.len())];
            let right = logits(reference, &mut sequence, ids)?;
            own = own.add(judge(&right, &right, next));
            for (candidate, sequence) in candidates.iter_mut().zip(&mut others) {
                let found = logits(&candidate.engine, sequence, ids)?;
                candidate.tally = std::mem::take(&mut candidate.tally).add(judge(&right, &found, next));
            }
            done += ids.len() as u64;
            meter.report(done, total);
        }
    }
    Ok(own)
}

/// `[ids.len(), vocab]`
fn logits(engine: &Engine, sequence: &mut scout::Sequence, ids: &[u32]) -> Result<Rows> {
    let step = Step { sequence, ids, logits: 0..ids.len(), mass: None };
    Ok(engine.step(&mut [step])?.logits)
}

/// `found` against what is `right`, both `[at least next.len(), vocab]`.
fn judge(right: &Rows, found: &Rows, next: &[u32]) -> Tally {
    let of_row = |(row, &next): (usize, &u32)| {
        let (right, found) = (right.row(row), found.row(row));
        let (of_right, of_found) = (log_sum_exp(right), log_sum_exp(found));
        let divergence = right.iter().zip(found).map(|(&right, &found)| {
            let (right, found) = (f64::from(right) - of_right, f64::from(found) - of_found);
            right.exp() * (right - found)
        });
        let (first, margin) = scout::first_and_lead(right);
        let changed = scout::greedy(found) != first;
        Tally {
            tokens: 1,
            loss: of_found - f64::from(found[next as usize]),
            divergence: divergence.sum(),
            changed: u64::from(changed),
            margins: if changed { vec![margin] } else { Vec::new() },
        }
    };
    let tallies: Vec<Tally> = next.par_iter().enumerate().map(|(row, next)| of_row((row, next))).collect();
    tallies.into_iter().fold(Tally::default(), Tally::add)
}

/// In f64: sums over a vocabulary must not lose what is measured here.
fn log_sum_exp(logits: &[f32]) -> f64 {
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    max + logits.iter().map(|&logit| (f64::from(logit) - max).exp()).sum::<f64>().ln()
}

fn report(reference: &Engine, own: &Tally, candidates: &[Candidate], args: &BenchPerplexity, out: &Out) {
    out.line(format_args!(
        "{} tokens in stretches of {}: perplexity {:.4} with {} over {} KV",
        own.tokens,
        args.stretch,
        own.perplexity(),
        reference.numerics(),
        reference.kv_dtype().name(),
    ));
    let results: Vec<Value> = candidates
        .iter()
        .map(|candidate| {
            let Candidate { name, engine, tally } = candidate;
            let tokens = tally.tokens.max(1) as f64;
            let ratio = tally.perplexity() / own.perplexity();
            let mut margins = tally.margins.clone();
            margins.sort_by(f32::total_cmp);
            let middle = margins.get(margins.len() / 2).copied().unwrap_or(0.0);
            let largest = margins.last().copied().unwrap_or(0.0);
            out.line(format_args!(
                "{name:<6} {:>6} bytes/token  perplexity {:.4} ({:+.3} %)  divergence {:.6} nats/token  \
                 {:.2} % of first choices changed (reference's margin there: median {middle:.3}, largest {largest:.3})",
                engine.kv_bytes_per_token(),
                tally.perplexity(),
                (ratio - 1.0) * 100.0,
                tally.divergence / tokens,
                tally.changed as f64 / tokens * 100.0,
            ));
            json!({
                "kv": name,
                "numerics": engine.numerics(),
                "kv_bytes_per_token": engine.kv_bytes_per_token(),
                "perplexity": tally.perplexity(),
                "perplexity_ratio": ratio,
                "divergence_nats_per_token": tally.divergence / tokens,
                "first_choices_changed": tally.changed,
                "median_margin_of_changed": middle,
                "largest_margin_of_changed": largest,
            })
        })
        .collect();
    out.object(json!({
        "object": "bench",
        "kind": "perplexity",
        "model": reference.name(),
        "tokens": own.tokens,
        "stretch": args.stretch,
        "against": { "numerics": reference.numerics(), "kv": reference.kv_dtype().name() },
        "reference_perplexity": own.perplexity(),
        "results": results,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_not_apart_from_itself_and_is_from_another() {
        let mut right = Rows::zeros(2, 3);
        right.row_mut(0).copy_from_slice(&[1.0, 2.0, 0.5]);
        right.row_mut(1).copy_from_slice(&[0.0, 0.0, 3.0]);
        let same = judge(&right, &right, &[1, 0]);
        assert_eq!((same.tokens, same.changed), (2, 0));
        assert!(same.divergence.abs() < 1e-12);
        let likely = |logit: f64, all: [f64; 3]| all.map(f64::exp).iter().sum::<f64>().ln() - logit;
        let loss = likely(2.0, [1.0, 2.0, 0.5]) + likely(0.0, [0.0, 0.0, 3.0]);
        assert!((same.loss - loss).abs() < 1e-9, "{} {loss}", same.loss);

        let mut found = right.clone();
        found.row_mut(0).copy_from_slice(&[2.5, 2.0, 0.5]);
        let other = judge(&right, &found, &[1]);
        assert_eq!((other.tokens, other.changed, other.margins), (1, 1, vec![1.0]));
        assert!(other.divergence > 0.0);
    }
}
