//! The rule for "right": normalised texts, accepted strings at word borders (tests/questions/README.md).

use unicode_normalization::UnicodeNormalization;

/// Whether the answer holds the accepted string at word borders; between back-quotes it is compared as it stands.
pub(super) fn contains(answer: &str, accepted: &str) -> bool {
    if accepted.len() > 2 && accepted.starts_with('`') && accepted.ends_with('`') {
        return answer.contains(&accepted[1..accepted.len() - 1]);
    }
    format!(" {} ", normalised(answer)).contains(&format!(" {} ", normalised(accepted)))
}

fn normalised(text: &str) -> String {
    let folded: Vec<char> = text.nfkc().collect::<String>().to_lowercase().chars().collect();
    let chars = without_thousands(&folded);
    let digit = |i: Option<usize>| i.and_then(|i| chars.get(i)).is_some_and(|c| c.is_numeric());
    let mut kept = String::new();
    for (i, c) in chars.iter().enumerate() {
        let inside_number = matches!(c, '.' | ':') && digit(i.checked_sub(1)) && digit(Some(i + 1));
        let word = c.is_alphanumeric() || unicode_normalization::char::is_combining_mark(*c);
        kept.push(if inside_number || word { *c } else { ' ' });
    }
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `1,024` → `1024`: separators go only from a whole number written in groups of three.
fn without_thousands(chars: &[char]) -> Vec<char> {
    let mut out = Vec::with_capacity(chars.len());
    let mut i = 0;
    while i < chars.len() {
        let starts =
            chars[i].is_ascii_digit() && (i == 0 || !matches!(chars[i - 1], '0'..='9' | '.' | ',' | '\''));
        let end = if starts { grouped_number(chars, i) } else { None };
        match end {
            Some(end) => {
                out.extend(chars[i..end].iter().filter(|c| c.is_ascii_digit()));
                i = end;
            }
            None => {
                out.push(chars[i]);
                i += 1;
            }
        }
    }
    out
}

/// End of a number of one to three digits followed by groups of exactly three; `None` when it is not one.
fn grouped_number(chars: &[char], start: usize) -> Option<usize> {
    let digits = |from: usize| chars[from..].iter().take_while(|c| c.is_ascii_digit()).count();
    let first = digits(start);
    let mut end = start + first;
    let mut groups = 0;
    while end < chars.len()
        && matches!(chars[end], ',' | '\'' | '\u{202F}' | '\u{2009}')
        && digits(end + 1) == 3
    {
        end += 4;
        groups += 1;
    }
    let whole =
        chars.get(end).is_none_or(|c| *c != '.' || chars.get(end + 1).is_none_or(|d| !d.is_ascii_digit()));
    (groups > 0 && first <= 3 && whole).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_strings_are_found_at_word_borders() {
        for (answer, accepted, expected) in [
            ("It was 1886.", "1886", true),
            ("It was 18860.", "1886", false),
            ("About 1,024 pages", "1024", true),
            ("cells 38.7,100 apart", "7100", false),
            ("a ratio of 3:1", "3:1", true),
            ("TOLBERT Lanston!", "Tolbert Lanston", true),
            ("type `:q!` now", "`:q!`", true),
            ("type q now", "`:q!`", false),
        ] {
            assert_eq!(contains(answer, accepted), expected, "{answer:?} {accepted:?}");
        }
    }
}
