//! Sentences of an answer, as code-point spans: what a citation's `answer_span` points at.

use base::CharSpan;

/// Cuts at line ends and behind `.`, `!`, `?` and their CJK forms when white space or the end follows. Spans are
/// trimmed and never empty.
pub fn sentences(text: &str) -> Vec<CharSpan> {
    let chars: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    let mut start = 0;
    for i in 0..chars.len() {
        let end_mark =
            matches!(chars[i], '.' | '!' | '?') && chars.get(i + 1).is_none_or(|c| c.is_whitespace());
        let cjk = matches!(chars[i], '。' | '！' | '？');
        if end_mark || cjk || chars[i] == '\n' || i + 1 == chars.len() {
            let (mut a, mut b) = (start, i + 1);
            while a < b && chars[a].is_whitespace() {
                a += 1;
            }
            while b > a && chars[b - 1].is_whitespace() {
                b -= 1;
            }
            if a < b {
                out.push(CharSpan::new(a as u64, b as u64));
            }
            start = i + 1;
        }
    }
    out
}

/// The text of a code-point span.
pub fn slice(text: &str, span: CharSpan) -> String {
    text.chars().skip(span.start as usize).take(span.len() as usize).collect()
}

/// Code points of `text` before its last sentence when that sentence, ended, stands in it already.
pub fn repeats(text: &str) -> Option<usize> {
    let spans = sentences(text);
    let (last, before) = spans.split_last()?;
    let words = slice(text, *last);
    let ended = words.ends_with(['.', '!', '?', '。', '！', '？']) || text.ends_with('\n');
    (ended && before.iter().any(|span| slice(text, *span) == words)).then_some(last.start as usize)
}

/// The start of a text being written that stays when more is: without a last sentence that may yet repeat an earlier
/// one, a character that may not be whole, and white space at the end.
pub fn settled(text: &str) -> &str {
    let spans = sentences(text);
    let whole = text.trim_end_matches(char::REPLACEMENT_CHARACTER).trim_end();
    let Some((last, before)) = spans.split_last() else { return whole };
    let words = slice(text, *last);
    if !before.iter().any(|span| slice(text, *span).starts_with(&words)) {
        return whole;
    }
    let end = text.char_indices().nth(last.start as usize).map_or(text.len(), |(at, _)| at);
    text[..end.min(whole.len())].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_may_be_taken_back_is_not_settled() {
        for (text, expected) in [
            ("It is £30. It i", "It is £30."),
            ("It is £30. It was", "It is £30. It was"),
            ("It is £30. ", "It is £30."),
            ("Caf\u{FFFD}", "Caf"),
            ("", ""),
        ] {
            assert_eq!(settled(text), expected, "{text:?}");
        }
    }

    proptest! {
        /// A writer that appends pieces and drops a repeated sentence, as a draft does, never takes back settled text.
        #[test]
        fn settled_text_is_never_taken_back(pieces in prop::collection::vec("(a|b|a b| |\\. |\\.|!|\n|1|。|\u{FFFD})", 1..24)) {
            let (mut text, mut said) = (String::new(), String::new());
            for piece in pieces {
                text.push_str(&piece);
                if let Some(kept) = repeats(&text) {
                    text = text.chars().take(kept).collect();
                    break;
                }
                let now = settled(text.trim_start());
                // An unfinished character is replaced by what follows; here it stays, which is as good.
                prop_assert!(now.starts_with(&said), "{said:?} then {now:?}");
                said = now.to_owned();
            }
            prop_assert!(text.trim().starts_with(&said), "{said:?} of {text:?}");
        }
    }

    #[test]
    fn a_repeated_sentence_is_seen_when_it_ends() {
        assert_eq!(repeats("It is £30. It is £30."), Some(11));
        assert_eq!(repeats("- one\n- one\n"), Some(6));
        for text in ["It is £30. It is £30", "It is £30. It is £40.", "It is.", ""] {
            assert_eq!(repeats(text), None, "{text}");
        }
    }

    #[test]
    fn sentences_are_trimmed_and_whole() {
        let text = " Revenue rose 1.5 %. It fell later!\nÜber 3 Jahre。終わり";
        let cut: Vec<String> = sentences(text).into_iter().map(|s| slice(text, s)).collect();
        assert_eq!(cut, ["Revenue rose 1.5 %.", "It fell later!", "Über 3 Jahre。", "終わり"]);
        assert!(sentences(" \n ").is_empty());
    }
}
