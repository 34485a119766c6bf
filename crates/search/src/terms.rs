//! The analyser, the same for passages and questions: words folded to lower case without diacritics, English endings
//! stemmed; runs of Chinese, Japanese and Korean characters become overlapping pairs, because they have no spaces.

use std::sync::LazyLock;

use base::ByteSpan;
use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_segmentation::UnicodeSegmentation;

/// Longer words are cut: nobody searches for them, and the index refuses terms past 65,530 bytes.
const MAX_TERM_CHARS: usize = 64;

static ENGLISH: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::English));

/// One term and the bytes of the text it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    pub text: String,
    pub span: ByteSpan,
}

/// All terms of a text, in order. Never fails: control characters and symbols are simply no terms.
pub fn terms(text: &str) -> Vec<Term> {
    let mut found = Vec::new();
    let mut run: Vec<(usize, char)> = Vec::new();
    for (start, word) in text.split_word_bound_indices() {
        if word.chars().any(is_cjk) {
            for (at, c) in word.char_indices() {
                if is_cjk(c) || is_combining_mark(c) {
                    run.push((start + at, c));
                } else {
                    flush_run(&mut run, &mut found);
                }
            }
            continue;
        }
        flush_run(&mut run, &mut found);
        // Word boundaries keep snake_case together; its pieces are what people ask for.
        let mut at = start;
        for piece in word.split('_') {
            push_word(piece, at, &mut found);
            at += piece.len() + 1;
        }
    }
    flush_run(&mut run, &mut found);
    found
}

fn push_word(word: &str, start: usize, found: &mut Vec<Term>) {
    if !word.chars().any(char::is_alphanumeric) {
        return;
    }
    let folded: String = word
        .nfkd()
        .filter(|c| !is_combining_mark(*c) && !c.is_control())
        .flat_map(char::to_lowercase)
        .map(|c| if c == '\u{2019}' { '\'' } else { c })
        .take(MAX_TERM_CHARS)
        .collect();
    let text = if folded.is_ascii() { ENGLISH.stem(&folded).into_owned() } else { folded };
    if !text.is_empty() {
        found.push(Term { text, span: ByteSpan::new(start as u64, (start + word.len()) as u64) });
    }
}

/// A run of one character is its own term; longer ones give every adjacent pair.
fn flush_run(run: &mut Vec<(usize, char)>, found: &mut Vec<Term>) {
    let width = run.len().min(2);
    if width > 0 {
        for pair in run.windows(width) {
            let (first, last) = (pair[0], pair[width - 1]);
            let span = ByteSpan::new(first.0 as u64, (last.0 + last.1.len_utf8()) as u64);
            let text = pair.iter().flat_map(|(_, c)| c.nfkc()).collect();
            found.push(Term { text, span });
        }
    }
    run.clear();
}

/// Han, kana and Hangul blocks of the Unicode block list (Blocks.txt), half-width forms included.
fn is_cjk(c: char) -> bool {
    matches!(u32::from(c),
        0x3005..=0x3007 | 0x3041..=0x3096 | 0x309D..=0x30FF | 0x31F0..=0x31FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF
        | 0xAC00..=0xD7A3 | 0x1100..=0x11FF | 0xF900..=0xFAFF | 0xFF66..=0xFF9F | 0x20000..=0x323AF)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        terms(text).into_iter().map(|t| t.text).collect()
    }

    #[test]
    fn english_is_folded_and_stemmed() {
        assert_eq!(
            words("Revenues GREW, revenue_growth: 3.5%"),
            ["revenu", "grew", "revenu", "growth", "3.5"]
        );
        assert_eq!(words("the company\u{2019}s"), words("the company's"));
    }

    #[test]
    fn diacritics_compatibility_forms_and_other_scripts_fold() {
        assert_eq!(words("Zürich ﬁnance"), words("zurich finance"));
        assert_eq!(words("ΑΘΗΝΑ Москва"), ["αθηνα", "москва"]);
    }

    #[test]
    fn cjk_runs_become_pairs_with_exact_spans() {
        assert_eq!(words("東京都 2023年 수도"), ["東京", "京都", "2023", "年", "수도"]);
        let text = "a東京都";
        let spans: Vec<_> =
            terms(text).iter().map(|t| &text[t.span.start as usize..t.span.end as usize]).collect();
        assert_eq!(spans, ["a", "東京", "京都"]);
    }

    #[test]
    fn nothing_but_symbols_and_controls_gives_no_terms() {
        assert_eq!(terms(" \u{0}\u{7f}\u{202e} _ -- () \u{200b}"), []);
    }

    proptest! {
        #[test]
        fn any_text_gives_terms_inside_it(text in any::<String>()) {
            for term in terms(&text) {
                prop_assert!(text.get(term.span.start as usize..term.span.end as usize).is_some());
                prop_assert!(!term.text.is_empty() && term.text.len() < 4_096);
            }
        }
    }
}
