//! Whose turn it is: owners take turns, each with its own things in their order.

use std::collections::{BTreeMap, VecDeque};

#[derive(Debug)]
pub struct Turns<T> {
    by_owner: BTreeMap<String, VecDeque<T>>,
    /// Whose turn was last.
    last: String,
    len: usize,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { by_owner: BTreeMap::new(), last: String::new(), len: 0 }
    }
}

impl<T> Turns<T> {
    pub fn push(&mut self, owner: String, item: T) {
        self.by_owner.entry(owner).or_default().push_back(item);
        self.len += 1;
    }

    /// The oldest thing of the owner whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        let after = |owner: &&String| **owner > self.last;
        let owner = self.by_owner.keys().find(after).or_else(|| self.by_owner.keys().next())?.clone();
        let items = self.by_owner.get_mut(&owner)?;
        let item = items.pop_front();
        if items.is_empty() {
            self.by_owner.remove(&owner);
        }
        self.last = owner;
        self.len -= usize::from(item.is_some());
        item
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.by_owner.values().flatten()
    }

    /// How many of an owner's things wait.
    pub fn of(&self, owner: &str) -> usize {
        self.by_owner.get(owner).map_or(0, VecDeque::len)
    }

    /// Takes what fits out of the line.
    pub fn remove(&mut self, fits: impl Fn(&T) -> bool) -> Vec<T> {
        let mut removed = Vec::new();
        for items in self.by_owner.values_mut() {
            for item in std::mem::take(items) {
                if fits(&item) { removed.push(item) } else { items.push_back(item) }
            }
        }
        self.by_owner.retain(|_, items| !items.is_empty());
        self.len -= removed.len();
        removed
    }

    pub fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_take_turns_and_each_keeps_its_order() {
        let mut turns = Turns::default();
        for (owner, item) in [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 5)] {
            turns.push(owner.to_owned(), item);
        }
        assert_eq!(turns.remove(|item| *item == 2), [2]);
        assert_eq!(turns.len(), 4);
        let order: Vec<i32> = std::iter::from_fn(|| turns.pop()).collect();
        assert_eq!((order.as_slice(), turns.len()), (&[1, 4, 5, 3][..], 0));
    }
}
