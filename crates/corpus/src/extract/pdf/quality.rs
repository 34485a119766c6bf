//! Finds text whose characters mean nothing: fonts without a usable map to Unicode.

/// Pages with fewer characters than this are not judged.
const MIN_CHARACTERS: usize = 20;

/// Characters in doubt on a page; 0 where the page reads well. In doubt is a page with more than one character in
/// ten unassigned, private or replaced, or with hardly a letter or digit among many signs.
pub fn unclear(text: &str) -> u64 {
    let (mut n_chars, mut n_bad, mut n_letters) = (0_usize, 0_usize, 0_usize);
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        n_chars += 1;
        n_bad += usize::from(is_bad(c));
        n_letters += usize::from(c.is_alphanumeric());
    }
    if n_chars < MIN_CHARACTERS {
        return 0;
    }
    if n_bad * 10 > n_chars {
        n_bad as u64
    } else if n_letters * 5 < n_chars && n_chars >= 5 * MIN_CHARACTERS {
        n_chars as u64
    } else {
        0
    }
}

fn is_bad(c: char) -> bool {
    matches!(c, '\u{FFFD}' | '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..='\u{10FFFF}' | '\u{FFF0}'..='\u{FFF8}')
        || c.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_clear_and_private_characters_are_not() {
        assert_eq!(unclear("An ordinary sentence with a formula a + b = c."), 0);
        assert_eq!(unclear(&"\u{E001}\u{FFFD}".repeat(20)), 40);
        assert_eq!(unclear(&"!\"#$%&'()".repeat(20)), 180);
        assert_eq!(unclear("***"), 0);
    }
}
