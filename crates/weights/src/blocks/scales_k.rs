//! The twelve bytes of 6-bit scales and minima that Q4_K and Q5_K share.

/// Scale and minimum (each 0..=63) of the eight sub-blocks: the first four lie in the low six bits of bytes 0..4 and
/// 4..8; the last four have their low four bits in bytes 8..12 and their high two on top of bytes 0..8.
pub(super) fn unpack(s: &[u8]) -> ([u8; 8], [u8; 8]) {
    let scales = std::array::from_fn(|j| match j {
        0..4 => s[j] & 63,
        _ => (s[j + 4] & 15) | ((s[j - 4] >> 6) << 4),
    });
    let mins = std::array::from_fn(|j| match j {
        0..4 => s[j + 4] & 63,
        _ => (s[j + 4] >> 4) | ((s[j] >> 6) << 4),
    });
    (scales, mins)
}
