//! Quote: decoding constrained to whole units of a passage, and the choice of the one or two that answer.

use crate::{
    Result,
    choose::{Weights, best},
    gather::{Gathered, unit_text},
    read::Asked,
    trie::QuoteTrie,
};
use scout::{Question, Step, log_prob};

/// One unit the answer rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    pub candidate: usize,
    pub unit: usize,
    pub score: f64,
}

/// The best unit of each passage that has any, before anything is spelt.
pub fn tops(asked: &[Asked], gathered: &Gathered, weights: &Weights) -> Vec<Chosen> {
    let top = |asked: &Asked| {
        let units = &gathered.candidates[asked.candidate].units;
        let scores: Vec<f64> = units.iter().map(|u| weights.score(&u.evidence)).collect();
        let unit = best(scores.iter().copied())?;
        Some(Chosen { candidate: asked.candidate, unit, score: scores[unit] })
    };
    asked.iter().filter_map(top).collect()
}

/// The best unit if its evidence is strong enough, and a unit of another document that speaks of what it leaves out; each
/// spelt by the model within its passage. Gives the tokens decoded too.
pub fn pick(
    question: &Question<'_>,
    asked: &mut [Asked],
    gathered: &Gathered,
    weights: &Weights,
) -> Result<(Vec<Chosen>, u64)> {
    let tops = tops(asked, gathered, weights);
    let first = best(tops.iter().map(|c| c.score)).map(|i| tops[i]);
    let Some(first) = first.filter(|first| first.score >= weights.threshold) else {
        return Ok((Vec::new(), 0));
    };
    let (first, first_tokens) = spelt(question, asked, gathered, first, weights)?;
    let Some(second) = second_unit(gathered, &tops, first, weights) else {
        return Ok((vec![first], first_tokens));
    };
    let (second, second_tokens) = spelt(question, asked, gathered, second, weights)?;
    Ok((vec![first, second], first_tokens + second_tokens))
}

/// The unit that the model spells in the passage of `chosen`, steered by the evidence; and the tokens decoded.
fn spelt(
    question: &Question<'_>,
    asked: &mut [Asked],
    gathered: &Gathered,
    chosen: Chosen,
    weights: &Weights,
) -> Result<(Chosen, u64)> {
    let Some(asked) = asked.iter_mut().find(|asked| asked.candidate == chosen.candidate) else {
        return Ok((chosen, 0));
    };
    let candidate = &gathered.candidates[chosen.candidate];
    let mut spelt = Vec::new();
    for unit in &candidate.units {
        spelt.push(question.engine().tokenizer().encode_document(unit_text(candidate, unit.bytes))?.ids);
    }
    let priors: Vec<f64> = candidate.units.iter().map(|u| weights.score(&u.evidence)).collect();
    let trie = QuoteTrie::new(spelt.iter().map(Vec::as_slice).zip(priors.iter().copied()));
    let spelling = spell(question, asked, &trie, weights)?;
    let unit = spelling.unit.unwrap_or(chosen.unit);
    Ok((Chosen { unit, score: priors[unit], ..chosen }, spelling.tokens))
}

struct Spelling {
    unit: Option<usize>,
    tokens: u64,
}

/// Walks the trie: at every token the likeliest child, its prior being the best score of the units below. Stops as soon
/// as one unit is left.
fn spell(
    question: &Question<'_>,
    asked: &mut Asked,
    trie: &QuoteTrie,
    weights: &Weights,
) -> Result<Spelling> {
    let (mut node, mut tokens) = (trie.root(), 0_u64);
    loop {
        let choices = trie.choices(node);
        if let Some(unit) = trie.only_unit(node) {
            return Ok(Spelling { unit: Some(unit), tokens });
        }
        let scores = choices
            .tokens
            .iter()
            .map(|&(id, _, prior)| weights.likelihood * log_prob(&asked.logits, id) + prior);
        let Some(pick) = best(scores) else { return Ok(Spelling { unit: choices.end, tokens }) };
        let (id, next, _) = choices.tokens[pick];
        tokens += 1;
        node = next;
        if trie.only_unit(node).is_none() {
            let sequence = &mut asked.composed.sequence;
            let step = Step { sequence, ids: &[id], logits: 0..1, mass: None };
            asked.logits = question.step(&mut [step])?.logits.row(0).to_vec();
        }
    }
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
