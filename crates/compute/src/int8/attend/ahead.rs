//! What the next page holds of a head, asked for a piece at a time between the steps of the page before.

use crate::simd::{CACHE_LINE, prefetch};

/// Parts that are still to be asked for, each of whole lines. A core has some dozens of lines on their way at once; the 140
/// lines of an int8 head of 64 dimensions asked for together hold up all else.
pub(super) struct Ahead<'a> {
    parts: [&'a [u8]; 4],
    /// Bytes of them.
    left: usize,
    /// Bytes of a piece.
    piece: usize,
}

impl<'a> Ahead<'a> {
    /// `parts` in the order in which they are needed, in no more than `n` pieces.
    #[inline(always)]
    pub(super) fn new(parts: [&'a [u8]; 4], n: usize) -> Self {
        let left: usize = parts.iter().map(|part| part.len()).sum();
        Self { parts, left, piece: left.div_ceil(n).next_multiple_of(CACHE_LINE) }
    }

    /// Has the second cache fetch the next piece.
    #[inline(always)]
    pub(super) fn ask(&mut self) {
        if self.is_done() {
            return;
        }
        let mut piece = self.piece.min(self.left);
        self.left -= piece;
        for part in &mut self.parts {
            let (now, later) = part.split_at(piece.min(part.len()));
            prefetch(now);
            *part = later;
            piece -= now.len();
        }
    }

    /// Whether all has been asked for.
    #[inline(always)]
    pub(super) fn is_done(&self) -> bool {
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_asked_for_in_so_many_pieces() {
        let bytes = [0u8; 1024];
        let mut ahead = Ahead::new([&bytes[..640], &[], &bytes[640..704], &bytes[704..]], 7);
        let left = |ahead: &Ahead<'_>| ahead.parts.map(<[u8]>::len);
        ahead.ask();
        assert_eq!(left(&ahead), [640 - 192, 0, 64, 320], "1024 bytes in 7 pieces are 147, three lines each");
        (1..4).for_each(|_| ahead.ask());
        assert_eq!(left(&ahead), [0, 0, 0, 1024 - 4 * 192], "a piece goes on in the next part");
        assert!(!ahead.is_done());
        (4..7).for_each(|_| ahead.ask());
        assert!(ahead.is_done() && left(&ahead) == [0; 4]);
    }

    #[test]
    fn where_there_is_nothing_nothing_is_asked_for() {
        let mut ahead = Ahead::new([&[]; 4], 7);
        assert!(ahead.is_done());
        ahead.ask();
    }
}
