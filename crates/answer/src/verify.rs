//! Verification: the server compares every quote with the stored text before it is shown as proof.

use serde::{Deserialize, Serialize};

/// How the quote stands to the canonical text at its span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Byte for byte.
    Exact,
    /// The same but for white space, hyphens at line ends, and ligatures.
    Normalised,
    /// Not there: never shown as proof.
    NotFound,
}

/// Compares `quote` with `stored`, the canonical text at the citation's span (`None`: the span lies outside the text).
pub fn verify(stored: Option<&str>, quote: &str) -> Status {
    match stored {
        Some(stored) if stored == quote && !quote.is_empty() => Status::Exact,
        Some(stored) if !quote.trim().is_empty() && fold(stored) == fold(quote) => Status::Normalised,
        _ => Status::NotFound,
    }
}

/// White space and soft hyphens away, line-end hyphens joined, ligatures spelt out. Letters and digits stay as they
/// are: a changed digit is a different quote.
fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '-' | '\u{2010}' if chars.peek().is_some_and(|next| *next == '\n' || *next == '\r') => {}
            '\u{00AD}' => {}
            '\u{FB00}' => out.push_str("ff"),
            '\u{FB01}' => out.push_str("fi"),
            '\u{FB02}' => out.push_str("fl"),
            '\u{FB03}' => out.push_str("ffi"),
            '\u{FB04}' => out.push_str("ffl"),
            '\u{FB05}' | '\u{FB06}' => out.push_str("st"),
            c if c.is_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        for (stored, quote, expected) in [
            (Some("Revenue rose 12 %."), "Revenue rose 12 %.", Status::Exact),
            (Some("Revenue rose\n12 %."), "Revenue rose 12 %.", Status::Normalised),
            (Some("the \u{FB01}rst inter-\nnational"), "the first international", Status::Normalised),
            (Some("Revenue rose 12 %."), "Revenue rose 13 %.", Status::NotFound),
            (Some("Revenue rose"), "Revenue fell", Status::NotFound),
            (Some(""), "", Status::NotFound),
            (Some("  "), " ", Status::NotFound),
            (None, "anything", Status::NotFound),
        ] {
            assert_eq!(verify(stored, quote), expected, "{stored:?} {quote:?}");
        }
    }

    #[test]
    fn a_hyphen_inside_a_line_counts() {
        assert_eq!(verify(Some("well-known"), "wellknown"), Status::NotFound);
    }
}
