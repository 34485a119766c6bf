//! A small corpus of its own, so that the time to a first token can be measured before anything was added.

use super::{Asked, ask_both_modes};
use crate::{
    cli::BenchTtft,
    commands::{
        bench::scratch::{Scratch, assemble, new_catalog},
        progress::tell,
    },
    data_folder::DataFolder,
    event::Out,
    owner::open_engine,
    settings::Settings,
};
use anyhow::{Context, Result};
use catalog::LOCAL_OWNER;
use ingest::AddOptions;
use std::sync::Arc;

const PLACES: [&str; 12] = [
    "Askvik",
    "Brattholm",
    "Dunmore",
    "Eggum",
    "Farsund",
    "Grimstad",
    "Hellnes",
    "Inverey",
    "Kalmar",
    "Lindesnes",
    "Skagby",
    "Torsholm",
];
const KEEPERS: [&str; 5] = ["Anna Berg", "John Mackay", "Ole Strand", "Maria Lund", "Peter Holm"];
const QUESTION: &str = "When was the lighthouse of Skagby built?";

/// Reads the corpus into a temporary folder and asks it.
pub async fn ask_own_corpus(
    data: &DataFolder,
    settings: &Settings,
    args: &BenchTtft,
    out: &Out,
) -> Result<()> {
    let scratch = Scratch::new(data)?;
    let files = scratch.make("lighthouses")?;
    for (number, place) in PLACES.iter().enumerate() {
        let path = files.join(format!("{place}.md"));
        std::fs::write(&path, lighthouse(number, place))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let stores = scratch.make("data")?;
    let catalog = new_catalog(&stores).await?;
    let corpus = catalog.create_corpus(LOCAL_OWNER, "lighthouses").await?;
    {
        let engine = open_engine(data, settings, out).await?;
        let ingest = assemble(&catalog, engine, &stores, Arc::new(kv::Disk), settings)?;
        let progress = |progress| tell(progress, out);
        ingest.add(&corpus, &[files], AddOptions::default(), &progress).await?;
    }
    // As it is after the ingest: bound to the model.
    let corpus = catalog.corpus(LOCAL_OWNER, corpus.id.as_str()).await?;
    let asked = Asked { data, catalog: &catalog, stores: &stores, corpus: &corpus, question: QUESTION };
    let outcome = ask_both_modes(&asked, settings, args.repeat, out).await;
    catalog.close().await;
    outcome
}

fn lighthouse(number: usize, place: &str) -> String {
    let keeper = KEEPERS[number % KEEPERS.len()];
    let built = 1803 + 9 * number;
    format!(
        "# The lighthouse of {place}\n\nThe lighthouse of {place} was built in {built}. Its tower is {height} metres \
         high, and on a clear night its lamp is seen from {miles} miles away.\n\nThe first keeper of {place} was \
         {keeper}, who wrote down the weather every morning for {years} years. The books are kept in the town hall.\n\n\
         In {later} the oil lamp of {place} made way for an electric one. The old lens stands in the entrance.\n",
        height = 21 + 2 * number,
        miles = 14 + number,
        years = 11 + 3 * number,
        later = built + 97,
    )
}
