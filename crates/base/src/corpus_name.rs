//! What a corpus may be called, wherever it is made.

use crate::IdKind;
use std::fmt;

/// Code points of a corpus's name.
pub const CORPUS_NAME_CHARACTERS: usize = 200;

/// A text that is no name for a corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorpusNameError {
    pub text: String,
}

/// The name without the white space around it.
///
/// Errors: a name that is empty, too long, holds control characters or could pass for an id.
pub fn corpus_name(text: &str) -> Result<&str, CorpusNameError> {
    let name = text.trim();
    let fits = (1..=CORPUS_NAME_CHARACTERS).contains(&name.chars().count());
    if fits && !name.contains(char::is_control) && !name.starts_with(IdKind::Corpus.prefix()) {
        return Ok(name);
    }
    Err(CorpusNameError { text: text.to_owned() })
}

impl fmt::Display for CorpusNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The beginning is enough to know it again.
        let text: String = self.text.chars().take(80).collect();
        write!(
            f,
            "{text:?} is no name for a corpus; give 1 to {CORPUS_NAME_CHARACTERS} characters on one line, not beginning \
             with {}",
            IdKind::Corpus.prefix()
        )
    }
}

impl std::error::Error for CorpusNameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_and_no_id() {
        let longest = "é".repeat(CORPUS_NAME_CHARACTERS);
        assert_eq!(corpus_name(" two words\n"), Ok("two words"));
        assert_eq!(corpus_name(&longest), Ok(&*longest));
        for text in ["", " \t", "a\nb", "a\u{7f}b", " corp_x", &format!("{longest}e")] {
            let refused = corpus_name(text).unwrap_err();
            assert_eq!(refused.text, text);
            assert!(refused.to_string().len() < 300, "{refused}");
        }
    }
}
