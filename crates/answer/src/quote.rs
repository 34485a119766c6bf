//! Quote: decoding constrained to whole units of a passage, and the choice of the one or two that answer.

use crate::{
    Result,
    choose::{Weights, best},
    gather::{Gathered, unit_text},
    read::Asked,
    trie::QuoteTrie,
};
use scout::{Engine, Step, log_prob};

/// One unit the answer rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    pub candidate: usize,
    pub unit: usize,
    pub score: f64,
}

/// Spells the likeliest unit of every passage; its score is its evidence and the likelihood of its spelling. Gives the
/// tokens decoded too.
pub fn spell_all(
    engine: &Engine,
    asked: &mut [Asked],
    gathered: &Gathered,
    weights: &Weights,
) -> Result<(Vec<Chosen>, u64)> {
    let (mut chosen, mut output_tokens) = (Vec::new(), 0);
    for asked in asked.iter_mut() {
        let candidate = &gathered.candidates[asked.candidate];
        let mut spelt = Vec::new();
        for unit in &candidate.units {
            spelt.push(engine.tokenizer().encode_document(unit_text(candidate, unit.bytes))?.ids);
        }
        let priors: Vec<f64> = candidate.units.iter().map(|u| weights.score(&u.evidence)).collect();
        let trie = QuoteTrie::new(spelt.iter().map(Vec::as_slice).zip(priors.iter().copied()));
        let spelling = spell(engine, asked, &trie, weights)?;
        output_tokens += spelling.tokens;
        if let Some(unit) = spelling.unit {
            let score = priors[unit] + weights.likelihood * spelling.mean_nats;
            chosen.push(Chosen { candidate: asked.candidate, unit, score });
        }
    }
    Ok((chosen, output_tokens))
}

struct Spelling {
    unit: Option<usize>,
    /// Mean log-likelihood of the tokens that were a choice, nats; 0 when there was none.
    mean_nats: f64,
    tokens: u64,
}

/// Walks the trie: at every token the likeliest child, its prior being the best score of the units below. Stops as soon
/// as one unit is left.
fn spell(engine: &Engine, asked: &mut Asked, trie: &QuoteTrie, weights: &Weights) -> Result<Spelling> {
    let (mut node, mut nats, mut tokens) = (trie.root(), 0.0, 0_u64);
    loop {
        let choices = trie.choices(node);
        let mean_nats = nats / tokens.max(1) as f64;
        if let Some(unit) = trie.only_unit(node) {
            return Ok(Spelling { unit: Some(unit), mean_nats, tokens });
        }
        let scores = choices
            .tokens
            .iter()
            .map(|&(id, _, prior)| weights.likelihood * log_prob(&asked.logits, id) + prior);
        let Some(pick) = best(scores) else { return Ok(Spelling { unit: choices.end, mean_nats, tokens }) };
        let (id, next, _) = choices.tokens[pick];
        nats += log_prob(&asked.logits, id);
        tokens += 1;
        node = next;
        if trie.only_unit(node).is_none() {
            let sequence = &mut asked.composed.sequence;
            let step = Step { sequence, ids: &[id], logits: 0..1, mass: None };
            asked.logits = engine.step(&mut [step])?.logits.row(0).to_vec();
        }
    }
}

/// The best unit if its evidence is strong enough, and a unit of another document that speaks of what it leaves out.
pub fn pick(gathered: &Gathered, chosen: &[Chosen], weights: &Weights) -> Vec<Chosen> {
    let first = best(chosen.iter().map(|c| c.score)).map(|i| chosen[i]);
    let Some(first) = first.filter(|first| first.score >= weights.threshold) else { return Vec::new() };
    [Some(first), second_unit(gathered, chosen, first, weights)].into_iter().flatten().collect()
}

fn second_unit(gathered: &Gathered, chosen: &[Chosen], first: Chosen, weights: &Weights) -> Option<Chosen> {
    let words = |c: &Chosen| gathered.candidates[c.candidate].units[c.unit].terms.iter().map(String::as_str);
    let document = |c: &Chosen| &gathered.candidates[c.candidate].source.document.id;
    let alone = gathered.question.coverage(words(&first));
    let others: Vec<Chosen> = chosen.iter().copied().filter(|c| document(c) != document(&first)).collect();
    let gains = others.iter().map(|c| gathered.question.coverage(words(&first).chain(words(c))) - alone);
    let gains: Vec<f64> = gains.collect();
    best(gains.iter().copied()).filter(|&i| gains[i] >= weights.second).map(|i| others[i])
}
