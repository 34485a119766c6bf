//! Constrained decoding: a trie over the tokens of quotable units, so that `quote` mode can write nothing but whole
//! units, word for word.

use std::collections::BTreeMap;

/// Node 0 is the root. A unit may end at an inner node when another unit goes on from it.
#[derive(Debug, Default)]
pub struct QuoteTrie {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    children: BTreeMap<u32, usize>,
    /// Index of the unit that ends here.
    unit: Option<usize>,
    /// The unit every spelling from here ends in, when there is just one.
    only: Only,
    /// Best prior of the units below, this node included; nats.
    best_prior: f64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Only {
    #[default]
    None,
    One(usize),
    Several,
}

impl Only {
    fn with(self, unit: usize) -> Self {
        match self {
            Self::None => Self::One(unit),
            Self::One(_) | Self::Several => Self::Several,
        }
    }
}

/// What may come next at a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Choices {
    /// (token, node behind it, best prior of the units below it)
    pub tokens: Vec<(u32, usize, f64)>,
    /// The unit that ends here with its own prior, when one does.
    pub end: Option<usize>,
}

impl QuoteTrie {
    /// `units` are (tokens, prior in nats): the prior is what other evidence says for the unit before decoding.
    /// Of two units with the same tokens the first with the higher prior stays.
    pub fn new<'a>(units: impl IntoIterator<Item = (&'a [u32], f64)>) -> Self {
        let mut trie = Self { nodes: vec![Node { best_prior: f64::NEG_INFINITY, ..Node::default() }] };
        let mut priors: Vec<f64> = Vec::new();
        for (unit, (tokens, prior)) in units.into_iter().enumerate() {
            priors.push(prior);
            let mut at = 0;
            for &token in tokens {
                trie.nodes[at].best_prior = trie.nodes[at].best_prior.max(prior);
                trie.nodes[at].only = trie.nodes[at].only.with(unit);
                at = match trie.nodes[at].children.get(&token) {
                    Some(&next) => next,
                    None => {
                        trie.nodes.push(Node { best_prior: f64::NEG_INFINITY, ..Node::default() });
                        let next = trie.nodes.len() - 1;
                        trie.nodes[at].children.insert(token, next);
                        next
                    }
                };
            }
            let node = &mut trie.nodes[at];
            node.best_prior = node.best_prior.max(prior);
            node.only = node.only.with(unit);
            if node.unit.is_none_or(|old| priors[old] < prior) {
                node.unit = Some(unit);
            }
        }
        trie
    }

    pub fn root(&self) -> usize {
        0
    }

    /// The unit that is already decided at `node`.
    pub fn only_unit(&self, node: usize) -> Option<usize> {
        match self.nodes[node].only {
            Only::One(unit) => Some(unit),
            Only::None | Only::Several => None,
        }
    }

    pub fn choices(&self, node: usize) -> Choices {
        let node = &self.nodes[node];
        Choices {
            tokens: node.children.iter().map(|(&t, &n)| (t, n, self.nodes[n].best_prior)).collect(),
            end: node.unit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_units_can_be_spelt() {
        let units: [&[u32]; 3] = [&[1, 2, 3], &[1, 2], &[4]];
        let trie = QuoteTrie::new(units.iter().map(|u| (*u, 0.0)));
        let mut spelt = Vec::new();
        let mut stack = vec![(trie.root(), Vec::new())];
        while let Some((node, path)) = stack.pop() {
            let choices = trie.choices(node);
            if let Some(unit) = choices.end {
                assert_eq!(units[unit], path.as_slice());
                spelt.push(unit);
            }
            for (token, next, _) in choices.tokens {
                stack.push((next, path.iter().copied().chain([token]).collect()));
            }
        }
        spelt.sort_unstable();
        assert_eq!(spelt, [0, 1, 2]);
    }

    #[test]
    fn a_node_knows_the_best_prior_below_it() {
        let trie = QuoteTrie::new([(&[1, 2][..], -3.0), (&[1, 5][..], -1.0), (&[7][..], -9.0)]);
        let priors: Vec<_> = trie.choices(0).tokens.iter().map(|&(t, _, p)| (t, p)).collect();
        assert_eq!(priors, [(1, -1.0), (7, -9.0)]);
    }

    #[test]
    fn a_unit_is_decided_as_soon_as_no_other_is_left() {
        let trie = QuoteTrie::new([(&[1, 2, 3][..], 0.0), (&[1, 5, 6][..], 0.0)]);
        assert_eq!(trie.only_unit(trie.root()), None);
        let (_, one, _) = trie.choices(trie.root()).tokens[0];
        assert_eq!(trie.only_unit(one), None);
        let (_, five, _) = trie.choices(one).tokens[1];
        assert_eq!(trie.only_unit(five), Some(1));
    }

    #[test]
    fn an_empty_trie_offers_nothing() {
        let trie = QuoteTrie::new(std::iter::empty::<(&[u32], f64)>());
        assert_eq!(trie.choices(trie.root()), Choices { tokens: vec![], end: None });
    }
}
