//! compressed-tensors `pack-quantized` int4: eight codes to a little-endian i32, low nibble first.
//! `w = scale * (code - zero)`, scale and zero point per group of columns. Rows start on a fresh word.

/// Codes (0..=15) of one word, in the order of the columns.
pub fn unpack(word: &[u8; 4]) -> [u8; 8] {
    let word = u32::from_le_bytes(*word);
    std::array::from_fn(|k| (word >> (4 * k) & 15) as u8)
}

/// One row: `words` holds at least `out.len()` codes; `group_of` gives a column's group, `affine` a group's scale and
/// zero point (0..=15). Columns past `out.len()` in the last word are padding and ignored.
pub fn decode_row(
    words: &[u8],
    group_of: impl Fn(usize) -> u64,
    affine: impl Fn(u64) -> (f32, u8),
    out: &mut [f32],
) {
    let (words, _) = words.as_chunks::<4>();
    assert!(words.len() * 8 >= out.len(), "{} words for {} columns", words.len(), out.len());
    let mut first = 0;
    for (word, out) in words.iter().zip(out.chunks_mut(8)) {
        for (k, (code, w)) in unpack(word).into_iter().zip(out).enumerate() {
            let (scale, zero) = affine(group_of(first + k));
            // Both are small integers: the difference is exact, the product is rounded once.
            *w = scale * (f32::from(code) - f32::from(zero));
        }
        first += 8;
    }
}
