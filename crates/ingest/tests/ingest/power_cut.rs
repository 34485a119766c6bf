//! The power is cut at every operation of the seam, file operations and catalog commits alike, while a folder is
//! added, edited, removed and imported: afterwards nothing acknowledged is lost, nothing is half-visible, no file is left over,
//! and the same command gives what an undisturbed run gives.

use std::{collections::BTreeMap, io::ErrorKind, ops::ControlFlow};

use catalog::LOCAL_OWNER;
use ingest::{Error, Progress, Result, Stage};
use kv::testing::{Fault, Unsynced};

use crate::{
    powered::{House, Image, Powered},
    workplace::{go_on, prose},
};

/// Documents by file name: what the text is about.
type Files = &'static [(&'static str, &'static str)];

const FIRST: Files = &[("a.txt", "rye")];
const BEFORE: Files = &[("a.txt", "rye"), ("b.txt", "oats"), ("c.txt", "hops")];
/// One changed, one kept, one gone, one new: the segment of the one is written while that of the other is computed.
const EDITED: Files = &[("a.txt", "barley"), ("b.txt", "oats"), ("d.txt", "malt")];
/// The same bytes twice: text and original are shared.
const SHARED: Files = &[("a.txt", "rye"), ("b.txt", "rye"), ("c.txt", "hops")];

#[derive(Debug, Clone, Copy)]
enum Act {
    Add,
    RemoveDocument(&'static str),
    RemoveCorpus,
    Sweep,
    Import,
}

async fn act(house: &House, powered: &Powered, act: Act) -> Result<()> {
    let stores = &powered.ingest.stores;
    match act {
        Act::Add => powered.add(&house.inputs()).await,
        // A command that is repeated after it was done finds nothing to do.
        Act::RemoveDocument(path) => match powered.document(path).await {
            Some(document) => stores.remove_document(&document).await.map(drop),
            None => Ok(()),
        },
        Act::RemoveCorpus => match powered.corpus().await {
            Some(corpus) => stores.remove_corpus(&corpus.id).await.map(drop),
            None => Ok(()),
        },
        Act::Sweep => stores.sweep().await.map(drop),
        Act::Import => match powered.corpus().await {
            Some(corpus) if corpus.version > 0 => Ok(()),
            _ => powered.import(&house.archive()).await,
        },
    }
}

fn files(files: Files) -> BTreeMap<&'static str, String> {
    files.iter().map(|(name, topic)| (*name, prose(topic, 6))).collect()
}

/// What a reader sees of these files in a corpus version.
fn expected(version: u64, named: Files) -> Option<(u64, BTreeMap<String, String>)> {
    Some((version, files(named).into_iter().map(|(name, text)| (format!("reports/{name}"), text)).collect()))
}

/// A data folder with a corpus of these files, version 1; version 0 of none.
async fn corpus_of(house: &mut House, named: Files) -> Image {
    let image = house.empty();
    let powered = house.open(&image, Unsynced::Survives).await;
    powered.ingest.stores.catalog.create_corpus(LOCAL_OWNER, "reports").await.unwrap();
    if !named.is_empty() {
        house.write_files(&files(named));
        powered.add(&house.inputs()).await.unwrap();
    }
    let disk = powered.close().await;
    house.save(disk)
}

type Shown = Option<(u64, BTreeMap<String, String>)>;

/// Cuts after every operation of `doing`, which leads from `old` to `new`. The state before operation n + 1 is the one
/// after operation n, so that one kind of cut meets all of them.
async fn cut_everywhere(house: &mut House, image: &Image, doing: Act, old: Shown, new: Shown) {
    let mut n_cuts = 0;
    loop {
        let powered = house.open(image, Unsynced::Survives).await;
        powered.disk.arm(Fault::CutAfter(powered.disk.n_operations() + n_cuts));
        let acknowledged = act(house, &powered, doing).await.is_ok();
        let was_cut = powered.disk.is_dark();
        let disk = powered.close().await;
        if !was_cut {
            assert!(acknowledged && n_cuts > 0, "{doing:?} is undisturbed after {n_cuts} cuts");
            break;
        }
        let after = house.save(disk);
        // All that was not synced is lost, or some of it, each piece on its own.
        for unsynced in [Unsynced::Vanishes, Unsynced::Drawn(n_cuts)] {
            let what = format!("{doing:?} cut after {n_cuts}, {unsynced:?}, acknowledged {acknowledged}");
            let powered = house.open(&after, unsynced).await;
            powered.ingest.stores.sweep().await.unwrap();
            let shown = powered.shown(&what).await;
            // Before a new corpus has a version it may have its name.
            let is_old = shown == old || (old.is_none() && shown == expected(0, &[]));
            assert!(shown == new || (is_old && !acknowledged), "{what}: {shown:?}");
            powered.check_files(&what).await;
            act(house, &powered, doing).await.unwrap_or_else(|error| panic!("{what}, repeated: {error}"));
            assert!(powered.shown(&what).await == new, "{what}, repeated");
            powered.check_files(&what).await;
            powered.close().await;
        }
        house.forget(after);
        n_cuts += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_folder_is_added() {
    let mut house = House::new();
    let image = corpus_of(&mut house, &[]).await;
    house.write_files(&files(FIRST));
    cut_everywhere(&mut house, &image, Act::Add, expected(0, &[]), expected(1, FIRST)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_an_edited_folder_is_added_again() {
    let mut house = House::new();
    let image = corpus_of(&mut house, BEFORE).await;
    house.write_files(&files(EDITED));
    cut_everywhere(&mut house, &image, Act::Add, expected(1, BEFORE), expected(2, EDITED)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_document_is_removed() {
    let mut house = House::new();
    let image = corpus_of(&mut house, SHARED).await;
    let new = expected(2, &[("b.txt", "rye"), ("c.txt", "hops")]);
    let remove = Act::RemoveDocument("reports/a.txt");
    cut_everywhere(&mut house, &image, remove, expected(1, SHARED), new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_corpus_is_removed() {
    let mut house = House::new();
    let image = corpus_of(&mut house, SHARED).await;
    cut_everywhere(&mut house, &image, Act::RemoveCorpus, expected(1, SHARED), None).await;
}

/// The rows are gone and every file is still there when the process starts again, and again.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_sweep_cleans_up_behind_a_removal() {
    let mut house = House::new();
    let image = corpus_of(&mut house, SHARED).await;
    let powered = house.open(&image, Unsynced::Survives).await;
    powered.disk.arm(Fault::CutAfter(powered.disk.n_operations()));
    act(&house, &powered, Act::RemoveDocument("reports/c.txt")).await.unwrap_err();
    let disk = powered.close().await;
    let image = house.save(disk);
    let shown = expected(2, &[("a.txt", "rye"), ("b.txt", "rye")]);
    cut_everywhere(&mut house, &image, Act::Sweep, shown.clone(), shown).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_an_archive_is_imported() {
    let mut house = House::new();
    let image = corpus_of(&mut house, FIRST).await;
    let powered = house.open(&image, Unsynced::Survives).await;
    powered.export(&house.archive()).await;
    powered.close().await;
    let image = house.empty();
    cut_everywhere(&mut house, &image, Act::Import, None, expected(1, FIRST)).await;
}

/// One operation fails, as on a full disk, and the process goes on: it says so or has done all, and repeating helps.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_at_any_operation_of_an_edit_is_an_error_and_the_next_try_succeeds() {
    let mut house = House::new();
    let image = corpus_of(&mut house, BEFORE).await;
    house.write_files(&files(EDITED));
    let (old, new) = (expected(1, BEFORE), expected(2, EDITED));
    for n in 0.. {
        let powered = house.open(&image, Unsynced::Survives).await;
        let at = powered.disk.n_operations() + n;
        powered.disk.arm(Fault::Error(at, ErrorKind::StorageFull));
        let done = act(&house, &powered, Act::Add).await;
        let reached = powered.disk.n_operations() > at;
        powered.disk.arm(Fault::CutBefore(u64::MAX));
        let what = format!("operation {n} failed: {done:?}");
        let shown = powered.shown(&what).await;
        assert!(shown == new || (shown == old && done.is_err()), "{what}: {shown:?}");
        act(&house, &powered, Act::Add).await.unwrap_or_else(|error| panic!("{what}, repeated: {error}"));
        assert!(powered.shown(&what).await == new, "{what}, repeated");
        powered.ingest.stores.sweep().await.unwrap();
        powered.check_files(&what).await;
        powered.close().await;
        if !reached {
            assert!(done.is_ok() && n > 0, "{what}");
            break;
        }
    }
}

/// "Interrupted" says that what was computed is kept: where it could not be written, the disk is what is told.
#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_that_is_stopped_on_a_full_disk_tells_of_the_disk_or_has_kept_what_it_computed() {
    let mut house = House::new();
    let image = corpus_of(&mut house, &[]).await;
    house.write_files(&files(BEFORE));
    let powered = house.open(&image, Unsynced::Survives).await;
    let whole = powered.add_watched(&house.inputs(), &go_on).await.unwrap();
    powered.close().await;
    let one_computed = |now: Progress| match now.stage == Stage::Prefill && now.done > now.in_hand {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    for n in 0.. {
        let powered = house.open(&image, Unsynced::Survives).await;
        let at = powered.disk.n_operations() + n;
        powered.disk.arm(Fault::Error(at, ErrorKind::StorageFull));
        let error = powered.add_watched(&house.inputs(), &one_computed).await.unwrap_err();
        let reached = powered.disk.n_operations() > at;
        powered.disk.arm(Fault::CutBefore(u64::MAX));
        let rest = powered.add_watched(&house.inputs(), &go_on).await.unwrap();
        if matches!(error, Error::Interrupted) {
            assert!(rest.tokens_prefilled < whole.tokens_prefilled, "operation {n} failed: {rest:?}");
        }
        powered.close().await;
        if !reached {
            assert!(matches!(error, Error::Interrupted) && n > 0, "operation {n}: {error}");
            break;
        }
    }
}
