//! Documents know where on disk they came from: folders of one name do not pass for one.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use catalog::LOCAL_OWNER;
use ingest::{AddOptions, AddReport, Error, Progress, Result, Upload};

use crate::workplace::{Workplace, go_on, prose};

async fn add(place: &Workplace, folder: &Path, options: AddOptions) -> Result<AddReport> {
    place.ingest.add(&place.corpus, &[folder.to_owned()], options, &go_on).await
}

/// Another folder of the same name, with `a.txt` in common.
fn other_folder(place: &Workplace) -> PathBuf {
    let folder = place.temp.path().join("elsewhere/reports");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("a.txt"), prose("barley", 5)).unwrap();
    fs::write(folder.join("c.txt"), prose("hops", 5)).unwrap();
    folder
}

/// `reports/` with two documents, added.
async fn filled() -> Workplace {
    let place = Workplace::new().await;
    place.write("a.txt", &prose("rye", 5));
    place.write("b.txt", &prose("oats", 5));
    place.add().await;
    place
}

async fn text(place: &Workplace, path: &str) -> String {
    let stored = place.document(path).await.version.stored.unwrap();
    place.ingest.stores.library.canonical_text(&stored).unwrap()
}

#[track_caller]
fn refused(outcome: Result<AddReport>, at: &Path, not: &Path) {
    match outcome {
        Err(Error::OtherPlace { document, stored, found, others, .. }) => {
            assert_eq!((document.as_str(), others), ("reports/a.txt", 0));
            let a = |folder: &Path| folder.canonicalize().unwrap().join("a.txt");
            assert_eq!((a(at), a(not)), (stored.into(), found.into()));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_the_same_name_is_refused_renamed_or_takes_the_place() {
    let place = filled().await;
    let (first, second) = (place.folder(), other_folder(&place));
    for prune in [false, true] {
        let options = AddOptions { prune, ..AddOptions::default() };
        refused(add(&place, &second, options).await, &first, &second);
    }
    assert_eq!(text(&place, "reports/a.txt").await, prose("rye", 5));

    let named = AddOptions { name: Some("hops".into()), ..AddOptions::default() };
    let renamed = add(&place, &second, named).await.unwrap();
    assert_eq!((renamed.added, renamed.changed), (2, 0));
    assert_eq!(text(&place, "hops/a.txt").await, prose("barley", 5));

    let replace = AddOptions { replace: true, ..AddOptions::default() };
    let replaced = add(&place, &second, replace.clone()).await.unwrap();
    assert_eq!((replaced.added, replaced.changed), (1, 1));
    assert_eq!(replaced.missing, ["reports/b.txt"]);
    assert_eq!(text(&place, "reports/a.txt").await, prose("barley", 5));
    let again = add(&place, &second, AddOptions::default()).await.unwrap();
    assert_eq!((again.unchanged, again.missing.len()), (2, 0), "b.txt is none of this folder's");
    refused(add(&place, &first, AddOptions::default()).await, &second, &first);
    let pruned = add(&place, &second, AddOptions { prune: true, ..replace }).await.unwrap();
    assert_eq!((pruned.removed, pruned.unchanged), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_folder_stays_itself_however_it_is_reached_and_changed() {
    let place = filled().await;
    let links = place.temp.path().join("links");
    fs::create_dir(&links).unwrap();
    std::os::unix::fs::symlink(place.folder(), links.join("reports")).unwrap();
    for way in [links.join("reports"), links.join("../reports"), place.folder().join("../reports/.")] {
        let again = add(&place, &way, AddOptions::default()).await.unwrap();
        assert_eq!((again.unchanged, again.missing.len()), (2, 0), "{}", way.display());
    }
    place.write("a.txt", &prose("peas", 5));
    assert_eq!(add(&place, &links.join("reports"), AddOptions::default()).await.unwrap().changed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_interrupted_add_staged_has_its_place_too() {
    let place = Workplace::new().await;
    place.write("a.txt", &prose("rye", 60));
    let stop = |now: Progress| match now.stage == ingest::Stage::Prefill {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let error = place.add_watched(AddOptions::default(), &stop).await.unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error}");
    let second = other_folder(&place);
    refused(add(&place, &second, AddOptions::default()).await, &place.folder(), &second);
    place.add().await;
    assert_eq!(text(&place, "reports/a.txt").await, prose("rye", 60));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_without_a_place_takes_that_of_the_first_folder_that_holds_it() {
    let place = Workplace::new().await;
    let mut incoming = place.ingest.stores.library.incoming().unwrap();
    incoming.write(prose("rye", 5).as_bytes()).unwrap();
    let upload = Upload { path: "reports/a.txt".into(), received: incoming.finish() };
    let corpus = place.ingest.stores.catalog.corpus(LOCAL_OWNER, place.corpus.id.as_str()).await.unwrap();
    let job = place.ingest.accept(&corpus, vec![upload]).await.unwrap().job.unwrap();
    place.ingest.work(&job, &go_on).await.unwrap();
    assert_eq!(place.document("reports/a.txt").await.version.place, None);

    place.write("a.txt", &prose("rye", 5));
    assert_eq!(place.add().await.unchanged, 1);
    let second = other_folder(&place);
    refused(add(&place, &second, AddOptions::default()).await, &place.folder(), &second);
}
