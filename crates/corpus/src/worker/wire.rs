//! Request and reply between parent and child.
//!
//! Request: JSON in one environment variable; the file is standard input. Reply on standard output: the 8 bytes
//! [`MAGIC`], length as little-endian u64, then that many bytes of postcard.

use std::io::{Read, Write};

use serde::{Deserialize, Serialize};

use crate::extract::{ExtractError, Extracted, Limits};

pub const VARIABLE: &str = "IBID_PARSE_REQUEST";
const MAGIC: [u8; 8] = *b"IBIDDOC1";

#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// File name without folders; a label.
    pub name: String,
    pub limits: Limits,
}

pub type Reply = Result<Extracted, ExtractError>;

pub fn write(reply: &Reply, to: &mut impl Write) -> std::io::Result<()> {
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

/// Reads a reply of at most `limit` bytes and checks all of its spans: the child may have been taken over.
pub fn read(from: &mut impl Read, limit: u64) -> Result<Reply, NoReply> {
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
    let reply: Reply = postcard::from_bytes(&body).map_err(|error| NoReply::Invalid(error.to_string()))?;
    if let Ok(extracted) = &reply {
        extracted.check().map_err(NoReply::Invalid)?;
    }
    Ok(reply)
}
