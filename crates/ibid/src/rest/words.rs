//! Objects in words: what a terminal shows of names, texts, sizes and warnings.

use serde_json::Value;

/// A warning of a document, `{"code", "page", "characters", "detail"}`, in words.
pub fn warning(warning: &Value) -> String {
    let mut text = warning["code"].as_str().unwrap_or("warning").replace('_', " ");
    if let Some(page) = warning["page"].as_u64() {
        text.push_str(&format!(", page {page}"));
    }
    if let Some(characters) = warning["characters"].as_u64() {
        text.push_str(&format!(", {characters} characters"));
    }
    if let Some(detail) = warning["detail"].as_str().filter(|detail| !detail.is_empty()) {
        text.push_str(&format!(": {}", label(detail)));
    }
    text
}

/// A name from documents or folders for one line of a terminal: line ends and tabs are shown too.
pub fn label(name: &str) -> String {
    printable(name).replace('\n', "\\n").replace('\t', "\\t")
}

/// Text from documents for a terminal: control and direction-changing characters are shown, not obeyed.
pub fn printable(text: &str) -> String {
    let steers = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// `1.5 MiB`; below a KiB in bytes.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = "bytes";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "bytes" { format!("{n} bytes") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn escape_sequences_of_documents_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\tb\n\u{202e}c"), "a\\u{1b}[2J\tb\n\\u{202e}c");
    }

    #[test]
    fn warnings_are_said_in_words() {
        let full =
            json!({"code": "hidden_text", "page": 3, "characters": 212, "detail": "white\u{1b}[0m on white"});
        assert_eq!(warning(&full), "hidden text, page 3, 212 characters: white\\u{1b}[0m on white");
        let bare = json!({"code": "truncated", "page": null, "characters": null, "detail": ""});
        assert_eq!(warning(&bare), "truncated");
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(1536 * 1024), "1.5 MiB");
    }
}
