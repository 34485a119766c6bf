//! Bytes of unknown encoding → Unicode, characters kept as they are (no normalisation).

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::{ExtractError, Limits, Warning, WarningCode};

/// Decodes a text file: BOM, then UTF-8, then UTF-16 by its zero bytes, then a guess, which is noted.
///
/// The BOM is no part of the text. Bytes that do not decode and NUL characters become U+FFFD, each with a warning.
pub fn decode(
    bytes: &[u8],
    declared: Option<&'static Encoding>,
    limits: &Limits,
    warnings: &mut Vec<Warning>,
) -> Result<String, ExtractError> {
    let (encoding, bom) = match Encoding::for_bom(bytes) {
        Some((encoding, length)) => (encoding, length),
        None => (choose(bytes, declared, warnings), 0),
    };
    let body = bytes.get(bom..).unwrap_or_default();
    if body.len() as u64 > limits.text_bytes.saturating_mul(2) {
        return Err(ExtractError::limit("text_bytes", limits.text_bytes));
    }
    let (text, replaced) = encoding.decode_without_bom_handling(body);
    if text.len() as u64 > limits.text_bytes {
        return Err(ExtractError::limit("text_bytes", limits.text_bytes));
    }
    if replaced {
        let bad = text.chars().filter(|&c| c == char::REPLACEMENT_CHARACTER).count() as u64;
        if bad * 4 > text.chars().count() as u64 {
            let detail = format!("{bad} characters are unreadable");
            return Err(ExtractError::BadEncoding { encoding: encoding.name().to_owned(), detail });
        }
        let detail = format!("bytes that are no {}", encoding.name());
        let warning = Warning::new(WarningCode::ReplacedBytes, detail);
        warnings.push(Warning { characters: Some(bad), ..warning });
    }
    Ok(without_nul(text.into_owned(), warnings))
}

/// Notes characters that change how text looks without being seen (bidi controls, zero-width).
pub fn note_invisible(text: &str, warnings: &mut Vec<Warning>) {
    let bidi = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let zero_width = |c| matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    let count = text.chars().filter(|&c| bidi(c) || zero_width(c)).count() as u64;
    if count > 0 {
        let detail = "bidi controls or zero-width characters; shown escaped";
        let warning = Warning::new(WarningCode::InvisibleCharacters, detail);
        warnings.push(Warning { characters: Some(count), ..warning });
    }
}

fn without_nul(text: String, warnings: &mut Vec<Warning>) -> String {
    let count = text.bytes().filter(|&byte| byte == 0).count() as u64;
    if count == 0 {
        return text;
    }
    let warning = Warning::new(WarningCode::NulCharacters, "NUL replaced by U+FFFD");
    warnings.push(Warning { characters: Some(count), ..warning });
    text.replace('\0', "\u{fffd}")
}

fn choose(
    bytes: &[u8],
    declared: Option<&'static Encoding>,
    warnings: &mut Vec<Warning>,
) -> &'static Encoding {
    if let Some(encoding) = utf16_without_bom(bytes) {
        let detail = format!("{} without a byte order mark", encoding.name());
        warnings.push(Warning::new(WarningCode::GuessedEncoding, detail));
        return encoding;
    }
    if std::str::from_utf8(bytes).is_ok() {
        return UTF_8;
    }
    if let Some(encoding) = declared.filter(|encoding| *encoding != UTF_8) {
        return encoding;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    let mut guess = detector.guess(None, Utf8Detection::Allow);
    if mostly_utf8(bytes) {
        guess = UTF_8;
    }
    warnings.push(Warning::new(WarningCode::GuessedEncoding, guess.name()));
    guess
}

/// A few damaged bytes do not make a UTF-8 file something else: at least 50 multi-byte characters per bad stretch.
fn mostly_utf8(bytes: &[u8]) -> bool {
    let (mut good, mut bad) = (0u64, 0u64);
    for chunk in bytes.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count() as u64;
        bad += u64::from(!chunk.invalid().is_empty());
    }
    good >= bad.saturating_mul(50)
}

/// UTF-16 shows as zero bytes in one half of the positions (Latin text, spaces and line ends) and hardly any in the
/// other. At least 5 % of the pairs must have one.
pub fn utf16_without_bom(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes.get(..4096).unwrap_or(bytes);
    let (pairs, _) = head.as_chunks::<2>();
    if pairs.len() < 2 {
        return None;
    }
    let high = pairs.iter().filter(|[first, second]| *first == 0 && *second != 0).count();
    let low = pairs.iter().filter(|[first, second]| *first != 0 && *second == 0).count();
    let both = pairs.iter().filter(|pair| **pair == [0, 0]).count();
    if both * 50 > pairs.len() {
        return None;
    }
    let enough = pairs.len().div_ceil(20);
    if low >= enough && high * 20 <= low {
        Some(UTF_16LE)
    } else if high >= enough && low * 20 <= high {
        Some(UTF_16BE)
    } else {
        None
    }
}
