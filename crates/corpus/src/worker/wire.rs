//! Request and reply between parent and child.
//!
//! Request: JSON in one environment variable; the file is standard input. Reply on standard output: the 8 bytes
//! [`MAGIC`], length as little-endian u64, then that many bytes of postcard. Which [`Answer`] a reply holds follows
//! from the [`Work`] that was asked for.

use std::io::{Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::extract::{ExtractError, Extracted, Limits};
use crate::page_image::PageImage;

pub const VARIABLE: &str = "IBID_PARSE_REQUEST";
const MAGIC: [u8; 8] = *b"IBIDDOC2";

#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    pub work: Work,
    /// File name without folders; a label.
    pub name: String,
    pub limits: Limits,
}

/// What the child is to make of the file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Work {
    /// An [`Extracted`].
    Text,
    /// A [`PageImage`] of page `index` (from 1), `scale` pixels per point.
    Page { index: u32, scale: u32 },
}

/// What a child answers, and how the parent holds it against its own promises: the child may have been taken over.
pub trait Answer: Serialize + DeserializeOwned + Send + 'static {
    fn check(&self) -> Result<(), String>;
}

impl Answer for Extracted {
    fn check(&self) -> Result<(), String> {
        self.check()
    }
}

impl Answer for PageImage {
    fn check(&self) -> Result<(), String> {
        self.check()
    }
}

pub type Reply<T> = Result<T, ExtractError>;

pub fn write<T: Answer>(reply: &Reply<T>, to: &mut impl Write) -> std::io::Result<()> {
    let body = postcard::to_stdvec(reply).map_err(std::io::Error::other)?;
    to.write_all(&MAGIC)?;
    to.write_all(&(body.len() as u64).to_le_bytes())?;
    to.write_all(&body)?;
    to.flush()
}

/// Why no reply could be read.
#[derive(Debug)]
pub enum NoReply {
    /// The child ended or wrote something else.
    Missing,
    TooLong,
    /// A reply that breaks its own promises: the child is not to be believed.
    Invalid(String),
}

/// Reads a reply of at most `limit` bytes and checks it.
pub fn read<T: Answer>(from: &mut impl Read, limit: u64) -> Result<Reply<T>, NoReply> {
    let mut head = [0u8; 16];
    from.read_exact(&mut head).map_err(|_| NoReply::Missing)?;
    let (magic, length) = head.split_at(8);
    if magic != MAGIC {
        return Err(NoReply::Invalid("other bytes than a reply on standard output".into()));
    }
    let length = u64::from_le_bytes(length.try_into().map_err(|_| NoReply::Missing)?);
    if length > limit {
        return Err(NoReply::TooLong);
    }
    let mut body = Vec::new();
    from.take(length).read_to_end(&mut body).map_err(|_| NoReply::Missing)?;
    if body.len() as u64 != length {
        return Err(NoReply::Missing);
    }
    let reply: Reply<T> = postcard::from_bytes(&body).map_err(|error| NoReply::Invalid(error.to_string()))?;
    if let Ok(answer) = &reply {
        answer.check().map_err(NoReply::Invalid)?;
    }
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the parent makes of an image that a child sent.
    fn sent(image: &PageImage) -> Result<Reply<PageImage>, NoReply> {
        let mut bytes = Vec::new();
        write(&Ok(image.clone()), &mut bytes).unwrap();
        read(&mut bytes.as_slice(), 1 << 10)
    }

    #[test]
    fn an_image_that_is_not_what_it_says_is_not_believed() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x02\0\0\0\x03\x08\0\0\0\0".to_vec();
        let image = PageImage { png, width_px: 2, height_px: 3, width_points: 2.0, height_points: 3.0 };
        assert_eq!(sent(&image).unwrap(), Ok(image.clone()));
        for lie in [
            PageImage { width_px: 3, ..image.clone() },
            PageImage { height_points: f32::NAN, ..image.clone() },
            PageImage { png: b"<html>".to_vec(), ..image.clone() },
            PageImage { png: Vec::new(), ..image },
        ] {
            assert!(matches!(sent(&lie), Err(NoReply::Invalid(_))), "{lie:?}");
        }
    }

    #[test]
    fn an_answer_of_the_other_kind_is_not_believed() {
        let mut bytes = Vec::new();
        write(&Ok(Extracted { text: "text".into(), ..Extracted::default() }), &mut bytes).unwrap();
        assert!(matches!(read::<PageImage>(&mut bytes.as_slice(), 1 << 10), Err(NoReply::Invalid(_))));
    }
}
