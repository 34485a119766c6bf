//! `/v1/files/{id}/content`: the bytes that were uploaded, only ever as an attachment; and the names of files: a name from
//! outside is a label, files on disk are named by their hash.

use super::{
    caller::Caller,
    extract::Path,
    refusal::{ProblemObject, Refusal},
    service::Service,
};
use crate::rest;
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use catalog::{BlobKind, Scope};
use std::{fmt::Write, io, sync::Arc};
use tokio::{fs::File, io::AsyncReadExt, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;

const CHUNK: usize = 256 << 10;
/// Most bytes of a document path.
const PATH_LIMIT: usize = 1_000;
/// Longest extension that a shortened path keeps, bytes.
const EXTENSION_LIMIT: usize = 16;
/// Hex digits of the hash that tells shortened paths apart.
const HASH_DIGITS: usize = 16;
/// The path of a file without a name.
const NAMELESS: &str = "document";

/// Download an original
#[utoipa::path(get, path = "/v1/files/{file_id}/content", tag = "documents", operation_id = "download_file",
    params(("file_id" = String, Path)),
    responses((status = 200, body = String, content_type = "application/octet-stream"),
        (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn content(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    caller.allow(Scope::Read)?;
    let documents = service.catalog().file_of(&caller.owner, &id).await?;
    // A restricted key sees a file through the corpora it sees.
    let document = documents
        .iter()
        .find(|document| caller.sees(&document.corpus))
        .ok_or_else(|| Refusal::not_found("file", &id))?;
    let library = &service.ingest.stores.library;
    let file = match File::open(library.path(BlobKind::Original, document.version.file.sha256)).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let detail = format!("the original of {} is missing; remove it and upload it again", document.id);
            return Err(Refusal::new(500, "damaged_data", detail));
        }
        Err(error) => return Err(error.into()),
    };
    let bytes = file.metadata().await?.len();
    // Whatever the file holds, a browser must neither show nor run it here.
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
        (header::CONTENT_DISPOSITION, attachment(&document.path)),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::ACCEPT_RANGES, "none".to_owned()),
    ];
    Ok((headers, Body::from_stream(chunks(file))).into_response())
}

/// Read no faster than the client takes it.
fn chunks(mut file: File) -> ReceiverStream<io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        loop {
            let mut chunk = vec![0; CHUNK];
            let next = match file.read(&mut chunk).await {
                Ok(0) => return,
                Ok(read) => {
                    chunk.truncate(read);
                    Ok(Bytes::from(chunk))
                }
                Err(error) => Err(error),
            };
            let failed = next.is_err();
            if sender.send(next).await.is_err() || failed {
                return;
            }
        }
    });
    ReceiverStream::new(receiver)
}

/// `Content-Disposition` with the last component of a document path, for old and new clients (RFC 6266).
fn attachment(path: &str) -> String {
    let name = rest::label(path.rsplit('/').next().unwrap_or(path));
    let plain = |c: char| (c.is_ascii_graphic() || c == ' ') && !matches!(c, '"' | '\\' | '%');
    let fallback: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let mut header = format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            header.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(header, "%{byte:02X}");
        }
    }
    header
}

/// The document path that a file name of a client stands for: folders stay, steps out of them do not.
pub fn document_path(name: &str) -> String {
    let components = name.split(['/', '\\']).map(str::trim);
    let kept = components.filter(|component| !matches!(*component, "" | "." | ".."));
    let path = kept.map(rest::label).collect::<Vec<_>>().join("/");
    if path.is_empty() { NAMELESS.to_owned() } else { shortened(path) }
}

/// A long path becomes its beginning with a hash of all of it: two that differ stay two.
fn shortened(path: String) -> String {
    if path.len() <= PATH_LIMIT {
        return path;
    }
    let name = path.rsplit('/').next().unwrap_or(&path);
    let extension = match name.rsplit_once('.') {
        Some((_, extension)) if extension.len() <= EXTENSION_LIMIT => format!(".{extension}"),
        _ => String::new(),
    };
    let hash = blake3::hash(path.as_bytes()).to_hex();
    let end = format!("-{}{extension}", hash.get(..HASH_DIGITS).unwrap_or_default());
    let start = path.get(..path.floor_char_boundary(PATH_LIMIT - end.len())).unwrap_or_default();
    // What the hash is part of is no step such as `..`, wherever the path was cut.
    format!("{start}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clients_are_labels_only() {
        for (name, path) in [
            ("a.pdf", "a.pdf"),
            ("reports/2024/a.pdf", "reports/2024/a.pdf"),
            ("../../etc/passwd", "etc/passwd"),
            ("..\\..\\C:\\x.txt", "C:/x.txt"),
            ("/abs//./b.md", "abs/b.md"),
            ("%2e%2e%2fa", "%2e%2e%2fa"),
            ("CON", "CON"),
            ("", "document"),
            (" / .. /", "document"),
            ("a\nb\u{0}.txt", "a\\nb\\u{0}.txt"),
            ("fdp.\u{202e}exe", "fdp.\\u{202e}exe"),
        ] {
            assert_eq!(document_path(name), path, "{name:?}");
        }
    }

    #[test]
    fn a_long_path_keeps_its_extension() {
        let path = document_path(&format!("{}.pdf", "é".repeat(2_000)));
        assert!(path.len() <= PATH_LIMIT && path.len() > PATH_LIMIT - 4, "{}", path.len());
        assert!(path.starts_with("éé") && path.ends_with(".pdf"));
        let bare = document_path(&"a".repeat(4_096));
        assert!(bare.len() == PATH_LIMIT && bare.starts_with("aaa"), "{bare}");
        let hostile = document_path(&format!("a.{}", "b".repeat(4_096)));
        assert_eq!(hostile.len(), PATH_LIMIT);
    }

    #[test]
    fn long_paths_that_differ_stay_different_and_hold_no_steps() {
        let long = "a".repeat(4_096);
        assert_ne!(document_path(&format!("{long}b")), document_path(&format!("{long}c")));
        assert_eq!(document_path(&format!("{long}b")), document_path(&format!("{long}b")));
        // Dots and slashes wherever the cut falls.
        for before in PATH_LIMIT - 40..=PATH_LIMIT {
            for name in ["/..a..........................", "/.a.b/c.d", "...../x", "/x."] {
                let path = document_path(&format!("{}{name}", "a".repeat(before)));
                assert!(path.len() <= PATH_LIMIT, "{path}");
                assert!(path.split('/').all(|step| !matches!(step, "" | "." | "..")), "{path}");
            }
        }
    }

    #[test]
    fn attachments_name_the_file_in_both_forms() {
        assert_eq!(attachment("x/a b.pdf"), "attachment; filename=\"a b.pdf\"; filename*=UTF-8''a%20b.pdf");
        assert_eq!(
            attachment("é\"; filename=\"x.html"),
            "attachment; filename=\"__; filename=_x.html\"; filename*=UTF-8''%C3%A9%22%3B%20filename%3D%22x.html"
        );
        let injected = attachment("a\r\nSet-Cookie: x");
        assert!(injected.is_ascii() && !injected.contains(['\r', '\n']), "{injected}");
    }
}
