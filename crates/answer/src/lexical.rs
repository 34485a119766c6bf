//! Lexical evidence: how much of the question a stretch of text speaks of, every term weighed by how rare it is.

use std::collections::{HashMap, HashSet};

/// Terms of the question with their weights (BM25's idf, nats). A term the corpus never uses keeps the weight of the
/// rarest: a question about something that is nowhere must not look answered.
#[derive(Debug, Clone, Default)]
pub struct Question {
    weights: HashMap<String, f64>,
    total: f64,
}

impl Question {
    pub fn new(terms: impl IntoIterator<Item = (String, f64)>) -> Self {
        let weights: HashMap<String, f64> = terms.into_iter().filter(|(_, w)| *w > 0.0).collect();
        let total = weights.values().sum();
        Self { weights, total }
    }

    pub fn holds(&self, term: &str) -> bool {
        self.weights.contains_key(term)
    }

    /// Share of the question's weight that `terms` cover, 0 to 1.
    pub fn coverage<'a>(&self, terms: impl IntoIterator<Item = &'a str>) -> f64 {
        if self.total == 0.0 {
            return 0.0;
        }
        let seen: HashSet<&str> = terms.into_iter().collect();
        self.weights.iter().filter(|(term, _)| seen.contains(term.as_str())).map(|(_, w)| w).sum::<f64>()
            / self.total
    }
}

/// Share of `claim`'s terms that `source` holds too, each term counted once; 0 when the claim says nothing.
/// Numbers weigh three times a word: an answer with another number is another answer.
pub fn support(claim: &[String], source: &[String]) -> f64 {
    let source: HashSet<&str> = source.iter().map(String::as_str).collect();
    let claim: HashSet<&str> = claim.iter().map(String::as_str).collect();
    let weight = |term: &str| if term.chars().any(|c| c.is_numeric()) { 3.0 } else { 1.0 };
    let total: f64 = claim.iter().map(|t| weight(t)).sum();
    if total == 0.0 {
        return 0.0;
    }
    claim.iter().filter(|t| source.contains(**t)).map(|t| weight(t)).sum::<f64>() / total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn coverage_weighs_rare_terms() {
        let q =
            Question::new([("revenue".to_owned(), 3.0), ("the".to_owned(), 0.1), ("2023".to_owned(), 2.0)]);
        let covered = q.coverage(["revenue", "the"]);
        assert!((covered - 3.1 / 5.1).abs() < 1e-12);
        assert_eq!(q.coverage([]), 0.0);
        assert_eq!(Question::default().coverage(["x"]), 0.0);
    }

    #[test]
    fn a_wrong_number_costs_more_than_a_wrong_word() {
        let source = words("revenue rose 12 percent");
        assert!(
            support(&words("revenue rose 13 percent"), &source)
                < support(&words("revenue fell 12 percent"), &source)
        );
        assert_eq!(support(&[], &source), 0.0);
    }
}
