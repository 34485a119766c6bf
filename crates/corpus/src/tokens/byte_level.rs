//! The byte-level alphabet of GPT-2: every byte is written as one printable character in the vocabulary.
//!
//! Source: the byte-to-unicode table of the GPT-2 encoder (Radford et al., 2019). Printable bytes stand for
//! themselves; the others follow from U+0100 in byte order.

/// Character of each byte.
pub fn alphabet() -> [char; 256] {
    let mut next = 0x100;
    std::array::from_fn(|byte| match byte {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => char::from(byte as u8),
        _ => {
            let spelled = char::from_u32(next).unwrap_or(char::REPLACEMENT_CHARACTER);
            next += 1;
            spelled
        }
    })
}

/// The vocabulary entry that stands for `bytes`.
pub fn spell(bytes: &[u8], alphabet: &[char; 256]) -> String {
    bytes.iter().filter_map(|byte| alphabet.get(usize::from(*byte))).collect()
}

/// Bytes that a vocabulary entry stands for; `None` when a character is outside the alphabet.
pub fn bytes_of(entry: &str, alphabet: &[char; 256]) -> Option<Vec<u8>> {
    entry
        .chars()
        .map(|c| match c {
            '\u{21}'..='\u{7e}' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{ff}' => Some(c as u8),
            _ => alphabet.iter().position(|&spelled| spelled == c).map(|byte| byte as u8),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_one_to_one_and_spells_space_as_the_paper_does() {
        let alphabet = alphabet();
        assert_eq!(alphabet[usize::from(b' ')], 'Ġ');
        assert_eq!(alphabet[usize::from(b'\n')], 'Ċ');
        for byte in 0..=255u8 {
            let spelled = spell(&[byte], &alphabet);
            assert_eq!(bytes_of(&spelled, &alphabet), Some(vec![byte]));
        }
        assert_eq!(bytes_of("日", &alphabet), None);
    }
}
