//! One staged document: its original → canonical text → tokens → passages → parts, kept and registered.

use std::collections::BTreeMap;

use catalog::{Document, Extraction, State, VersionId};
use corpus::{ExtractError, Extracted, TokenStream};
use serde_json::json;

use crate::{
    Error, Ingest, Result, archive::ArchivedText, document_text::StoredBlobs, parts::plan_parts,
    stores::blocking,
};

/// Longest file name that every common file system takes, bytes.
const MAX_NAME_BYTES: usize = 200;

/// What extraction made of a document: text, or the reason why there is none.
pub(crate) type Outcome = std::result::Result<Extracted, ExtractError>;

/// Texts that an archive brought, by document path: their documents are not parsed again.
pub(crate) type Texts = BTreeMap<String, ArchivedText>;

/// A text cut into tokens, passages and parts.
struct Prepared {
    tokens: TokenStream,
    passages: Vec<catalog::Passage>,
    parts: Vec<catalog::NewPart>,
}

impl Ingest {
    /// Takes the text that an archive brought, or runs the parser in its child process on the kept original.
    ///
    /// Errors: [`Error::Extract`] when no parser can be run at all; what is wrong with the file is in the outcome.
    pub(crate) async fn extract(&self, document: &Document, texts: &Texts) -> Result<Outcome> {
        if document.version.state == State::Queued {
            self.stores.catalog.set_state(document.version.id, State::Extracting).await?;
        }
        if let Some(text) = texts.get(&document.path).cloned() {
            let library = self.stores.library.clone();
            return blocking(move || library.archived_text(&text)).await?.map(Ok);
        }
        let (library, worker, limits) =
            (self.stores.library.clone(), self.worker.clone(), self.limits.clone());
        let (sha256, name) = (document.version.file.sha256, file_name(&document.path));
        let outcome = blocking(move || {
            let original = library.under_its_name(sha256, &name)?;
            Ok::<_, Error>(corpus::extract::extract(&original.path, &limits, &worker))
        })
        .await??;
        match outcome {
            Err(source @ ExtractError::Worker { .. }) => {
                Err(Error::Extract { document: document.path.clone(), source })
            }
            outcome => Ok(outcome),
        }
    }

    /// Keeps what extraction found and registers it; the document is then `prefilling`, or in a final state.
    pub(crate) async fn keep_text(&self, document: &Document, outcome: Outcome) -> Result<()> {
        let extracted = match outcome {
            Ok(extracted) if extracted.state == corpus::State::Ready => extracted,
            Ok(extracted) => return self.refuse(document, refused(&extracted)).await,
            Err(error) => return self.refuse(document, failed(document, &error)).await,
        };
        let (extracted, prepared) = self.prepare(document, extracted).await?;
        if prepared.passages.is_empty() {
            let error = json!({"code": "no_text", "message": "the file holds no text; add one with content"});
            let found = Extraction { state: State::Failed, error: Some(error), ..without_text(&extracted) };
            return self.refuse(document, found).await;
        }
        let (catalog, version) = (&self.stores.catalog, document.version.id);
        let _changing = self.stores.library.changing.lock().await;
        self.check_there(version).await?;
        let library = self.stores.library.clone();
        let (found, prepared) = blocking(move || {
            let stored = library.put_document_text(&extracted, &prepared.tokens)?;
            Ok::<_, Error>((with_text(&extracted, &prepared, &stored), prepared))
        })
        .await??;
        catalog.register_extraction(version, &found).await?;
        catalog.register_passages(version, &prepared.passages).await?;
        // Last: a version without parts is read again when an interrupted ingest goes on.
        catalog.register_parts(version, &prepared.parts).await?;
        Ok(())
    }

    /// Writes the damaged text of a document again, from its original. False when the parsers of this program make
    /// another one of it: the document has to be read anew then.
    pub(crate) async fn rewrite_text(&self, document: &Document) -> Result<bool> {
        let extracted = match self.extract(document, &Texts::default()).await? {
            Ok(extracted) if extracted.state == corpus::State::Ready => extracted,
            _ => return Ok(false),
        };
        let (extracted, prepared) = self.prepare(document, extracted).await?;
        let library = self.stores.library.clone();
        let _changing = self.stores.library.changing.lock().await;
        self.check_there(document.version.id).await?;
        let stored = blocking(move || library.put_document_text(&extracted, &prepared.tokens)).await??;
        Ok(Some(stored.names()) == document.version.stored)
    }

    /// To be called under `library.changing` before files of a document version are written: nothing would delete those
    /// of one that was removed meanwhile.
    pub(crate) async fn check_there(&self, version: VersionId) -> Result<()> {
        self.stores.catalog.version(version).await?;
        Ok(())
    }

    async fn refuse(&self, document: &Document, found: Extraction) -> Result<()> {
        Ok(self.stores.catalog.register_extraction(document.version.id, &found).await?)
    }

    /// Tokenises and cuts, on a thread of its own.
    async fn prepare(&self, document: &Document, extracted: Extracted) -> Result<(Extracted, Prepared)> {
        let (engine, path) = (self.engine.clone(), document.path.clone());
        blocking(move || {
            let in_document = |source| Error::Tokens { document: path.clone(), source: Box::new(source) };
            let tokens = engine.tokenizer().encode_document(&extracted.text).map_err(in_document)?;
            let (_, passages) = corpus::passages::passages(&extracted, &tokens, corpus::passages::MAX_TOKENS);
            let passages: Vec<_> = passages
                .into_iter()
                .map(|passage| catalog::Passage {
                    idx: passage.index,
                    bytes: passage.bytes,
                    tokens: passage.tokens,
                    pages: passage.page_start.zip(passage.page_end).map(|(a, b)| (a.into(), b.into())),
                    heading: passage.heading,
                })
                .collect();
            let parts = plan_parts(&engine, &extracted.title, &tokens.ids, &passages).map_err(in_document)?;
            let parts = parts.iter().map(|part| part.new_part()).collect();
            Ok((extracted, Prepared { tokens, passages, parts }))
        })
        .await?
    }
}

/// The last component, cut to what a file system takes; the extension is kept.
fn file_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    if name.len() <= MAX_NAME_BYTES {
        return name.to_owned();
    }
    let from = (name.len() - MAX_NAME_BYTES..name.len()).find(|at| name.is_char_boundary(*at));
    name[from.unwrap_or(name.len())..].to_owned()
}

fn with_text(extracted: &Extracted, prepared: &Prepared, stored: &StoredBlobs) -> Extraction {
    Extraction {
        state: State::Prefilling,
        text: Some(stored.text),
        pages_blob: Some(stored.pages),
        boxes: stored.boxes,
        tokens_blob: Some(stored.tokens),
        characters: extracted.text.chars().count() as u64,
        tokens: prepared.tokens.ids.len() as u64,
        ..without_text(extracted)
    }
}

fn without_text(extracted: &Extracted) -> Extraction {
    Extraction {
        title: extracted.title.clone(),
        media_type: extracted.media_type.clone(),
        state: State::Failed,
        text: None,
        pages_blob: None,
        boxes: None,
        tokens_blob: None,
        characters: 0,
        pages: extracted.pages.len() as u64,
        tokens: 0,
        warnings: serde_json::to_value(&extracted.warnings).unwrap_or_default(),
        error: None,
    }
}

fn refused(extracted: &Extracted) -> Extraction {
    let (state, message) = match extracted.state {
        corpus::State::NeedsPassword => {
            (State::NeedsPassword, "the file is encrypted; save it without a password and add it again")
        }
        _ => (
            State::NeedsOcr,
            "its pages have no text layer; run it through text recognition and add it again",
        ),
    };
    let error = json!({"code": extracted.state.as_str(), "message": message});
    Extraction { state, error: Some(error), ..without_text(extracted) }
}

fn failed(document: &Document, error: &ExtractError) -> Extraction {
    let error = json!({"code": error.code(), "message": error.to_string()});
    let title = document.version.title.clone();
    let found = Extracted { title, ..Extracted::default() };
    Extraction { error: Some(error), ..without_text(&found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_its_end() {
        assert_eq!(file_name("a/b/c.txt"), "c.txt");
        let long = format!("x/{}.pdf", "é".repeat(200));
        let name = file_name(&long);
        assert!(name.len() <= MAX_NAME_BYTES && name.ends_with("é.pdf"), "{name}");
    }
}
