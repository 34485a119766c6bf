//! A document version's text as it is kept: four objects, read back as one [`DocumentText`].
//!
//! `text` is the canonical UTF-8. `pages` holds page marks and blocks, `boxes` the character boxes, `tokens` two
//! lists, ids and bytes per token; all three in postcard (variable-length integers).

use base::ByteSpan;
use catalog::{Blob, BlobKind, Digest, StoredText};
use corpus::{Block, BoxRun, Extracted, PageMark, TokenStream};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Library, Result};

/// Canonical text with everything that points into it; all spans are bytes of `text`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DocumentText {
    pub text: String,
    /// In order; empty where the format has no pages.
    pub pages: Vec<PageMark>,
    pub boxes: Vec<BoxRun>,
    pub blocks: Vec<Block>,
    pub token_ids: Vec<u32>,
    /// Bytes of each token: in order, touching, together the text.
    pub token_spans: Vec<ByteSpan>,
}

/// The objects of one text, durable on disk.
pub(crate) struct StoredBlobs {
    pub text: Blob,
    pub pages: Blob,
    pub boxes: Option<Blob>,
    pub tokens: Blob,
}

impl StoredBlobs {
    pub fn names(&self) -> StoredText {
        StoredText {
            text: self.text.digest,
            pages: Some(self.pages.digest),
            boxes: self.boxes.map(|boxes| boxes.digest),
            tokens: Some(self.tokens.digest),
        }
    }
}

impl Library {
    /// Reads and checks a text. Errors: [`Error::Missing`], [`Error::Damaged`], [`Error::Encoding`].
    pub fn document_text(&self, stored: &StoredText) -> Result<DocumentText> {
        let text = self.canonical_text(stored)?;
        let (pages, blocks) = self.pages_and_blocks(stored)?;
        let boxes = match stored.boxes {
            Some(digest) => self.decode(BlobKind::Boxes, digest)?,
            None => Vec::new(),
        };
        let (token_ids, token_spans) = match stored.tokens {
            Some(digest) => self.tokens(digest, text.len() as u64)?,
            None => Default::default(),
        };
        Ok(DocumentText { text, pages, boxes, blocks, token_ids, token_spans })
    }

    /// The canonical text alone. Errors: as of [`Self::document_text`].
    pub fn canonical_text(&self, stored: &StoredText) -> Result<String> {
        let bytes = self.read(BlobKind::Text, stored.text)?;
        String::from_utf8(bytes).map_err(|e| self.encoding(BlobKind::Text, stored.text, e))
    }

    /// The page marks alone. Errors: as of [`Self::document_text`].
    pub fn pages(&self, stored: &StoredText) -> Result<Vec<PageMark>> {
        Ok(self.pages_and_blocks(stored)?.0)
    }

    fn pages_and_blocks(&self, stored: &StoredText) -> Result<(Vec<PageMark>, Vec<Block>)> {
        stored.pages.map_or_else(|| Ok(Default::default()), |digest| self.decode(BlobKind::Pages, digest))
    }

    pub(crate) fn put_document_text(
        &self,
        extracted: &Extracted,
        tokens: &TokenStream,
    ) -> Result<StoredBlobs> {
        let lengths: Vec<u64> = tokens.spans.iter().map(|span| span.len()).collect();
        Ok(StoredBlobs {
            text: self.put(BlobKind::Text, extracted.text.as_bytes())?,
            pages: self.put(BlobKind::Pages, &encode(&(&extracted.pages, &extracted.blocks)))?,
            boxes: match extracted.boxes.is_empty() {
                true => None,
                false => Some(self.put(BlobKind::Boxes, &encode(&extracted.boxes))?),
            },
            tokens: self.put(BlobKind::Tokens, &encode(&(&tokens.ids, lengths)))?,
        })
    }

    fn tokens(&self, digest: Digest, text_bytes: u64) -> Result<(Vec<u32>, Vec<ByteSpan>)> {
        let (ids, lengths): (Vec<u32>, Vec<u64>) = self.decode(BlobKind::Tokens, digest)?;
        let mut end = 0_u64;
        let spans: Option<Vec<ByteSpan>> = lengths
            .iter()
            .map(|length| {
                let start = end;
                end = start.checked_add(*length)?;
                Some(ByteSpan { start, end })
            })
            .collect();
        match spans {
            Some(spans) if end == text_bytes && spans.len() == ids.len() => Ok((ids, spans)),
            _ => {
                let detail =
                    format!("{} ids, {} lengths, {text_bytes} bytes of text", ids.len(), lengths.len());
                Err(self.encoding(BlobKind::Tokens, digest, detail))
            }
        }
    }

    fn decode<T: DeserializeOwned>(&self, kind: BlobKind, digest: Digest) -> Result<T> {
        let bytes = self.read(kind, digest)?;
        postcard::from_bytes(&bytes).map_err(|e| self.encoding(kind, digest, e))
    }

    fn encoding(&self, kind: BlobKind, digest: Digest, detail: impl ToString) -> Error {
        Error::Encoding { kind, path: self.path(kind, digest), detail: detail.to_string() }
    }
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain lists and numbers always encode")
}
