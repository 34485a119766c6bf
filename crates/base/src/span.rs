//! Half-open spans and positions, all u64: a corpus may pass 2^32 tokens or bytes.

use std::fmt;

/// Absolute position of a token, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TokenPos(pub u64);

macro_rules! span {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name {
            pub start: u64,
            pub end: u64,
        }

        impl $name {
            /// Panics when `end < start`: a span is built by our own code, never from raw input.
            pub fn new(start: u64, end: u64) -> Self {
                assert!(start <= end, "span {start}..{end} runs backwards");
                Self { start, end }
            }

            pub fn len(self) -> u64 {
                self.end - self.start
            }

            pub fn is_empty(self) -> bool {
                self.start == self.end
            }

            pub fn contains(self, other: Self) -> bool {
                self.start <= other.start && other.end <= self.end
            }

            /// The common stretch; `None` when the two do not overlap.
            pub fn intersect(self, other: Self) -> Option<Self> {
                let (start, end) = (self.start.max(other.start), self.end.min(other.end));
                (start < end).then_some(Self { start, end })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}..{}", self.start, self.end)
            }
        }
    };
}

span!(
    /// Bytes of a canonical text (UTF-8).
    ByteSpan
);
span!(
    /// Code points of a canonical text; the unit of the API.
    CharSpan
);
span!(
    /// Tokens of one document's token stream.
    TokenSpan
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intersections_are_half_open() {
        let a = ByteSpan::new(2, 5);
        assert_eq!(a.intersect(ByteSpan::new(4, 9)), Some(ByteSpan::new(4, 5)));
        assert_eq!(a.intersect(ByteSpan::new(5, 9)), None);
        assert!(a.contains(ByteSpan::new(2, 5)) && !a.contains(ByteSpan::new(1, 3)));
    }
}
