//! What an upload held, whatever boundary its parts were set apart with (RFC 2046, 5.1.1): two attempts at the same
//! upload choose two boundaries. Taken while the body passes, so that it is never held.

use axum::{
    body::{Body, BodyDataStream, Bytes},
    http::{HeaderMap, header::CONTENT_TYPE},
};
use catalog::Digest;
use memchr::memmem;
use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};
use tokio_stream::Stream;

/// Digest of the digests of what stands between the boundaries, up to the last one.
pub struct UploadDigest {
    boundary: Vec<u8>,
    /// Not hashed yet: it may hold the beginning of a boundary.
    held: Vec<u8>,
    between: blake3::Hasher,
    all: blake3::Hasher,
    ended: bool,
}

impl UploadDigest {
    /// `None` without a boundary: no upload either.
    pub fn new(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let boundary = multer::parse_boundary(value).ok()?.into_bytes();
        let (held, between, all) = Default::default();
        Some(Self { boundary, held, between, all, ended: false })
    }

    pub fn update(&mut self, bytes: &[u8]) {
        if self.ended {
            return;
        }
        self.held.extend_from_slice(bytes);
        let finder = memmem::Finder::new(&self.boundary);
        let mut done = 0;
        while let Some(at) = finder.find(&self.held[done..]) {
            let (start, end) = (done + at, done + at + self.boundary.len());
            // The two bytes behind it tell whether it is the last.
            let Some(behind) = self.held.get(end..end + 2) else { break };
            self.ended = behind == b"--";
            self.between.update(&self.held[done..start]);
            self.all.update(self.between.finalize().as_bytes());
            self.between.reset();
            done = end;
            if self.ended {
                break;
            }
        }
        let keep = self.boundary.len() + 1;
        let safe = done.max(self.held.len().saturating_sub(keep));
        self.between.update(&self.held[done..safe]);
        self.held.drain(..safe);
    }

    /// `None` before the last boundary has come.
    pub fn finish(&self) -> Option<Digest> {
        self.ended.then(|| Digest(*self.all.finalize().as_bytes()))
    }
}

/// A body on its way to the handler, and what has passed so far.
struct Watched {
    body: BodyDataStream,
    digest: Arc<Mutex<UploadDigest>>,
}

/// The same body, and where its digest can be asked for once it has been read.
pub fn watch(body: Body, digest: UploadDigest) -> (Body, Arc<Mutex<UploadDigest>>) {
    let digest = Arc::new(Mutex::new(digest));
    let watched = Watched { body: body.into_data_stream(), digest: digest.clone() };
    (Body::from_stream(watched), digest)
}

impl Stream for Watched {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.body).poll_next(context);
        if let Poll::Ready(Some(Ok(bytes))) = &next {
            self.digest.lock().unwrap_or_else(PoisonError::into_inner).update(bytes);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn digest(boundary: &str, body: &str, piece: usize) -> Option<Digest> {
        let mut headers = HeaderMap::new();
        let value = format!("multipart/form-data; boundary={boundary}");
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(&value).unwrap());
        let mut digest = UploadDigest::new(&headers).unwrap();
        body.as_bytes().chunks(piece).for_each(|piece| digest.update(piece));
        digest.finish()
    }

    fn body(boundary: &str, name: &str, text: &str) -> String {
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{name}\"\r\n\r\n{text}\r\n\
             --{boundary}--\r\n"
        )
    }

    #[test]
    fn neither_the_boundary_nor_the_pieces_make_a_difference() {
        let whole = digest("xxy", &body("xxy", "a.txt", "one xx two"), 1_000);
        assert!(whole.is_some());
        for piece in 1..40 {
            let other = "----another-0123456789";
            assert_eq!(digest("xxy", &body("xxy", "a.txt", "one xx two"), piece), whole);
            assert_eq!(digest(other, &body(other, "a.txt", "one xx two"), piece), whole);
        }
    }

    #[test]
    fn bytes_names_and_the_place_of_boundaries_do() {
        let one = digest("xxy", &body("xxy", "a.txt", "one"), 7);
        assert_ne!(digest("xxy", &body("xxy", "a.txt", "eno"), 7), one);
        assert_ne!(digest("xxy", &body("xxy", "b.txt", "one"), 7), one);
        assert_ne!(digest("b", "--b\r\nac--b--", 3), digest("b", "--b\r\na--bc--b--", 3));
    }

    #[test]
    fn an_upload_that_broke_off_has_none() {
        let whole = body("xxy", "a.txt", "one");
        assert_eq!(digest("xxy", &whole[..whole.len() - 4], 7), None);
        assert!(digest("xxy", &whole[..whole.len() - 2], 7).is_some());
    }
}
