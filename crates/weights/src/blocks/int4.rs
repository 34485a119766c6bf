//! compressed-tensors `pack-quantized` int4: eight codes to a little-endian i32, low nibble first, stored as `q + 8`.
//! `w = scale * (nibble - 8)`, one scale per group of columns. Rows start on a fresh word.

/// Centred codes (−8..=7) of one word, in the order of the columns.
pub fn unpack(word: &[u8; 4]) -> [i8; 8] {
    let word = u32::from_le_bytes(*word);
    std::array::from_fn(|k| ((word >> (4 * k)) & 15) as i8 - 8)
}

/// One row: `words` holds at least `out.len()` codes; `scale(g)` is the scale of columns `g * group_size ..`.
/// Columns past `out.len()` in the last word are padding and ignored.
pub fn decode_row(words: &[u8], group_size: usize, scale: impl Fn(usize) -> f32, out: &mut [f32]) {
    let (words, _) = words.as_chunks::<4>();
    assert!(
        group_size > 0 && words.len() * 8 >= out.len(),
        "{} words for {} columns",
        words.len(),
        out.len()
    );
    for (col, w) in out.iter_mut().enumerate() {
        let q = (words[col / 8][col % 8 / 2] >> (4 * (col % 2))) & 15;
        *w = scale(col / group_size) * f32::from(q as i8 - 8);
    }
}
