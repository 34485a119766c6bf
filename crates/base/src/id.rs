//! Object ids: a prefix that names the kind, then a 26-character ULID (`doc_01K…`).

use std::fmt;

/// What an id points at; decides the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdKind {
    File,
    Document,
    Corpus,
    Answer,
    Job,
    Conversation,
    Key,
}

impl IdKind {
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::File => "file_",
            Self::Document => "doc_",
            Self::Corpus => "corp_",
            Self::Answer => "ans_",
            Self::Job => "job_",
            Self::Conversation => "conv_",
            Self::Key => "key_",
        }
    }
}

/// A checked id. The text form is the only form; it sorts by creation time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(String);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdError {
    pub text: String,
    pub expected: &'static str,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an id of the form {}ULID", self.text, self.expected)
    }
}

impl std::error::Error for IdError {}

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl Id {
    /// Mints an id from 48 bits of Unix milliseconds and 80 random bits (ULID spec).
    pub fn new(kind: IdKind, unix_ms: u64, random: u128) -> Self {
        let value = (u128::from(unix_ms & 0xffff_ffff_ffff) << 80) | (random & ((1 << 80) - 1));
        let mut text = String::with_capacity(kind.prefix().len() + 26);
        text.push_str(kind.prefix());
        for i in (0..26).rev() {
            text.push(char::from(CROCKFORD[(value >> (5 * i)) as usize & 31]));
        }
        Self(text)
    }

    /// Accepts exactly `prefix` + 26 Crockford characters.
    pub fn parse(kind: IdKind, text: &str) -> Result<Self, IdError> {
        let fits = text
            .strip_prefix(kind.prefix())
            .is_some_and(|ulid| ulid.len() == 26 && ulid.bytes().all(|b| CROCKFORD.contains(&b)));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError { text: text.to_owned(), expected: kind.prefix() })
        }
    }

    /// When it was minted: the first ten digits behind the prefix (ULID spec).
    pub fn unix_ms(&self) -> u64 {
        let ulid = &self.0.as_bytes()[self.0.len() - 26..];
        let digit = |byte: &u8| CROCKFORD.iter().position(|known| known == byte).unwrap_or(0) as u64;
        ulid[..10].iter().fold(0, |time, byte| time << 5 | digit(byte)) & 0xffff_ffff_ffff
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minted_ids_parse_and_sort_by_time() {
        let early = Id::new(IdKind::Document, 1_000, u128::MAX);
        let late = Id::new(IdKind::Document, 1_001, 0);
        assert!(early < late);
        assert_eq!(Id::parse(IdKind::Document, early.as_str()).unwrap(), early);
        assert_eq!((early.unix_ms(), late.unix_ms()), (1_000, 1_001));
        assert_eq!(Id::new(IdKind::Answer, 0xffff_ffff_ffff, 5).unix_ms(), 0xffff_ffff_ffff);
    }

    #[test]
    fn wrong_prefix_length_or_alphabet_is_refused() {
        let id = Id::new(IdKind::Corpus, 5, 7);
        for text in [id.as_str(), "doc_", "doc_0000000000000000000000000U", "doc_00000000000000000000000000x"]
        {
            assert!(Id::parse(IdKind::Document, text).is_err(), "{text}");
        }
    }
}
