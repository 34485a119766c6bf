//! Stored files of unchanged documents that were damaged or lost, made again from the files found. KV is not looked at
//! here: a question finds and repairs it, and so does `verify`.

use catalog::{BlobKind, Digest, Document, FoundFile, NewFile, Plan};

use crate::{
    Error, Ingest, Result, Stage, discover::Discovered, progress::Meter, stores::blocking, watch::Watch,
};

impl Ingest {
    /// Reads every original and text that is stored of unchanged documents and writes again what is not sound; gives the
    /// paths of their documents. Where that cannot be done in place, as when other parsers made the text, the document
    /// goes from `unchanged` to `changed`, to be read anew.
    pub(crate) async fn restore(
        &self,
        plan: &mut Plan,
        found: &Discovered,
        watch: &mut Watch<'_>,
    ) -> Result<Vec<String>> {
        let mut meter = Meter::new(Stage::Check, 0, plan.unchanged.len() as u64);
        let mut restored = Vec::new();
        for known in std::mem::take(&mut plan.unchanged) {
            let document = self.stores.catalog.version(known.version).await?;
            let unsound = self.unsound(&document).await?;
            match unsound.is_empty() || self.write_again(&document, &unsound, found).await? {
                true => plan.unchanged.push(known),
                false => plan.changed.push(read_anew(&document, found)),
            }
            if !unsound.is_empty() {
                restored.push(document.path);
            }
            meter.add(1);
            watch.tell(meter.progress(0)).await?;
        }
        Ok(restored)
    }

    /// Which of a document's stored files are lost or damaged.
    async fn unsound(&self, document: &Document) -> Result<Vec<BlobKind>> {
        let (library, files) = (self.stores.library.clone(), stored_files(document));
        blocking(move || {
            let mut unsound = Vec::new();
            for (kind, digest) in files {
                match library.check(kind, digest) {
                    Ok(()) => {}
                    Err(error) if error.is_damage() => unsound.push(kind),
                    Err(error) => return Err(error),
                }
            }
            Ok::<_, Error>(unsound)
        })
        .await?
    }

    /// False when it could not be made the same as before.
    async fn write_again(
        &self,
        document: &Document,
        unsound: &[BlobKind],
        found: &Discovered,
    ) -> Result<bool> {
        if unsound.contains(&BlobKind::Original) {
            let source = found.files.get(&document.path).cloned().unwrap_or_default();
            let (library, expected) = (self.stores.library.clone(), original(document));
            let _changing = self.stores.library.changing.lock().await;
            self.check_there(document.version.id).await?;
            let written = blocking(move || library.put_original(&source, expected)).await??;
            if written != expected {
                // The file has changed since it was hashed.
                return Ok(false);
            }
        }
        let text = unsound.iter().any(|kind| *kind != BlobKind::Original);
        Ok(!text || self.rewrite_text(document).await?)
    }
}

fn original(document: &Document) -> NewFile {
    NewFile { sha256: document.version.file.sha256, bytes: document.version.file.bytes }
}

fn read_anew(document: &Document, found: &Discovered) -> FoundFile {
    FoundFile { path: document.path.clone(), file: original(document), place: found.place(&document.path) }
}

fn stored_files(document: &Document) -> Vec<(BlobKind, Digest)> {
    let mut files = vec![(BlobKind::Original, document.version.file.sha256)];
    if let Some(stored) = &document.version.stored {
        files.push((BlobKind::Text, stored.text));
        let others = [
            (BlobKind::Pages, stored.pages),
            (BlobKind::Boxes, stored.boxes),
            (BlobKind::Tokens, stored.tokens),
        ];
        files.extend(others.into_iter().filter_map(|(kind, digest)| Some((kind, digest?))));
    }
    files
}
