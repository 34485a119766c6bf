//! Which unit the answer rests on: a weighed sum of independent evidence, and a threshold below which nothing is said.
//!
//! A 135M model is easily distracted, so that no single signal decides. The weights are those of a softmax over all units
//! of six passages, fitted on the tuning half of the question set (`bench/evidence/fit.py`) with drafts of 24 tokens;
//! `likelihood` and `second` are chosen by hand.

use serde::{Deserialize, Serialize};

/// What was measured for one quotable unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct UnitEvidence {
    /// Share of the question's weight that the unit itself covers, 0 to 1.
    pub coverage: f64,
    /// The same with words that the model holds for near, 0 to 1.
    pub near: f64,
    /// The same as `near` for the unit with its neighbours, headings and title, 0 to 1.
    pub context: f64,
    /// BM25 of the passage over that of the best passage, 0 to 1.
    pub rank: f64,
    /// How much likelier the question is behind this passage than behind none; nats per token of the question.
    pub fit: f64,
    /// Attention mass on the unit's tokens over that on all composed document tokens of its sequence, 0 to 1.
    pub mass: f64,
    /// Share of what the model wrote behind this passage, without the question's own words, that the unit holds, 0 to 1.
    pub draft: f64,
    /// Whether the unit holds what the question asks for (a number, a date, a name): 0 or 1.
    pub expected: f64,
    /// Whether the unit is a heading: 0 or 1.
    pub heading: f64,
    /// Terms of the unit that the question does not have: ln(1 + n).
    pub news: f64,
}

/// Weights of [`UnitEvidence`], in nats per unit of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    pub coverage: f64,
    pub near: f64,
    pub context: f64,
    pub rank: f64,
    pub fit: f64,
    pub mass: f64,
    pub draft: f64,
    pub expected: f64,
    pub heading: f64,
    pub news: f64,
    /// Weight of the model's own log-likelihood while a unit is spelt; it steers between the units of one passage.
    pub likelihood: f64,
    /// Below this score there is no answer in the documents.
    pub threshold: f64,
    /// A second unit of another document joins when it covers at least this much more of the question.
    pub second: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            coverage: 2.89,
            near: 2.99,
            context: 2.05,
            rank: 0.00,
            fit: 0.98,
            mass: 0.97,
            draft: 1.96,
            expected: 0.56,
            heading: -1.28,
            news: -1.03,
            likelihood: 0.1,
            threshold: 3.91,
            second: 0.25,
        }
    }
}

impl Weights {
    /// Score of a unit before anything is spelt; nats.
    pub fn score(&self, e: &UnitEvidence) -> f64 {
        self.coverage * e.coverage
            + self.near * e.near
            + self.context * e.context
            + self.rank * e.rank
            + self.fit * e.fit
            + self.mass * e.mass
            + self.draft * e.draft
            + self.expected * e.expected
            + self.heading * e.heading
            + self.news * e.news
    }
}

/// Index of the highest score, the first on ties; `None` of an empty list.
pub fn best(scores: impl IntoIterator<Item = f64>) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (i, score) in scores.into_iter().enumerate() {
        if best.is_none_or(|(_, top)| score > top) {
            best = Some((i, score));
        }
    }
    best.map(|(i, _)| i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_is_the_weighed_sum() {
        let weights = Weights::default();
        let evidence = UnitEvidence { coverage: 0.5, rank: 1.0, heading: 1.0, ..UnitEvidence::default() };
        let expected = 0.5 * weights.coverage + weights.rank + weights.heading;
        assert!((weights.score(&evidence) - expected).abs() < 1e-12);
    }

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(best([0.5, 0.9, 0.9]), Some(1));
        assert_eq!(best([]), None);
    }
}
