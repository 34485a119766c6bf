//! The fixed start of a GGUF file: magic, version, number of tensors, number of metadata keys.

use super::limits;
use crate::Result;
use crate::reader::Reader;

pub(super) const MAGIC: &[u8; 4] = b"GGUF";

pub(super) struct Header {
    pub n_tensors: u64,
    pub n_keys: u64,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<Header> {
    let magic = reader.take(4, "magic")?;
    if magic != MAGIC {
        return Err(reader.invalid(0, "magic", "GGUF", format!("{magic:02x?}")));
    }
    match reader.u32("version")? {
        2 | 3 => {}
        version if matches!(version.swap_bytes(), 1..=3) => {
            return Err(reader.invalid(4, "byte order", "little-endian", "big-endian"));
        }
        version => return Err(reader.invalid(4, "version", "2 or 3", version)),
    }
    Ok(Header {
        n_tensors: reader.count("number of tensors", limits::TENSORS)?,
        n_keys: reader.count("number of metadata keys", limits::KEYS)?,
    })
}
