//! Ranking: an OR over the question's terms, BM25 in body, heading and title. The question is text, never a query
//! language, so no character in it has a meaning of its own.

use std::collections::BTreeSet;

use tantivy::{
    DocAddress, DocSet, Searcher, TERMINATED, Term,
    collector::TopDocs,
    query::{BooleanQuery, BoostQuery, ConstScoreQuery, Occur, Query, TermQuery, TermSetQuery},
    schema::IndexRecordOption,
};

use crate::{Index, Key, Result, terms};

/// Of a longer question the rarest terms are kept; the others could hardly change the order.
pub const MAX_QUERY_TERMS: usize = 256;
/// A word of the heading or title says what a passage is about, but every passage below it shares the word.
const HEADING_WEIGHT: f32 = 0.6;
const TITLE_WEIGHT: f32 = 0.3;

#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub key: Key,
    /// Sum of BM25 over fields; comparable within one search only.
    pub score: f32,
    /// The question's terms that the passage's body, heading or title holds, sorted.
    pub matched: Vec<String>,
}

impl Index {
    /// The `k` best passages, best first, equal scores by key. `versions`: only these document versions; `None`: all.
    /// A question without known terms finds nothing.
    pub fn search(&self, question: &str, k: usize, versions: Option<&[u64]>) -> Result<Vec<Hit>> {
        self.search_related(question, &[], k, versions)
    }

    /// The same with `related` terms beside the question's own, each with a weight on its score.
    pub fn search_related(
        &self,
        question: &str,
        related: &[(String, f32)],
        k: usize,
        versions: Option<&[u64]>,
    ) -> Result<Vec<Hit>> {
        let searcher = self.reader.searcher();
        let words = self.known_terms(&searcher, question)?;
        if words.is_empty() || k == 0 || versions.is_some_and(<[u64]>::is_empty) {
            return Ok(Vec::new());
        }
        let query = self.query(&words, related, versions);
        let top = self.best(&searcher, &query, k)?;
        let hit = |(score, key, at)| Ok(Hit { key, score, matched: self.matched(&searcher, at, &words)? });
        top.into_iter().map(hit).collect()
    }

    /// The library breaks ties by place, which differs between indices of equal content: all that tie with the last one
    /// are asked for, and the key decides.
    fn best(
        &self,
        searcher: &Searcher,
        query: &BooleanQuery,
        k: usize,
    ) -> Result<Vec<(f32, Key, DocAddress)>> {
        let all = searcher.num_docs().max(1) as usize;
        let mut limit = k.saturating_add(1).min(all);
        let top = loop {
            let collector = TopDocs::with_limit(limit).order_by_score();
            let top = searcher.search(query, &collector).map_err(|e| self.error(e))?;
            let tied = top.len() > k && top[k - 1].0 == top[top.len() - 1].0;
            if !tied || top.len() < limit || limit == all {
                break top;
            }
            limit = limit.saturating_mul(2).min(all);
        };
        let least = top.get(k - 1).map_or(f32::NEG_INFINITY, |(score, _)| *score);
        let top = top.into_iter().take_while(|(score, _)| *score >= least);
        let keyed = top.map(|(score, at)| Ok((score, self.key(searcher, at)?, at)));
        let mut top = keyed.collect::<Result<Vec<_>>>()?;
        top.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        top.truncate(k);
        Ok(top)
    }

    /// Passages in the index.
    pub fn len(&self) -> u64 {
        self.reader.searcher().num_docs()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Passages whose body holds the (analysed) term.
    pub fn doc_freq(&self, term: &str) -> Result<u64> {
        let term = Term::from_field_text(self.fields.body, term);
        self.reader.searcher().doc_freq(&term).map_err(|e| self.error(e))
    }

    /// BM25's inverse document frequency of an analysed term over passage bodies:
    /// ln(1 + (N − n + 0.5) / (n + 0.5)) (Robertson and Zaragoza 2009, with the 1 that keeps it positive).
    pub fn idf(&self, term: &str) -> Result<f32> {
        let (n, all) = (self.doc_freq(term)? as f64, self.len() as f64);
        Ok((1.0 + ((all - n).max(0.0) + 0.5) / (n + 0.5)).ln() as f32)
    }

    /// Distinct terms of the question that occur somewhere, at most [`MAX_QUERY_TERMS`], the rarest when more.
    fn known_terms(&self, searcher: &Searcher, question: &str) -> Result<Vec<String>> {
        let distinct: BTreeSet<String> = terms(question).into_iter().map(|t| t.text).collect();
        let mut known = Vec::new();
        for word in distinct {
            let mut freq = 0;
            for field in [self.fields.body, self.fields.heading, self.fields.title] {
                let term = Term::from_field_text(field, &word);
                freq = freq.max(searcher.doc_freq(&term).map_err(|e| self.error(e))?);
            }
            if freq > 0 {
                known.push((freq, word));
            }
        }
        known.sort();
        known.truncate(MAX_QUERY_TERMS);
        let mut words: Vec<String> = known.into_iter().map(|(_, word)| word).collect();
        words.sort();
        Ok(words)
    }

    fn query(&self, words: &[String], related: &[(String, f32)], versions: Option<&[u64]>) -> BooleanQuery {
        let weighted = [
            (self.fields.body, 1.0),
            (self.fields.heading, HEADING_WEIGHT),
            (self.fields.title, TITLE_WEIGHT),
        ];
        let own = words.iter().map(|word| (word, 1.0));
        let clauses =
            own.chain(related.iter().map(|(word, share)| (word, *share))).flat_map(|(word, share)| {
                weighted.map(|(field, weight)| {
                    let weight = weight * share;
                    let term =
                        TermQuery::new(Term::from_field_text(field, word), IndexRecordOption::WithFreqs);
                    (Occur::Should, Box::new(BoostQuery::new(Box::new(term), weight)) as Box<dyn Query>)
                })
            });
        let any = BooleanQuery::new(clauses.collect());
        let Some(versions) = versions else { return any };
        let scope = TermSetQuery::new(versions.iter().map(|v| Term::from_field_u64(self.fields.version, *v)));
        BooleanQuery::new(vec![
            (Occur::Must, Box::new(any)),
            (Occur::Must, Box::new(ConstScoreQuery::new(Box::new(scope), 0.0))),
        ])
    }

    fn key(&self, searcher: &Searcher, at: DocAddress) -> Result<Key> {
        let columns = searcher.segment_reader(at.segment_ord).fast_fields();
        let value = |name: &str| -> Result<u64> {
            let column = columns.u64(name).map_err(|e| self.error(e))?;
            column.first(at.doc_id).ok_or_else(|| {
                self.error(tantivy::TantivyError::InternalError(format!("passage without {name}")))
            })
        };
        Ok(Key { version: value("version")?, idx: value("idx")? })
    }

    fn matched(&self, searcher: &Searcher, at: DocAddress, words: &[String]) -> Result<Vec<String>> {
        let segment = searcher.segment_reader(at.segment_ord);
        let mut matched = Vec::new();
        for word in words {
            for field in [self.fields.body, self.fields.heading, self.fields.title] {
                let inverted = segment.inverted_index(field).map_err(|e| self.error(e))?;
                let postings = inverted
                    .read_postings(&Term::from_field_text(field, word), IndexRecordOption::Basic)
                    .map_err(|e| self.error(e.into()))?;
                let Some(mut postings) = postings else { continue };
                let here = postings.doc();
                let reached = if here < at.doc_id { postings.seek(at.doc_id) } else { here };
                if reached != TERMINATED && reached == at.doc_id {
                    matched.push(word.clone());
                    break;
                }
            }
        }
        Ok(matched)
    }
}
