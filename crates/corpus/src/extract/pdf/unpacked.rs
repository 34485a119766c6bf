//! What a PDF's packed streams come to, counted and thrown away before the backend keeps any: it bounds each stream
//! alone, in whole mebibytes, and knows neither a sum nor a ratio.
//!
//! Looked at are streams packed with Flate, once or several times. Images and attached files are passed over: nobody
//! unpacks them here, and blank scans pack very well. Where a stream hides from this count (encrypted, or an object that
//! lies about itself), the backend's own bound and the limits of the process remain.

use std::io::Read;

use flate2::{bufread, read};

use crate::extract::{ExtractError, Limits};

/// Unpacked bytes of a stream that are let through before the ratio counts: tables of numbers pack very well.
const RATIO_FREE: u64 = 1 << 20;
/// Longest dictionary looked at before a stream's data.
const DICT_BYTES: usize = 16 << 10;
/// Filters one on another; real files have one or two.
const MAX_FILTERS: usize = 8;

/// Errors: the limits `unpacked_bytes` and `unpack_ratio`.
pub fn check_unpacked(bytes: &[u8], limits: &Limits) -> Result<(), ExtractError> {
    let (mut at, mut total) = (0, 0_u64);
    while let Some(found) = find(bytes.get(at..).unwrap_or_default(), b"stream") {
        let (keyword, data) = (at + found, at + found + 6);
        at = data;
        let n_filters = n_flate_filters(bytes.get(..keyword).unwrap_or_default());
        if n_filters == 0 {
            continue;
        }
        let rest = bytes.get(data..).unwrap_or_default();
        let rest = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")).unwrap_or(rest);
        let left = limits.unpacked_bytes.saturating_sub(total);
        let (unpacked, packed) = unpack(rest, n_filters, left);
        let by_ratio = packed.saturating_mul(limits.unpack_ratio).max(RATIO_FREE);
        if unpacked > by_ratio.min(left) {
            return Err(if left <= by_ratio {
                ExtractError::limit("unpacked_bytes", limits.unpacked_bytes)
            } else {
                ExtractError::limit("unpack_ratio", limits.unpack_ratio)
            });
        }
        total += unpacked;
        at += packed as usize;
    }
    Ok(())
}

/// How often the stream whose dictionary ends here is packed with Flate; 0 also for what is never unpacked here.
fn n_flate_filters(before: &[u8]) -> usize {
    let before = before.trim_ascii_end();
    if !before.ends_with(b">>") {
        return 0;
    }
    let window = before.get(before.len().saturating_sub(DICT_BYTES)..).unwrap_or_default();
    let from = window.windows(4).rposition(|w| w == b" obj").unwrap_or(0);
    let dict = window.get(from..).unwrap_or_default();
    if says(dict, b"/Subtype", b"/Image") || says(dict, b"/Type", b"/EmbeddedFile") {
        return 0;
    }
    dict.windows(12).filter(|w| *w == b"/FlateDecode").count().min(MAX_FILTERS)
}

/// Whether a key of the dictionary has this name for its value. Longer names that begin alike are others.
fn says(mut dict: &[u8], key: &[u8], name: &[u8]) -> bool {
    while let Some(found) = find(dict, key) {
        dict = dict.get(found + key.len()..).unwrap_or_default();
        if dict.trim_ascii_start().strip_prefix(name).is_some_and(|rest| rest.first().is_none_or(ends_a_name))
        {
            return true;
        }
    }
    false
}

/// White space and delimiters as PDF has them.
fn ends_a_name(byte: &u8) -> bool {
    matches!(
        byte,
        0 | b'\t' | b'\n' | 0x0c | b'\r' | b' ' | b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}'
    ) || matches!(byte, b'/' | b'%')
}

/// Bytes out, at most one past `limit` and a buffer, and bytes in. What does not unpack counts as far as it does.
fn unpack(mut packed: &[u8], n_filters: usize, limit: u64) -> (u64, u64) {
    let before = packed.len();
    let mut unpacked = 0;
    let mut reader: Box<dyn Read + '_> = Box::new(bufread::ZlibDecoder::new(&mut packed));
    for _ in 1..n_filters {
        reader = Box::new(read::ZlibDecoder::new(reader));
    }
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = reader.read(&mut buffer) {
        unpacked += n as u64;
        if unpacked > limit {
            break;
        }
    }
    drop(reader);
    (unpacked, (before - packed.len()) as u64)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_images_and_attached_files_are_passed_over() {
        let passed_over = [
            "/Subtype/Image/Filter/FlateDecode",
            "/Filter/FlateDecode/Subtype /Image",
            "/Subtype\n/Image /Filter/FlateDecode",
            "/Subtype/XML/Subtype/Image%\n/Filter/FlateDecode",
            "/Type/EmbeddedFile/Filter/FlateDecode",
        ];
        let counted = [
            "/Filter/FlateDecode",
            "/ProcSet[/PDF/ImageC/ImageB]/Filter/FlateDecode",
            "/ImageMask true/Filter/FlateDecode",
            "/Image/Filter/FlateDecode",
            "/Subtype/ImageX/Filter/FlateDecode",
            "/SubtypeX/Image/Filter/FlateDecode",
            "/EmbeddedFiles 1 0 R/Filter/FlateDecode",
            "/Type/EmbeddedFiles/Filter/FlateDecode",
        ];
        for (dict, expected) in passed_over.map(|d| (d, 0)).into_iter().chain(counted.map(|d| (d, 1))) {
            assert_eq!(n_flate_filters(format!("1 0 obj<<{dict}>>\n").as_bytes()), expected, "{dict}");
        }
    }
}
