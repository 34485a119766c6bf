//! Documents whose rows the open engine would compute otherwise, although its weights are the corpus's: another
//! tokenizer or chat template in the model's folder, or other numerics. They are read again by the way of every change.

use catalog::{Corpus, Document, FoundFile, Known, NewFile, Plan, State};
use kv::SegmentId;

use crate::{Ingest, Result, stores::blocking};

impl Ingest {
    /// Moves outdated documents into `changed`, whether or not their files were named; gives their paths. What is
    /// changed or removed anyway stays where it is.
    pub(crate) async fn plan_outdated(&self, corpus: &Corpus, plan: &mut Plan) -> Result<Vec<String>> {
        let mut outdated = Vec::new();
        for document in self.outdated(corpus).await? {
            let going = plan.removed.iter().any(|known| known.document == document.id)
                || plan.changed.iter().any(|found| found.path == document.path);
            if going {
                continue;
            }
            let others = |known: &Known| known.document != document.id;
            plan.unchanged.retain(others);
            plan.missing.retain(others);
            let file = document.version.file;
            let file = NewFile { sha256: file.sha256, bytes: file.bytes };
            let place = document.version.place;
            plan.changed.push(FoundFile { path: document.path.clone(), file, place });
            outdated.push(document.path);
        }
        Ok(outdated)
    }

    /// One part tells of all of a document: they were computed together.
    async fn outdated(&self, corpus: &Corpus) -> Result<Vec<Document>> {
        let mut outdated = Vec::new();
        for document in self.stores.catalog.documents(&corpus.id, corpus.version).await? {
            if document.version.state != State::Ready {
                continue;
            }
            let Some(first) = self.stores.catalog.parts(document.version.id).await?.into_iter().next() else {
                continue;
            };
            let (kv, engine, id) = (self.stores.kv.clone(), self.engine.clone(), SegmentId(first.segment.0));
            let found = blocking(move || {
                let segment = kv.open_segment(&id).ok().flatten()?;
                Some(engine.computes(&segment, first.tokens.len()))
            })
            .await?;
            let current = match found {
                Some(current) => current,
                // Damaged or gone: the identity it would get now tells the same.
                None => {
                    let planned = self.plan_again(&document).await?;
                    planned.first().is_some_and(|part| part.new_part().segment == first.segment)
                }
            };
            if !current {
                outdated.push(document);
            }
        }
        Ok(outdated)
    }

    /// Whether the stored tokens of a document are sound and the open tokenizer's: they spell its text.
    pub(crate) async fn spells(&self, document: &Document) -> Result<bool> {
        let Some(stored) = document.version.stored else { return Ok(true) };
        let (library, engine) = (self.stores.library.clone(), self.engine.clone());
        blocking(move || {
            let text = match library.document_text(&stored) {
                Err(error) if error.is_damage() => return Ok(false),
                text => text?,
            };
            Ok(engine.tokenizer().decode(&text.token_ids).is_ok_and(|spelt| spelt == text.text))
        })
        .await?
    }
}
