//! Adding and removing passages, and the commit that stamps the result.

use tantivy::{
    IndexWriter, TantivyDocument, Term,
    schema::Field,
    tokenizer::{PreTokenizedString, Token},
};

use crate::{Error, Index, Key, Result, Stamp, index::Fields, terms};

/// Memory for terms not yet written to disk, bytes.
const BUFFER_BYTES: usize = 32 << 20;

/// A passage to index; the texts are analysed, not stored.
#[derive(Debug, Clone, Copy)]
pub struct NewPassage<'a> {
    pub key: Key,
    pub body: &'a str,
    pub heading: &'a str,
    pub title: &'a str,
}

/// The only writer of an index. Nothing is visible, or kept, before [`Writer::commit`].
pub struct Writer<'a> {
    index: &'a Index,
    inner: IndexWriter,
}

impl Index {
    /// Errors: [`Error::Index`] when another writer holds the folder.
    pub fn writer(&self) -> Result<Writer<'_>> {
        // One thread: passages land in the order they are added, so equal input gives equal ranking.
        let inner = self.inner.writer_with_num_threads(1, BUFFER_BYTES).map_err(|e| self.error(e))?;
        Ok(Writer { index: self, inner })
    }
}

impl Writer<'_> {
    pub fn add<'p>(&mut self, passages: impl IntoIterator<Item = NewPassage<'p>>) -> Result<()> {
        let Fields { version, idx, body, heading, title } = self.index.fields;
        for passage in passages {
            let mut document = TantivyDocument::new();
            document.add_u64(version, passage.key.version);
            document.add_u64(idx, passage.key.idx);
            add_terms(&mut document, body, passage.body);
            add_terms(&mut document, heading, passage.heading);
            add_terms(&mut document, title, passage.title);
            self.inner.add_document(document).map_err(|e| self.index.error(e))?;
        }
        Ok(())
    }

    /// Removes all passages of a document version that were added before.
    pub fn remove(&mut self, version: u64) {
        self.inner.delete_term(Term::from_field_u64(self.index.fields.version, version));
    }

    /// Makes the changes durable and visible under the new stamp. Where passages were removed, their terms are
    /// rewritten away: they must leave the disk, and BM25 must count what is there.
    pub fn commit(mut self, stamp: &Stamp) -> Result<()> {
        let index = self.index;
        let failed = |e| index.error(e);
        let payload = serde_json::to_string(stamp)
            .map_err(|e| Error::Io { path: index.path.clone(), source: e.into() })?;
        let mut prepared = self.inner.prepare_commit().map_err(failed)?;
        prepared.set_payload(&payload);
        prepared.commit().map_err(failed)?;
        let metas = index.inner.searchable_segment_metas().map_err(failed)?;
        let touched: Vec<_> = metas.iter().filter(|m| m.has_deletes()).map(|m| m.id()).collect();
        if !touched.is_empty() {
            self.inner.merge(&touched).wait().map_err(failed)?;
        }
        index.reader.reload().map_err(failed)?;
        self.inner.garbage_collect_files().wait().map_err(failed)?;
        self.inner.wait_merging_threads().map_err(failed)?;
        index.reader.reload().map_err(failed)
    }
}

fn add_terms(document: &mut TantivyDocument, field: Field, text: &str) {
    let tokens = terms(text)
        .into_iter()
        .enumerate()
        .map(|(position, term)| Token {
            offset_from: term.span.start as usize,
            offset_to: term.span.end as usize,
            position,
            text: term.text,
            position_length: 1,
        })
        .collect();
    document.add_pre_tokenized_text(field, PreTokenizedString { text: String::new(), tokens });
}
