//! Typed key/value metadata, as GGUF files carry it beside the tensors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// One value. Integers are widened to 64 bits, keeping their signedness.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    U64(u64),
    I64(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    Str(String),
    Array(Array),
}

/// A one-dimensional array; integers are widened to 64 bits.
#[derive(Debug, Clone, PartialEq)]
pub enum Array {
    U64(Vec<u64>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bool(Vec<bool>),
    Str(Vec<String>),
}

/// The metadata of a model. Getters give `None` where the key is absent and an error where it has another type.
#[derive(Debug, Default)]
pub struct Metadata {
    path: PathBuf,
    entries: BTreeMap<String, Value>,
}

impl Metadata {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), entries: BTreeMap::new() }
    }

    pub(crate) fn insert(&mut self, key: &str, value: Value) -> Result<()> {
        if self.entries.insert(key.to_owned(), value).is_some() {
            return Err(Error::Duplicate {
                path: self.path.clone(),
                kind: "metadata key",
                name: key.to_owned(),
            });
        }
        Ok(())
    }

    /// All entries, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The value as it is.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key)
    }

    /// An integer that is not negative.
    pub fn u64(&self, key: &str) -> Result<Option<u64>> {
        self.typed(key, "an integer, 0 or more", |value| match value {
            Value::U64(n) => Some(*n),
            Value::I64(n) => u64::try_from(*n).ok(),
            _ => None,
        })
    }

    /// A 32-bit float, or a 64-bit one rounded.
    pub fn f32(&self, key: &str) -> Result<Option<f32>> {
        self.typed(key, "a float", |value| match value {
            Value::F32(x) => Some(*x),
            Value::F64(x) => Some(*x as f32),
            _ => None,
        })
    }

    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "true or false", |value| match value {
            Value::Bool(b) => Some(*b),
            _ => None,
        })
    }

    pub fn str(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a string", |value| match value {
            Value::Str(s) => Some(s.as_str()),
            _ => None,
        })
    }

    pub fn str_array(&self, key: &str) -> Result<Option<&[String]>> {
        self.typed(key, "an array of strings", |value| match value {
            Value::Array(Array::Str(items)) => Some(items.as_slice()),
            _ => None,
        })
    }

    pub fn f32_array(&self, key: &str) -> Result<Option<&[f32]>> {
        self.typed(key, "an array of 32-bit floats", |value| match value {
            Value::Array(Array::F32(items)) => Some(items.as_slice()),
            _ => None,
        })
    }

    pub fn bool_array(&self, key: &str) -> Result<Option<&[bool]>> {
        self.typed(key, "an array of true and false", |value| match value {
            Value::Array(Array::Bool(items)) => Some(items.as_slice()),
            _ => None,
        })
    }

    /// An array of integers, none of them negative.
    pub fn u64_array(&self, key: &str) -> Result<Option<Vec<u64>>> {
        self.typed(key, "an array of integers, 0 or more", |value| match value {
            Value::Array(Array::U64(items)) => Some(items.clone()),
            Value::Array(Array::I64(items)) => items.iter().map(|n| u64::try_from(*n).ok()).collect(),
            _ => None,
        })
    }

    /// An array of integers that fit an `i64`.
    pub fn i64_array(&self, key: &str) -> Result<Option<Vec<i64>>> {
        self.typed(key, "an array of integers", |value| match value {
            Value::Array(Array::I64(items)) => Some(items.clone()),
            Value::Array(Array::U64(items)) => items.iter().map(|n| i64::try_from(*n).ok()).collect(),
            _ => None,
        })
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        expected: &'static str,
        pick: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.entries.get(key) else { return Ok(None) };
        match pick(value) {
            Some(picked) => Ok(Some(picked)),
            None => Err(Error::MetadataType {
                path: self.path.clone(),
                key: key.to_owned(),
                expected,
                got: value.describe(),
            }),
        }
    }
}

impl Value {
    fn describe(&self) -> String {
        match self {
            Self::U64(n) => format!("the integer {n}"),
            Self::I64(n) => format!("the integer {n}"),
            Self::F32(x) => format!("the float {x}"),
            Self::F64(x) => format!("the float {x}"),
            Self::Bool(b) => format!("{b}"),
            Self::Str(_) => "a string".into(),
            Self::Array(array) => format!("an array of {} {}", array.len(), array.element()),
        }
    }
}

impl Array {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::U64(items) => items.len(),
            Self::I64(items) => items.len(),
            Self::F32(items) => items.len(),
            Self::F64(items) => items.len(),
            Self::Bool(items) => items.len(),
            Self::Str(items) => items.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn element(&self) -> &'static str {
        match self {
            Self::U64(_) | Self::I64(_) => "integers",
            Self::F32(_) | Self::F64(_) => "floats",
            Self::Bool(_) => "truth values",
            Self::Str(_) => "strings",
        }
    }
}
