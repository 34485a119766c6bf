//! Attention map: where the model looked, over the token axis of the whole corpus version, documents in their order.
//! What was not composed was not looked at at all, which is something else than having got no attention.

use crate::{answer::Citation, gather::Gathered, respond::Response};
use base::TokenSpan;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;

/// Buckets of a map.
pub const BUCKETS: usize = 256;

/// A document's stretch of the axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DocumentTokens {
    pub id: String,
    pub token_start: u64,
    pub token_end: u64,
}

/// The REST object: buckets of equal length over the token axis.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct AttentionMap {
    pub buckets: u64,
    /// f32, little-endian: shares that add up to 1, or all 0 when nothing was attended to.
    pub values_b64: String,
    /// Bit `i % 8` of byte `i / 8`: whether any token of bucket `i` was composed.
    pub composed_b64: String,
    pub documents: Vec<DocumentTokens>,
    pub tokens_total: u64,
}

/// Where an answer over `documents` (id, tokens; in order) looked: the question's attention behind the passages that are
/// cited, or behind all of them when none is.
pub fn attention_map(
    documents: impl IntoIterator<Item = (String, u64)>,
    gathered: &Gathered,
    response: &Response,
    citations: &[Citation],
) -> AttentionMap {
    let mut axis = TokenAxis::new(documents);
    let cited = |candidate: usize| {
        response.sentences.iter().any(|(_, chosen)| chosen.is_some_and(|c| c.candidate == candidate))
    };
    for (at, mass) in &response.looked {
        let candidate = &gathered.candidates[*at];
        let document = candidate.source.document.id.as_str();
        axis.compose(document, candidate.passage.tokens);
        if citations.is_empty() || cited(*at) {
            axis.attend(document, mass);
        }
    }
    axis.map()
}

/// Attention mass on documents that were all composed: id, (token, mass).
pub type Looked = Vec<(String, Vec<(u64, f64)>)>;

/// Where an answer looked that saw all documents it was asked of; `looked` names each of them.
pub fn whole_map(documents: impl IntoIterator<Item = (String, u64)>, looked: &Looked) -> AttentionMap {
    let mut axis = TokenAxis::new(documents);
    for (document, mass) in looked {
        axis.compose_all(document);
        axis.attend(document, mass);
    }
    axis.map()
}

/// The axis while masses are gathered on it.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenAxis {
    values: [f32; BUCKETS],
    composed: [bool; BUCKETS],
    documents: Vec<DocumentTokens>,
    /// Place in `documents` by id.
    places: HashMap<String, usize>,
    tokens_total: u64,
}

impl TokenAxis {
    /// An axis of documents (id, tokens), in the order given, with nothing composed.
    pub fn new(documents: impl IntoIterator<Item = (String, u64)>) -> Self {
        let mut token_end = 0;
        let (mut listed, mut places) = (Vec::new(), HashMap::new());
        for (id, tokens) in documents {
            let token_start = token_end;
            token_end += tokens;
            places.insert(id.clone(), listed.len());
            listed.push(DocumentTokens { id, token_start, token_end });
        }
        Self {
            values: [0.0; BUCKETS],
            composed: [false; BUCKETS],
            documents: listed,
            places,
            tokens_total: token_end,
        }
    }

    /// Bucket of a token of the axis.
    fn bucket(&self, token: u64) -> usize {
        let at = u128::from(token) * BUCKETS as u128 / u128::from(self.tokens_total.max(1));
        (at as usize).min(BUCKETS - 1)
    }

    fn stretch_of(&self, document: &str) -> Option<&DocumentTokens> {
        self.places.get(document).map(|&place| &self.documents[place])
    }

    /// All tokens of a document were composed.
    fn compose_all(&mut self, document: &str) {
        let Some(stretch) = self.stretch_of(document) else { return };
        self.compose(document, TokenSpan::new(0, stretch.token_end - stretch.token_start));
    }

    /// Tokens of a document were composed.
    pub fn compose(&mut self, document: &str, tokens: TokenSpan) {
        let Some(start) = self.stretch_of(document).map(|stretch| stretch.token_start) else { return };
        if tokens.is_empty() {
            return;
        }
        let (first, last) = (self.bucket(start + tokens.start), self.bucket(start + tokens.end - 1));
        self.composed[first..=last].fill(true);
    }

    /// Attention mass that fell on tokens of a document.
    pub fn attend(&mut self, document: &str, mass: &[(u64, f64)]) {
        let Some(start) = self.stretch_of(document).map(|stretch| stretch.token_start) else { return };
        for (token, mass) in mass {
            let bucket = self.bucket(start + token);
            self.values[bucket] += *mass as f32;
        }
    }

    /// The masses as shares of their sum.
    pub fn map(mut self) -> AttentionMap {
        let total: f32 = self.values.iter().sum();
        if total > 0.0 {
            self.values.iter_mut().for_each(|value| *value /= total);
        }
        let values: Vec<u8> = self.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let bit = |(i, composed): (usize, &bool)| u8::from(*composed) << i;
        let composed: Vec<u8> =
            self.composed.chunks(8).map(|bits| bits.iter().enumerate().map(bit).sum()).collect();
        AttentionMap {
            buckets: BUCKETS as u64,
            values_b64: BASE64_STANDARD.encode(values),
            composed_b64: BASE64_STANDARD.encode(composed),
            documents: self.documents,
            tokens_total: self.tokens_total,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composed_and_attended_tokens_fall_into_their_buckets() {
        let mut axis = TokenAxis::new([("doc_a".into(), 1024), ("doc_b".into(), 1024)]);
        axis.compose("doc_b", TokenSpan::new(0, 9));
        axis.attend("doc_b", &[(0, 1.0), (8, 3.0)]);
        axis.attend("doc_gone", &[(0, 9.0)]);
        let map = axis.map();
        assert_eq!((map.documents[1].token_start, map.tokens_total), (1024, 2048));
        let composed = BASE64_STANDARD.decode(&map.composed_b64).unwrap();
        assert_eq!(
            (composed.len(), composed[16], composed.iter().map(|b| b.count_ones()).sum()),
            (32, 0b11, 2)
        );
        let values = BASE64_STANDARD.decode(&map.values_b64).unwrap();
        let value = |i: usize| f32::from_le_bytes(values[4 * i..4 * i + 4].try_into().unwrap());
        assert_eq!((values.len(), value(127), value(128), value(129)), (1024, 0.0, 0.25, 0.75));
    }

    #[test]
    fn a_whole_map_has_every_document_that_was_looked_at_composed() {
        let documents = (0..4).map(|i| (format!("doc_{i}"), 512));
        let looked = vec![
            ("doc_3".into(), vec![(511, 1.0)]),
            ("doc_1".into(), vec![(0, 3.0)]),
            ("doc_9".into(), vec![(0, 5.0)]),
        ];
        let map = whole_map(documents, &looked);
        let composed = BASE64_STANDARD.decode(&map.composed_b64).unwrap();
        let quarters: Vec<bool> = composed.chunks(8).map(|quarter| quarter == [0xff; 8]).collect();
        assert_eq!(quarters, [false, true, false, true]);
        let values = BASE64_STANDARD.decode(&map.values_b64).unwrap();
        let value = |i: usize| f32::from_le_bytes(values[4 * i..4 * i + 4].try_into().unwrap());
        assert_eq!((value(64), value(255)), (0.75, 0.25));
    }

    #[test]
    fn the_last_token_of_any_axis_has_a_bucket() {
        for tokens in [1, 100, 255, 257, 10_000_000_000] {
            let mut axis = TokenAxis::new([("doc_a".into(), tokens)]);
            axis.compose("doc_a", TokenSpan::new(tokens - 1, tokens));
            assert_eq!(axis.composed.iter().filter(|composed| **composed).count(), 1, "{tokens}");
        }
        assert_eq!(TokenAxis::new([]).map().tokens_total, 0);
    }
}
