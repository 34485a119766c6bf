//! Serde form of a byte span, a pair `(start, end)`: the base crate stands on no dependency.

use base::ByteSpan;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

pub fn serialize<S: Serializer>(span: &ByteSpan, to: S) -> Result<S::Ok, S::Error> {
    (span.start, span.end).serialize(to)
}

pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ByteSpan, D::Error> {
    let (start, end) = <(u64, u64)>::deserialize(from)?;
    if start > end {
        return Err(D::Error::custom(format!("span {start}..{end} runs backwards")));
    }
    Ok(ByteSpan { start, end })
}
