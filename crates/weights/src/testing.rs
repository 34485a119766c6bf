//! Writers of tiny model files, and the quantisers that fill them. For tests, here and in other crates (feature
//! `testing`): no limits, no streaming, panics on misuse.

// Test code: the values come from the test itself.
#![allow(clippy::indexing_slicing, clippy::panic)]

use crate::{Array, DType, Value};

/// Builds a GGUF file (version 3) in memory.
#[derive(Debug, Clone, Default)]
pub struct GgufWriter {
    keys: Vec<(String, Value)>,
    tensors: Vec<(String, DType, Vec<u64>, Vec<u8>)>,
}

impl GgufWriter {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a metadata key. Integers are written as 64-bit, except `general.alignment`, which is u32.
    pub fn key(mut self, key: &str, value: Value) -> Self {
        self.keys.push((key.to_owned(), value));
        self
    }

    pub fn u64(self, key: &str, value: u64) -> Self {
        self.key(key, Value::U64(value))
    }

    pub fn f32(self, key: &str, value: f32) -> Self {
        self.key(key, Value::F32(value))
    }

    pub fn str(self, key: &str, value: &str) -> Self {
        self.key(key, Value::Str(value.to_owned()))
    }

    pub fn str_array(self, key: &str, values: &[&str]) -> Self {
        self.key(key, Value::Array(Array::Str(values.iter().map(|s| (*s).to_owned()).collect())))
    }

    /// Adds a tensor; `shape` has the outermost dimension first.
    pub fn tensor(mut self, name: &str, dtype: DType, shape: &[u64], bytes: &[u8]) -> Self {
        self.tensors.push((name.to_owned(), dtype, shape.to_vec(), bytes.to_vec()));
        self
    }

    /// Adds an F32 tensor.
    pub fn tensor_f32(self, name: &str, shape: &[u64], values: &[f32]) -> Self {
        self.tensor(name, DType::F32, shape, &f32_bytes(values))
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        put_u32(&mut out, 3);
        put_u64(&mut out, self.tensors.len() as u64);
        put_u64(&mut out, self.keys.len() as u64);
        let mut alignment = 32;
        for (key, value) in &self.keys {
            put_str(&mut out, key);
            match value {
                Value::U64(n) if key == "general.alignment" => {
                    alignment = *n;
                    put_u32(&mut out, 4);
                    put_u32(&mut out, *n as u32);
                }
                value => put_value(&mut out, value),
            }
        }
        let mut offset = 0;
        for (name, dtype, shape, bytes) in &self.tensors {
            put_str(&mut out, name);
            put_u32(&mut out, shape.len() as u32);
            shape.iter().rev().for_each(|dim| put_u64(&mut out, *dim));
            put_u32(&mut out, gguf_type(*dtype));
            put_u64(&mut out, offset);
            offset = (offset + bytes.len() as u64).next_multiple_of(alignment);
        }
        let pad = |out: &mut Vec<u8>| out.resize(out.len().next_multiple_of(alignment as usize), 0);
        for (_, _, _, bytes) in &self.tensors {
            pad(&mut out);
            out.extend_from_slice(bytes);
        }
        pad(&mut out);
        out
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    let (type_id, payload): (u32, Vec<u8>) = match value {
        Value::U64(n) => (10, n.to_le_bytes().to_vec()),
        Value::I64(n) => (11, n.to_le_bytes().to_vec()),
        Value::F32(x) => (6, x.to_le_bytes().to_vec()),
        Value::F64(x) => (12, x.to_le_bytes().to_vec()),
        Value::Bool(b) => (7, vec![u8::from(*b)]),
        Value::Str(s) => (8, str_bytes(s)),
        Value::Array(array) => (9, array_bytes(array)),
    };
    put_u32(out, type_id);
    out.extend(payload);
}

fn array_bytes(array: &Array) -> Vec<u8> {
    let (type_id, items): (u32, Vec<u8>) = match array {
        Array::U64(items) => (10, items.iter().flat_map(|n| n.to_le_bytes()).collect()),
        Array::I64(items) => (11, items.iter().flat_map(|n| n.to_le_bytes()).collect()),
        Array::F32(items) => (6, f32_bytes(items)),
        Array::F64(items) => (12, items.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Array::Bool(items) => (7, items.iter().map(|b| u8::from(*b)).collect()),
        Array::Str(items) => (8, items.iter().flat_map(|s| str_bytes(s)).collect()),
    };
    let mut out = type_id.to_le_bytes().to_vec();
    put_u64(&mut out, array.len() as u64);
    out.extend(items);
    out
}

fn gguf_type(dtype: DType) -> u32 {
    match dtype {
        DType::F32 => 0,
        DType::F16 => 1,
        DType::Q4_0 => 2,
        DType::Q4_1 => 3,
        DType::Q8_0 => 8,
        DType::Q4K => 12,
        DType::Q5K => 13,
        DType::Q6K => 14,
        DType::BF16 => 30,
        other => panic!("{other} is not a GGUF weight type"),
    }
}

fn put_u32(out: &mut Vec<u8>, n: u32) {
    out.extend(n.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, n: u64) {
    out.extend(n.to_le_bytes());
}

fn put_str(out: &mut Vec<u8>, s: &str) {
    out.extend(str_bytes(s));
}

fn str_bytes(s: &str) -> Vec<u8> {
    [&(s.len() as u64).to_le_bytes(), s.as_bytes()].concat()
}

/// A safetensors file from `(name, type as the format writes it, shape, bytes)`.
pub fn safetensors(tensors: &[(&str, &str, &[u64], &[u8])]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        let end = data.len() + bytes.len();
        let info = serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [data.len(), end]});
        header.insert((*name).to_owned(), info);
        data.extend_from_slice(bytes);
    }
    safetensors_with_header(&serde_json::Value::Object(header).to_string(), &data)
}

/// A safetensors file with any header.
pub fn safetensors_with_header(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// Little-endian bytes.
pub fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Q8_0 blocks: scale = max |w| / 127, codes rounded to nearest. Length: a multiple of 32.
pub fn quantise_q8_0(values: &[f32]) -> Vec<u8> {
    let (blocks, rest) = values.as_chunks::<32>();
    assert!(rest.is_empty(), "{} values are no whole blocks", values.len());
    let mut out = Vec::new();
    for block in blocks {
        let max = block.iter().fold(0f32, |max, x| max.max(x.abs()));
        let scale = half::f16::from_f32(max / 127.0);
        out.extend(scale.to_le_bytes());
        out.extend(block.map(|x| code(x, 0.0, scale.to_f32(), -127.0, 127.0) as i8 as u8));
    }
    out
}

/// Q4_1 blocks: minimum and (maximum − minimum) / 15, codes rounded to nearest. Length: a multiple of 32.
pub fn quantise_q4_1(values: &[f32]) -> Vec<u8> {
    let (blocks, rest) = values.as_chunks::<32>();
    assert!(rest.is_empty(), "{} values are no whole blocks", values.len());
    let mut out = Vec::new();
    for block in blocks {
        let (min, max) = block.iter().fold((f32::MAX, f32::MIN), |(lo, hi), x| (lo.min(*x), hi.max(*x)));
        let (scale, min) = (half::f16::from_f32((max - min) / 15.0), half::f16::from_f32(min));
        let codes = block.map(|x| code(x, min.to_f32(), scale.to_f32(), 0.0, 15.0) as u8);
        out.extend(scale.to_le_bytes());
        out.extend(min.to_le_bytes());
        out.extend((0..16).map(|j| codes[j] | (codes[j + 16] << 4)));
    }
    out
}

fn code(x: f32, min: f32, scale: f32, lo: f32, hi: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { ((x - min) / scale).round().clamp(lo, hi) }
}
