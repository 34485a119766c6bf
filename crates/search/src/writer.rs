//! Adding and removing passages, and the commit that stamps the result.

use tantivy::{
    IndexWriter, TantivyDocument, Term,
    merge_policy::NoMergePolicy,
    schema::Field,
    tokenizer::{PreTokenizedString, Token},
};

use crate::{
    Error, Index, Key, Result, Stamp,
    index::Fields,
    segments::{MAX_PASSAGES, rewrites},
    terms,
};

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

/// The only writer of an index. Nothing is visible before [`Writer::commit`]; an index whose writer ended without it has
/// no stamp and has to be built again.
pub struct Writer<'a> {
    index: &'a Index,
    inner: IndexWriter,
    /// Passages of the segment that is being filled.
    filled: u32,
}

impl Index {
    /// Errors: [`Error::Index`] when another writer holds the folder.
    pub fn writer(&self) -> Result<Writer<'_>> {
        // One thread: passages land in the order they are added, so equal input gives equal ranking.
        let inner = self.inner.writer_with_num_threads(1, BUFFER_BYTES).map_err(|e| self.error(e))?;
        inner.set_merge_policy(Box::new(NoMergePolicy));
        Ok(Writer { index: self, inner, filled: 0 })
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
            self.filled += 1;
            if self.filled == MAX_PASSAGES {
                self.save(None)?;
            }
        }
        Ok(())
    }

    /// Removes all passages of a document version that were added before.
    pub fn remove(&mut self, version: u64) {
        self.inner.delete_term(Term::from_field_u64(self.index.fields.version, version));
    }

    /// Makes the changes durable and visible under the new stamp. Where passages were removed, their terms are
    /// rewritten away before: they must leave the disk, and BM25 must count what is there.
    ///
    /// Errors: [`Error::Index`], [`Error::Left`]. The index has no stamp then.
    pub fn commit(mut self, stamp: &Stamp) -> Result<()> {
        let index = self.index;
        let failed = |e| index.error(e);
        self.save(None)?;
        // The library keeps the files of every segment that somebody holds a description of.
        let groups = rewrites(&index.inner.searchable_segment_metas().map_err(failed)?);
        for group in groups {
            self.inner.merge(&group).wait().map_err(failed)?;
        }
        index.reader.reload().map_err(failed)?;
        let collected = self.inner.garbage_collect_files().wait().map_err(failed)?;
        if let Some(file) = collected.failed_to_delete_files.first() {
            return Err(Error::Left { path: index.path.join(file) });
        }
        self.save(Some(stamp))?;
        index.reader.reload().map_err(failed)?;
        self.inner.wait_merging_threads().map_err(failed)
    }

    /// One durable step: what was added since the last becomes a segment. Without a stamp it opens to nobody.
    fn save(&mut self, stamp: Option<&Stamp>) -> Result<()> {
        let index = self.index;
        let failed = |e| index.error(e);
        let payload = stamp.map(serde_json::to_string).transpose();
        let payload = payload.map_err(|e| Error::Io { path: index.path.clone(), source: e.into() })?;
        let mut prepared = self.inner.prepare_commit().map_err(failed)?;
        if let Some(payload) = payload {
            prepared.set_payload(&payload);
        }
        prepared.commit().map_err(failed)?;
        self.filled = 0;
        Ok(())
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
