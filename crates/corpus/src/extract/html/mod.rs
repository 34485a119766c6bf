//! HTML → text: what a reader sees. Scripts, styles, hidden elements, comments and attributes give nothing, nothing is
//! fetched, and nesting is bounded while the tree is built, so that neither parser nor walk can run away.

mod tree;
mod walk;

use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::{ParseOpts, parse_document};

use super::{ExtractError, Extracted, Limits, Warning, encoding};
use tree::Tree;

/// Bytes fed to the parser between two looks at the limits.
const FEED: usize = 16 << 10;

pub fn extract_html(bytes: &[u8], limits: &Limits) -> Result<Extracted, ExtractError> {
    let mut warnings = Vec::new();
    let source = encoding::decode(bytes, declared(bytes), limits, &mut warnings)?;
    let mut parser = parse_document(Tree::new(), ParseOpts::default());
    let mut rest = source.as_str();
    while !rest.is_empty() {
        let mut cut = rest.len().min(FEED);
        while !rest.is_char_boundary(cut) {
            cut -= 1;
        }
        let (piece, after) = rest.split_at(cut);
        parser.process(StrTendril::from_slice(piece));
        rest = after;
        let tree = &parser.tokenizer.sink.sink;
        if tree.depth() > limits.html_depth {
            return Err(ExtractError::limit("html_depth", limits.html_depth));
        }
        if tree.len() > limits.html_nodes {
            return Err(ExtractError::limit("html_nodes", limits.html_nodes));
        }
    }
    let tree = parser.finish();
    let walked = walk::walk(&tree, limits)?;
    if walked.active {
        let detail = "scripts, frames or forms were ignored";
        warnings.push(Warning::new(super::WarningCode::ActiveContent, detail));
    }
    Ok(Extracted {
        text: walked.text,
        blocks: walked.blocks,
        title: walked.title,
        hidden: walked.hidden,
        warnings,
        ..Extracted::default()
    })
}

/// The encoding that a `<meta charset>` in the first kibibyte names.
fn declared(bytes: &[u8]) -> Option<&'static encoding_rs::Encoding> {
    let head = bytes.get(..1024).unwrap_or(bytes).to_ascii_lowercase();
    let at = head.windows(8).position(|window| window == b"charset=")?;
    let label = head.get(at + 8..)?;
    let label = label.strip_prefix(b"\"").or_else(|| label.strip_prefix(b"'")).unwrap_or(label);
    let end = label.iter().position(|byte| matches!(byte, b'"' | b'\'' | b'>' | b';' | b' ' | b'/'))?;
    let named = encoding_rs::Encoding::for_label(label.get(..end)?)?;
    // What could be read to find this name is no UTF-16 (HTML standard, 13.2.3.3).
    let wide = [encoding_rs::UTF_16LE, encoding_rs::UTF_16BE].contains(&named);
    Some(if wide { encoding_rs::UTF_8 } else { named })
}
