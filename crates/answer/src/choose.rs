//! Which unit, and which passage, the answer rests on: a weighed sum of independent evidence.
//!
//! A 135M model is easily distracted, so that no single signal decides: the question's terms, the rank of the passage,
//! the attention mass, and the model's likelihood each have a say. The weights are chosen by hand and not
//! fitted yet: `ibid eval` on the tuning half of the question set is how to fit them.

use serde::{Deserialize, Serialize};

/// What was measured for one quotable unit, each 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct UnitEvidence {
    /// Share of the question's weight that the unit itself covers.
    pub coverage: f64,
    /// The same for the unit with its neighbours, headings and title.
    pub context: f64,
    /// BM25 of the passage over that of the best passage.
    pub rank: f64,
    /// Attention mass on the unit's tokens over that on all composed document tokens of its sequence.
    pub mass: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    pub coverage: f64,
    pub context: f64,
    pub rank: f64,
    pub mass: f64,
    /// Per nat of mean log-likelihood per token.
    pub likelihood: f64,
    /// Below this score there is no answer in the documents.
    pub threshold: f64,
    /// A second unit of another document joins when it covers at least this much more of the question.
    pub second: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            coverage: 1.0,
            context: 1.0,
            rank: 0.5,
            mass: 0.5,
            likelihood: 0.1,
            threshold: 1.2,
            second: 0.25,
        }
    }
}

impl Weights {
    /// Score of a unit before anything is decoded.
    pub fn score(&self, e: &UnitEvidence) -> f64 {
        self.coverage * e.coverage + self.context * e.context + self.rank * e.rank + self.mass * e.mass
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
    fn every_signal_raises_the_score() {
        let weights = Weights::default();
        let none = UnitEvidence::default();
        for more in [
            UnitEvidence { coverage: 1.0, ..none },
            UnitEvidence { context: 1.0, ..none },
            UnitEvidence { rank: 1.0, ..none },
            UnitEvidence { mass: 1.0, ..none },
        ] {
            assert!(weights.score(&more) > weights.score(&none), "{more:?}");
        }
    }

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(best([0.5, 0.9, 0.9]), Some(1));
        assert_eq!(best([]), None);
    }
}
