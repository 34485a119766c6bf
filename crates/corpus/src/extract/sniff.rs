//! Which format the bytes are. The content decides; the file name only chooses among kinds of text and is checked
//! against the content.

use super::{ExtractError, Warning, WarningCode};

/// Bytes looked at before anything is read whole.
pub const HEAD: usize = 8 << 10;

/// Container of old Office files, and of new ones under a password.
pub const OLE: &str = "application/x-ole-storage";

/// A format this crate reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Pdf,
    Docx,
    Html,
    Markdown,
    Csv,
    Tsv,
    Json,
    Code,
    Plain,
}

impl Format {
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Html => "text/html",
            Self::Markdown => "text/markdown",
            Self::Csv => "text/csv",
            Self::Tsv => "text/tab-separated-values",
            Self::Json => "application/json",
            Self::Code => "text/x-source-code",
            Self::Plain => "text/plain",
        }
    }
}

/// First bytes of formats that are no text. The first rule that fits wins, so a polyglot is what its start says.
const MAGIC: &[(&[u8], &str)] = &[
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"\x7fELF", "application/x-elf"),
    (b"MZ\x90\0", "application/x-msdownload"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLE),
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"SQLite format 3\0", "application/vnd.sqlite3"),
    (b"GGUF", "application/x-gguf"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"{\\rtf", "application/rtf"),
];

/// Type of the content, with a warning when the name promises another. `head` is the first [`HEAD`] bytes,
/// `extension` lower case without the dot.
pub fn sniff(head: &[u8], extension: &str) -> Result<(Format, Option<Warning>), ExtractError> {
    let format = by_content(head, extension)?;
    let promised = by_extension(extension);
    let warning = promised.filter(|promised| !agrees(*promised, format)).map(|promised| {
        let detail =
            format!("named .{extension} ({}) but holds {}", promised.media_type(), format.media_type());
        Warning::new(WarningCode::TypeMismatch, detail)
    });
    Ok((format, warning))
}

fn by_content(head: &[u8], extension: &str) -> Result<Format, ExtractError> {
    if head.is_empty() {
        return Err(ExtractError::EmptyFile);
    }
    // Readers accept a PDF header within the first kibibyte (ISO 32000-1, annex H.3.4.1), but then a text that merely
    // mentions it would pass for one; junk before it is allowed only when it is no text.
    let start = head.get(..1024).unwrap_or(head);
    if head.starts_with(b"%PDF-") || (find(start, b"%PDF-").is_some() && !is_text(start)) {
        return Ok(Format::Pdf);
    }
    if let Some((_, found)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(unsupported(found));
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Ok(Format::Docx);
    }
    if looks_like_html(head) {
        return Ok(Format::Html);
    }
    if !is_text(head) {
        return Err(unsupported("application/octet-stream"));
    }
    Ok(match by_extension(extension) {
        Some(format) if !matches!(format, Format::Pdf | Format::Docx | Format::Html) => format,
        Some(Format::Html) => Format::Html,
        _ => Format::Plain,
    })
}

fn by_extension(extension: &str) -> Option<Format> {
    Some(match extension {
        "pdf" => Format::Pdf,
        "docx" | "docm" | "dotx" => Format::Docx,
        "html" | "htm" | "xhtml" => Format::Html,
        "md" | "markdown" | "mdown" | "mkd" => Format::Markdown,
        "csv" => Format::Csv,
        "tsv" | "tab" => Format::Tsv,
        "json" | "jsonl" | "ndjson" => Format::Json,
        "txt" | "text" | "log" => Format::Plain,
        "rs" | "py" | "js" | "ts" | "jsx" | "tsx" | "c" | "h" | "cc" | "cpp" | "hpp" | "cxx" | "java"
        | "go" | "rb" | "php" | "sh" | "bash" | "zsh" | "ps1" | "bat" | "pl" | "pm" | "lua" | "r" | "jl"
        | "kt" | "kts" | "swift" | "scala" | "cs" | "fs" | "hs" | "ml" | "mli" | "ex" | "exs" | "erl"
        | "clj" | "el" | "lisp" | "sql" | "css" | "scss" | "less" | "toml" | "yaml" | "yml" | "ini"
        | "cfg" | "conf" | "xml" | "svg" | "proto" | "cmake" | "mk" | "cu" | "cuh" | "asm" | "s" | "vue"
        | "svelte" | "tf" | "nix" | "zig" | "dart" | "m" | "vim" => Format::Code,
        _ => return None,
    })
}

/// Text of any kind satisfies a text extension; the others must match.
fn agrees(promised: Format, found: Format) -> bool {
    let text = |format| !matches!(format, Format::Pdf | Format::Docx | Format::Html);
    promised == found
        || (text(promised) && text(found))
        || (promised == Format::Code && found == Format::Html)
        || (promised == Format::Markdown && found == Format::Html)
}

fn looks_like_html(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = text.trim_ascii_start();
    let start: Vec<u8> = text.iter().take(512).map(u8::to_ascii_lowercase).collect();
    let start = match start.strip_prefix(b"<?xml".as_slice()) {
        Some(rest) => match find(rest, b"?>") {
            Some(at) => rest.get(at + 2..).unwrap_or_default().trim_ascii_start(),
            None => return false,
        },
        None => start.as_slice(),
    };
    [b"<!doctype html".as_slice(), b"<html", b"<head", b"<body"].iter().any(|tag| {
        start.strip_prefix(*tag).is_some_and(|rest| {
            rest.first().is_none_or(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/'))
        })
    })
}

/// Whether bytes can be text in some encoding: a BOM, UTF-16 by its zero bytes, or few control bytes.
fn is_text(head: &[u8]) -> bool {
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") || head.starts_with(b"\xef\xbb\xbf") {
        return true;
    }
    if super::encoding::utf16_without_bom(head).is_some() {
        return true;
    }
    let nul = head.iter().filter(|&&byte| byte == 0).count();
    let control = head.iter().filter(|&&byte| byte < 0x20 && !matches!(byte, 8..=13 | 0x1b | 0)).count();
    nul * 10 <= head.len() && control * 20 <= head.len()
}

/// Whether an OLE container holds an Office file under a password (MS-OFFCRYPTO, 2.3.4.4: a stream of this name).
pub fn is_locked_office_file(container: &[u8]) -> bool {
    let name: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    find(container, &name).is_some()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn unsupported(found: &str) -> ExtractError {
    ExtractError::UnsupportedType { found: found.to_owned() }
}
