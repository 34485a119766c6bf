//! Which routed experts stay in memory. A pass goes through all layers in the same order, over and over: what was used
//! last is what is needed last again, and keeping the most recent would find nothing as soon as a round does not fit. So
//! those used most often stay, and a newcomer takes their place only when it is clearly used more. Of experts that are
//! used alike, whoever came first stays, and a budget of nine tenths of a round finds nine tenths of it.

use std::collections::BTreeMap;

/// Uses that all count half when one expert has this many: what was used in other times is forgotten.
const HALVED_AT: u32 = 64;
/// Uses that a newcomer has to have more than whom it replaces: in one round, experts of early layers have been used once
/// more than those of later ones, and that says nothing.
const CLEARLY: u32 = 2;

/// Things by number, with their bytes, within a budget.
pub(super) struct Kept<T> {
    budget: u64,
    bytes: u64,
    things: BTreeMap<usize, (T, u64)>,
    /// By number, of all things.
    uses: Vec<u32>,
}

impl<T> Kept<T> {
    /// For things numbered below `n`.
    pub fn new(n: usize, budget: u64) -> Self {
        Self { budget, bytes: 0, things: BTreeMap::new(), uses: vec![0; n] }
    }

    /// Counts a use of thing `at`, and keeps it if there is room or if it is used more than those in its place. Gives those,
    /// which the caller drops where that holds nobody up.
    pub fn used(&mut self, at: usize, bytes: u64, thing: impl FnOnce() -> T) -> Vec<T> {
        self.uses[at] += 1;
        if self.uses[at] >= HALVED_AT {
            self.uses.iter_mut().for_each(|uses| *uses /= 2);
        }
        if self.things.contains_key(&at) || bytes > self.budget {
            return Vec::new();
        }
        let Some(replaced) = self.room_for(bytes, self.uses[at]) else { return Vec::new() };
        let replaced: Vec<_> = replaced.iter().filter_map(|at| self.things.remove(at)).collect();
        self.bytes -= replaced.iter().map(|(_, bytes)| bytes).sum::<u64>();
        self.things.insert(at, (thing(), bytes));
        self.bytes += bytes;
        replaced.into_iter().map(|(thing, _)| thing).collect()
    }

    /// The things used least that have to go for `bytes` more; `None` where one of them is used nearly as much.
    fn room_for(&self, bytes: u64, uses: u32) -> Option<Vec<usize>> {
        let mut over = (self.bytes + bytes).saturating_sub(self.budget);
        let mut least: Vec<(u32, usize)> = self.things.keys().map(|&at| (self.uses[at], at)).collect();
        least.sort_unstable();
        let mut replaced = Vec::new();
        for (of_it, at) in least {
            if over == 0 {
                break;
            }
            if of_it + CLEARLY > uses {
                return None;
            }
            over = over.saturating_sub(self.things[&at].1);
            replaced.push(at);
        }
        Some(replaced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<T> Kept<T> {
        fn has(&self, at: usize) -> bool {
            self.things.contains_key(&at)
        }
    }

    /// Uses that found what they wanted.
    fn hits(kept: &mut Kept<()>, uses: impl IntoIterator<Item = usize>) -> usize {
        let mut hits = 0;
        for at in uses {
            hits += usize::from(kept.has(at));
            kept.used(at, 10, || ());
            assert!(kept.bytes <= kept.budget && kept.bytes == 10 * kept.things.len() as u64);
        }
        hits
    }

    /// The order that a pass goes through all experts, as often as it takes to halve the counts several times.
    #[test]
    fn rounds_that_do_not_quite_fit_find_what_does() {
        let mut kept = Kept::new(100, 900);
        for round in 0..300 {
            let found = hits(&mut kept, 0..100);
            assert_eq!(found, if round == 0 { 0 } else { 90 }, "round {round}");
        }
    }

    #[test]
    fn what_is_used_more_takes_the_place_of_what_is_used_less_and_gives_it_up_again() {
        let mut kept = Kept::new(100, 300);
        // Every round uses ten favourites and three of ninety others.
        let round = |favourite: usize, n: usize| {
            (favourite..favourite + 10).chain((0..3).map(move |i| (favourite + 10 + (3 * n + i) % 90) % 100))
        };
        hits(&mut kept, 10..40);
        for favourite in [0, 50] {
            hits(&mut kept, (0..120).flat_map(|n| round(favourite, n)));
            let found = hits(&mut kept, (120..220).flat_map(|n| round(favourite, n)));
            assert!(found >= 1000, "favourites at {favourite}: found {found} of 1300");
        }
    }

    #[test]
    fn one_that_is_larger_takes_the_place_of_several_and_of_none_that_is_used_as_much() {
        let mut kept = Kept::new(4, 30);
        hits(&mut kept, [0, 1, 2, 2, 2]);
        kept.used(3, 31, || ());
        assert!(!kept.has(3), "over the whole budget");
        kept.used(3, 20, || ());
        assert!(!kept.has(3) && kept.things.len() == 3, "two uses against one");
        kept.used(3, 20, || ());
        assert!(kept.has(3) && kept.has(2) && kept.bytes == 30);
    }
}
