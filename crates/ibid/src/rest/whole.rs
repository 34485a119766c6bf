//! Whole numbers as clients write them: JSON has one kind of number, and some write 7 as 7.0.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Number;

/// 2^64, the first number that is too large.
const TOO_LARGE: f64 = 18_446_744_073_709_551_616.0;

pub fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    read(&Number::deserialize(from)?)
}

/// For a field that may be left out or null; it also needs `#[serde(default)]`.
pub fn whole_if_given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Option::<Number>::deserialize(from)?.as_ref().map(read).transpose()
}

fn read<E: Error>(number: &Number) -> Result<u64, E> {
    let written_with_fraction =
        || number.as_f64().filter(|n| n.fract() == 0.0 && (0.0..TOO_LARGE).contains(n)).map(|n| n as u64);
    number
        .as_u64()
        .or_else(written_with_fraction)
        .ok_or_else(|| E::custom(format_args!("{number} is no whole number from 0 to {}", u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Fields {
        #[serde(deserialize_with = "whole")]
        tokens: u64,
        #[serde(default, deserialize_with = "whole_if_given")]
        seed: Option<u64>,
    }

    #[test]
    fn a_fraction_of_zero_is_none() {
        let read = |text: &str| serde_json::from_str::<Fields>(text).ok().map(|f| (f.tokens, f.seed));
        assert_eq!(read(r#"{"tokens": 7.0}"#), Some((7, None)));
        assert_eq!(read(r#"{"tokens": 7, "seed": null}"#), Some((7, None)));
        assert_eq!(read(r#"{"tokens": 1e3, "seed": 18446744073709551615}"#), Some((1_000, Some(u64::MAX))));
        for no in ["-1", "0.5", "18446744073709551616", "1e20", "\"7\"", "null"] {
            assert_eq!(read(&format!(r#"{{"tokens": {no}}}"#)), None, "{no}");
        }
    }
}
