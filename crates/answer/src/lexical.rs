//! Lexical evidence: how much of the question a stretch of text speaks of, every term weighed by how rare it is.

use std::collections::{HashMap, HashSet};

/// Terms of the question with their weights (BM25's idf, nats). A term the corpus never uses keeps the weight of the
/// rarest: a question about something that is nowhere must not look answered.
#[derive(Debug, Clone, Default)]
pub struct Question {
    weights: HashMap<String, f64>,
    /// Terms near a term of the question in the model's embedding: that term and the cosine.
    related: HashMap<String, Vec<(String, f64)>>,
    total: f64,
}

impl Question {
    pub fn new(terms: impl IntoIterator<Item = (String, f64)>) -> Self {
        let weights: HashMap<String, f64> = terms.into_iter().filter(|(_, w)| *w > 0.0).collect();
        let total = weights.values().sum();
        Self { weights, related: HashMap::new(), total }
    }

    /// Lets `related` speak for the question's `term`, `cosine` as much as the term itself.
    pub fn relate(&mut self, term: &str, related: String, cosine: f64) {
        if self.weights.contains_key(term) && !self.weights.contains_key(&related) {
            self.related.entry(related).or_default().push((term.to_owned(), cosine));
        }
    }

    /// Related terms with the cosine of the nearest term of the question, sorted.
    pub fn related(&self) -> Vec<(String, f32)> {
        let nearest = |near: &[(String, f64)]| near.iter().map(|(_, cosine)| *cosine).fold(0.0, f64::max);
        let mut related: Vec<_> =
            self.related.iter().map(|(term, near)| (term.clone(), nearest(near) as f32)).collect();
        related.sort_by(|a, b| a.0.cmp(&b.0));
        related
    }

    pub fn holds(&self, term: &str) -> bool {
        self.weights.contains_key(term)
    }

    /// Share of the question's weight that `terms` cover, 0 to 1.
    pub fn coverage<'a>(&self, terms: impl IntoIterator<Item = &'a str>) -> f64 {
        self.share(terms, false)
    }

    /// The same with related terms, each as much as its cosine.
    pub fn near_coverage<'a>(&self, terms: impl IntoIterator<Item = &'a str>) -> f64 {
        self.share(terms, true)
    }

    fn share<'a>(&self, terms: impl IntoIterator<Item = &'a str>, near: bool) -> f64 {
        if self.total == 0.0 {
            return 0.0;
        }
        let mut covered: HashMap<&str, f64> = HashMap::new();
        for term in terms {
            if let Some((own, _)) = self.weights.get_key_value(term) {
                covered.insert(own, 1.0);
            }
            for (own, cosine) in self.related.get(term).into_iter().flatten().filter(|_| near) {
                let covered = covered.entry(own).or_default();
                *covered = covered.max(*cosine);
            }
        }
        // In one order, so that the sum has one value.
        let mut shares: Vec<(&str, f64)> =
            covered.into_iter().map(|(term, share)| (term, share * self.weights[term])).collect();
        shares.sort_by(|a, b| a.0.cmp(b.0));
        shares.iter().map(|(_, share)| share).sum::<f64>() / self.total
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
    fn related_terms_cover_as_much_as_they_are_near() {
        let mut q = Question::new([("oldest".to_owned(), 3.0), ("book".to_owned(), 1.0)]);
        q.relate("oldest", "earliest".to_owned(), 0.5);
        q.relate("oldest", "book".to_owned(), 0.9);
        q.relate("nothing", "else".to_owned(), 0.9);
        assert_eq!(q.related(), [("earliest".to_owned(), 0.5)]);
        assert_eq!(q.coverage(["earliest", "book"]), 0.25);
        assert_eq!(q.near_coverage(["earliest", "book"]), 2.5 / 4.0);
        assert_eq!(q.near_coverage(["earliest", "oldest"]), 0.75);
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
