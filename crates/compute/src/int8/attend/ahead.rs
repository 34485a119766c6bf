//! What the next page holds of a head, asked for a piece at a time between the steps of the page before.

use crate::simd::prefetch;

const LINE: usize = 64;

/// Parts that are still to be asked for. A core waits for a few dozen lines at once, and the 140 lines of a head of 64
/// dimensions asked for together hold up all else.
pub(super) struct Ahead<'a> {
    parts: [&'a [u8]; 4],
    /// Bytes of a piece.
    piece: usize,
}

impl<'a> Ahead<'a> {
    /// `parts` in the order in which they are needed, in no more than `n` pieces.
    #[inline(always)]
    pub(super) fn new(parts: [&'a [u8]; 4], n: usize) -> Self {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        Self { parts, piece: bytes.div_ceil(n).next_multiple_of(LINE) }
    }

    /// Has the caches fetch the next piece.
    #[inline(always)]
    pub(super) fn ask(&mut self) {
        let mut left = self.piece;
        for part in &mut self.parts {
            let (now, later) = part.split_at(left.min(part.len()));
            prefetch(now);
            *part = later;
            left -= now.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_asked_for_in_so_many_pieces_and_nothing_twice() {
        let bytes = [0u8; 1000];
        let mut ahead = Ahead::new([&bytes[..640], &[], &bytes[640..656], &bytes[656..]], 7);
        let left = |ahead: &Ahead<'_>| ahead.parts.map(<[u8]>::len);
        ahead.ask();
        assert_eq!(left(&ahead), [640 - 192, 0, 16, 344], "1000 bytes in 7 pieces are 143, three lines each");
        (1..4).for_each(|_| ahead.ask());
        assert_eq!(left(&ahead), [0, 0, 0, 1000 - 4 * 192], "a piece goes on in the next part");
        (4..7).for_each(|_| ahead.ask());
        assert_eq!(left(&ahead), [0; 4]);
    }
}
