//! Which place on disk a stored document belongs to: two folders of one name must not pass for one.

use catalog::{Corpus, Plan};

use crate::{Error, Ingest, Result, discover::Discovered};

impl Ingest {
    /// Refuses files whose document paths are taken by files of other places. A document without a recorded place, as
    /// uploads and imports leave them, takes any.
    ///
    /// Errors: [`Error::OtherPlace`].
    pub(crate) async fn check_places(&self, corpus: &Corpus, found: &Discovered) -> Result<()> {
        let stored = self.stores.catalog.places(&corpus.id).await?;
        let mut others = found.files.keys().filter_map(|document| {
            let (at, place) = (stored.get(document)?, found.place(document)?);
            (*at != place).then_some((document, at, place))
        });
        match others.next() {
            None => Ok(()),
            Some((document, stored, found)) => Err(Error::OtherPlace {
                corpus: corpus.name.clone(),
                document: document.clone(),
                stored: stored.clone(),
                found,
                others: others.count() as u64,
            }),
        }
    }

    /// Notes where unchanged documents were found this time; what is added or changed carries its place along.
    pub(crate) async fn note_places(&self, plan: &Plan, found: &Discovered) -> Result<()> {
        let news = plan.unchanged.iter().filter_map(|known| {
            let place = found.place(&known.path)?;
            (known.place.as_ref() != Some(&place)).then_some((known.version, place))
        });
        match news.collect::<Vec<_>>() {
            news if news.is_empty() => Ok(()),
            news => Ok(self.stores.catalog.set_places(&news).await?),
        }
    }
}
