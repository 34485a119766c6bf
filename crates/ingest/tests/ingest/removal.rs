//! Removal frees exactly the bytes it says, and what a crash left behind is swept.

use std::fs;

use catalog::BlobKind;
use ingest::Error;

use crate::workplace::{Workplace, prose};

#[tokio::test(flavor = "multi_thread")]
async fn removing_a_document_frees_what_only_it_used() {
    let place = Workplace::new().await;
    place.write("a.txt", &prose("rye", 40));
    place.write("b.txt", &prose("oats", 40));
    // The same bytes under another title: text shared, segments not.
    place.write("copy.txt", &prose("rye", 40));
    place.add().await;
    let stores = &place.ingest.stores;

    let before = place.kept_bytes();
    let shared = stores.remove_document(&place.document("reports/copy.txt").await).await.unwrap();
    assert_eq!(shared.bytes, before - place.kept_bytes());
    let kept = place.document("reports/a.txt").await;
    stores.library.document_text(&kept.version.stored.unwrap()).unwrap();

    let before = place.kept_bytes();
    let freed = stores.remove_document(&kept).await.unwrap();
    assert_eq!(freed.bytes, before - place.kept_bytes());
    assert!(freed.bytes > shared.bytes, "{} {}", freed.bytes, shared.bytes);
    let snapshot = stores.snapshot(&place.corpus).await.unwrap();
    assert!(snapshot.index.search("rye", 1, None).unwrap().is_empty());
    assert_eq!(snapshot.index.search("oats", 1, None).unwrap().len(), 1);

    let before = place.kept_bytes();
    let all = stores.remove_corpus(&place.corpus.id).await.unwrap();
    assert_eq!((all.bytes, place.kept_bytes()), (before, 0));
    assert_eq!(fs::read_dir(place.data().join("index")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_deletes_orphans_and_nothing_else() {
    let mut place = Workplace::new().await;
    place.write("a.txt", &prose("rye", 10));
    place.add().await;
    let kept = place.kept_files();
    let orphan = place.ingest.stores.library.put(BlobKind::Text, b"nobody names this").unwrap();
    fs::create_dir_all(place.data().join("index/corp_gone")).unwrap();
    fs::write(place.data().join("tmp/99"), "half written").unwrap();
    place.reopen().await;
    assert_eq!(place.ingest.stores.library.size(BlobKind::Text, orphan.digest).unwrap(), None);
    assert!(place.kept_files() == kept);
    assert!(!place.data().join("index/corp_gone").exists() && !place.data().join("tmp/99").exists());
}

/// A crash between the commit of a removal and the step of the index leaves one that still holds the words.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_missed_a_removal_is_swept() {
    let mut place = Workplace::new().await;
    place.write("a.txt", &prose("rye", 10));
    place.write("b.txt", &prose("oats", 10));
    place.add().await;
    let index = place.data().join("index").join(place.corpus.id.as_str());
    place.reopen().await;
    assert!(index.join("meta.json").exists(), "a current one stays");
    let catalog = &place.ingest.stores.catalog;
    catalog.remove_document(&place.document("reports/a.txt").await).await.unwrap();
    place.reopen().await;
    assert!(!index.exists());
    let snapshot = place.ingest.stores.snapshot(&place.corpus).await.unwrap();
    assert!(snapshot.index.search("rye", 1, None).unwrap().is_empty());
    assert_eq!(snapshot.index.search("oats", 1, None).unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_index_goes_when_a_document_is_removed() {
    let place = Workplace::new().await;
    place.write("a.txt", &prose("rye", 10));
    place.write("b.txt", &prose("oats", 10));
    place.add().await;
    let index = place.data().join("index").join(place.corpus.id.as_str());
    for entry in fs::read_dir(&index).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "term") {
            fs::write(path, "damaged").unwrap();
        }
    }
    let stores = &place.ingest.stores;
    stores.remove_document(&place.document("reports/a.txt").await).await.unwrap();
    assert!(!index.exists());
    let snapshot = stores.snapshot(&place.corpus).await.unwrap();
    assert!(snapshot.index.search("rye", 1, None).unwrap().is_empty());
    assert_eq!(snapshot.index.search("oats", 1, None).unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_text_is_an_error_that_names_its_file() {
    let place = Workplace::new().await;
    place.write("a.txt", &prose("rye", 10));
    place.add().await;
    let library = &place.ingest.stores.library;
    let stored = place.document("reports/a.txt").await.version.stored.unwrap();
    for (kind, digest) in [(BlobKind::Text, stored.text), (BlobKind::Tokens, stored.tokens.unwrap())] {
        let path = library.path(kind, digest);
        let good = fs::read(&path).unwrap();
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 4;
            fs::write(&path, bad).unwrap();
            assert!(matches!(library.document_text(&stored), Err(Error::Damaged { .. })));
        }
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(matches!(library.document_text(&stored), Err(Error::Damaged { .. })));
        fs::write(&path, &good).unwrap();
    }
    library.remove(BlobKind::Text, stored.text).unwrap();
    assert!(matches!(library.document_text(&stored), Err(Error::Missing { .. })));
}
