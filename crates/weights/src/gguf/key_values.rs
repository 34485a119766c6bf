//! GGUF metadata: keys with typed values, among them the tokenizer's vocabulary.

use super::limits;
use crate::reader::Reader;
use crate::{Array, Metadata, Result, Value};

/// Ids of value types, as the file writes them.
const U8: u32 = 0;
const I8: u32 = 1;
const U16: u32 = 2;
const I16: u32 = 3;
const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;
const U64: u32 = 10;
const I64: u32 = 11;
const F64: u32 = 12;

pub(super) fn read(reader: &mut Reader<'_>, n_keys: u64) -> Result<Metadata> {
    let mut metadata = Metadata::new(reader.path());
    for _ in 0..n_keys {
        let key = string(reader, "metadata key", limits::NAME_BYTES)?;
        let value = value(reader)?;
        metadata.insert(key, value)?;
    }
    Ok(metadata)
}

/// A string with its length in front.
pub(super) fn string<'a>(reader: &mut Reader<'a>, what: &'static str, limit: u64) -> Result<&'a str> {
    let len = reader.count(what, limit)?;
    let offset = reader.offset();
    let bytes = reader.take(len, what)?;
    std::str::from_utf8(bytes)
        .map_err(|error| reader.invalid(offset, what, "UTF-8", format!("bytes that are not ({error})")))
}

fn value(reader: &mut Reader<'_>) -> Result<Value> {
    let offset = reader.offset();
    let value_type = reader.u32("type of a metadata value")?;
    Ok(match value_type {
        ARRAY => Value::Array(array(reader)?),
        STRING => Value::Str(text(reader)?),
        BOOL => Value::Bool(bool(reader)?),
        F32 => Value::F32(reader.f32("metadata value")?),
        F64 => Value::F64(reader.f64("metadata value")?),
        U8 | U16 | U32 | U64 => Value::U64(unsigned(reader, value_type)?),
        I8 | I16 | I32 | I64 => Value::I64(signed(reader, value_type)?),
        other => return Err(reader.invalid(offset, "type of a metadata value", "0 to 12", other)),
    })
}

fn array(reader: &mut Reader<'_>) -> Result<Array> {
    let offset = reader.offset();
    let element = reader.u32("type of an array's elements")?;
    let len = reader.count("length of an array", limits::ARRAY_LEN)?;
    Ok(match element {
        STRING => Array::Str(items(reader, len, text)?),
        BOOL => Array::Bool(items(reader, len, bool)?),
        F32 => Array::F32(items(reader, len, |r| r.f32("array element"))?),
        F64 => Array::F64(items(reader, len, |r| r.f64("array element"))?),
        U8 | U16 | U32 | U64 => Array::U64(items(reader, len, |r| unsigned(r, element))?),
        I8 | I16 | I32 | I64 => Array::I64(items(reader, len, |r| signed(r, element))?),
        ARRAY => return Err(reader.invalid(offset, "type of an array's elements", "no array", "an array")),
        other => return Err(reader.invalid(offset, "type of an array's elements", "0 to 12", other)),
    })
}

/// Reads element by element, so that a false length runs into the end of the file and not out of memory.
fn items<'a, T>(
    reader: &mut Reader<'a>,
    len: u64,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut items = Vec::new();
    for _ in 0..len {
        items.push(read(reader)?);
    }
    Ok(items)
}

fn text(reader: &mut Reader<'_>) -> Result<String> {
    string(reader, "string", limits::STRING_BYTES).map(str::to_owned)
}

fn bool(reader: &mut Reader<'_>) -> Result<bool> {
    let offset = reader.offset();
    match reader.u8("truth value")? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(reader.invalid(offset, "truth value", "0 or 1", other)),
    }
}

fn unsigned(reader: &mut Reader<'_>, value_type: u32) -> Result<u64> {
    match value_type {
        U8 => reader.u8("integer").map(u64::from),
        U16 => reader.u16("integer").map(u64::from),
        U32 => reader.u32("integer").map(u64::from),
        _ => reader.u64("integer"),
    }
}

fn signed(reader: &mut Reader<'_>, value_type: u32) -> Result<i64> {
    match value_type {
        I8 => reader.u8("integer").map(|n| i64::from(n as i8)),
        I16 => reader.u16("integer").map(|n| i64::from(n as i16)),
        I32 => reader.u32("integer").map(|n| i64::from(n as i32)),
        _ => reader.u64("integer").map(|n| n as i64),
    }
}
