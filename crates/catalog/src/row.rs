//! Reading and writing the column types the tables share: checked integers, digests, ids, JSON, words.

use std::time::{SystemTime, UNIX_EPOCH};

use base::{ByteSpan, Id, IdKind, TokenSpan};
use sqlx::{Row, sqlite::SqliteRow};

use crate::{Digest, Error, Result};

/// Unix milliseconds.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

pub fn mint(kind: IdKind) -> Id {
    Id::new(kind, now_ms(), rand::random())
}

/// SQLite integers are signed.
pub fn int(what: &'static str, value: u64) -> Result<i64> {
    i64::try_from(value).map_err(|_| Error::OutOfRange { what, value })
}

/// An enum stored as a word. `ALL` and the schema's CHECK list the same words.
pub trait Word: Copy + Sized + 'static {
    const ALL: &'static [(Self, &'static str)];

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(value, _)| *value)
    }
}

/// Declares an enum with its words: `Display`, serde and the database all use them.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// All of them, as `as_str` gives them.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl crate::row::Word for $name {
            const ALL: &'static [(Self, &'static str)] = &[$((Self::$variant, $word)),+];
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

/// Typed column reads; a value of the wrong kind is [`Error::BadRow`].
pub trait Columns {
    fn text(&self, column: &'static str) -> Result<String>;
    fn opt_text(&self, column: &'static str) -> Result<Option<String>>;
    fn count(&self, column: &'static str) -> Result<u64>;
    fn opt_count(&self, column: &'static str) -> Result<Option<u64>>;
    fn flag(&self, column: &'static str) -> Result<bool>;
    fn digest(&self, column: &'static str) -> Result<Digest>;
    fn opt_digest(&self, column: &'static str) -> Result<Option<Digest>>;
    fn json(&self, column: &'static str) -> Result<serde_json::Value>;
    fn opt_json(&self, column: &'static str) -> Result<Option<serde_json::Value>>;
    fn id(&self, kind: IdKind, column: &'static str) -> Result<Id>;
    fn word<W: Word>(&self, column: &'static str) -> Result<W>;
    /// Columns `token_start` and `token_end`.
    fn token_span(&self) -> Result<TokenSpan>;
    /// Columns `byte_start` and `byte_end`.
    fn byte_span(&self) -> Result<ByteSpan>;
}

fn bad(column: &'static str, value: impl ToString) -> Error {
    Error::BadRow { table: "catalog", column, value: value.to_string() }
}

impl Columns for SqliteRow {
    fn text(&self, column: &'static str) -> Result<String> {
        Ok(self.try_get(column)?)
    }

    fn opt_text(&self, column: &'static str) -> Result<Option<String>> {
        Ok(self.try_get(column)?)
    }

    fn count(&self, column: &'static str) -> Result<u64> {
        let value: i64 = self.try_get(column)?;
        u64::try_from(value).map_err(|_| bad(column, value))
    }

    fn opt_count(&self, column: &'static str) -> Result<Option<u64>> {
        let value: Option<i64> = self.try_get(column)?;
        value.map(|v| u64::try_from(v).map_err(|_| bad(column, v))).transpose()
    }

    fn flag(&self, column: &'static str) -> Result<bool> {
        Ok(self.try_get::<i64, _>(column)? != 0)
    }

    fn digest(&self, column: &'static str) -> Result<Digest> {
        self.opt_digest(column)?.ok_or_else(|| bad(column, "null"))
    }

    fn opt_digest(&self, column: &'static str) -> Result<Option<Digest>> {
        let bytes: Option<Vec<u8>> = self.try_get(column)?;
        bytes
            .map(|b| b.try_into().map(Digest).map_err(|b: Vec<u8>| bad(column, format!("{} bytes", b.len()))))
            .transpose()
    }

    fn json(&self, column: &'static str) -> Result<serde_json::Value> {
        let text = self.text(column)?;
        serde_json::from_str(&text).map_err(|e| bad(column, e))
    }

    fn opt_json(&self, column: &'static str) -> Result<Option<serde_json::Value>> {
        let text = self.opt_text(column)?;
        text.map(|t| serde_json::from_str(&t).map_err(|e| bad(column, e))).transpose()
    }

    fn id(&self, kind: IdKind, column: &'static str) -> Result<Id> {
        Id::parse(kind, &self.text(column)?).map_err(|e| bad(column, e))
    }

    fn word<W: Word>(&self, column: &'static str) -> Result<W> {
        let word = self.text(column)?;
        W::parse(&word).ok_or_else(|| bad(column, word))
    }

    fn token_span(&self) -> Result<TokenSpan> {
        let (start, end) = (self.count("token_start")?, self.count("token_end")?);
        if start <= end { Ok(TokenSpan { start, end }) } else { Err(bad("token_end", end)) }
    }

    fn byte_span(&self) -> Result<ByteSpan> {
        let (start, end) = (self.count("byte_start")?, self.count("byte_end")?);
        if start <= end { Ok(ByteSpan { start, end }) } else { Err(bad("byte_end", end)) }
    }
}
