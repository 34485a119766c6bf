//! What a new, a repeated and a changed folder give.

use std::{fs, ops::ControlFlow, sync::Mutex};

use catalog::State;
use ingest::{AddOptions, AddReport, Error, MAX_PART_TOKENS, Stage, document_header};
use kv::SegmentId;

use crate::workplace::{Workplace, open_engine, prose};

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_becomes_documents_with_text_tokens_segments_and_an_index() {
    let place = Workplace::new().await;
    place.write("mill.txt", &prose("harvest", 60));
    place.write("notes/day.md", "# Diary\n\nA fox crossed the *yard* at noon.\n");
    place.write("empty.txt", "");
    let report = place.add().await;
    assert_eq!((report.added, report.changed, report.unchanged, report.corpus_version), (3, 0, 0, 1));
    assert_eq!(report.refused.len(), 1);
    assert_eq!(report.refused[0].path, "reports/empty.txt");
    assert_eq!(report.refused[0].error.as_ref().unwrap()["code"], "empty_file");

    let document = place.document("reports/mill.txt").await;
    assert_eq!(document.version.state, State::Ready);
    let stores = &place.ingest.stores;
    let text = stores.library.document_text(&document.version.stored.unwrap()).unwrap();
    assert_eq!(text.text, prose("harvest", 60));
    assert_eq!(text.token_spans.last().unwrap().end, text.text.len() as u64);
    assert_eq!(document.version.tokens, text.token_ids.len() as u64);

    let passages = stores.catalog.passages(document.version.id).await.unwrap();
    let parts = stores.catalog.parts(document.version.id).await.unwrap();
    assert!(parts.len() > 2, "the text is meant to need several parts, got {}", parts.len());
    let mut prefilled = 0;
    for part in &parts {
        let id = SegmentId(part.segment.0);
        assert!(stores.kv.verify(&id).unwrap());
        let segment = stores.kv.open_segment(&id).unwrap().expect("prefilled");
        assert!(segment.n_tokens() <= MAX_PART_TOKENS);
        let first = passages.iter().find(|p| p.tokens.start >= part.tokens.start).unwrap();
        let (_, header) =
            document_header(&place.ingest.engine, &document.version.title, &first.heading).unwrap();
        let own = &text.token_ids[part.tokens.start as usize..part.tokens.end as usize];
        assert_eq!(segment.tokens(), [&header, own].concat(), "slot of token t: n - len + (t - start)");
        prefilled += segment.n_tokens();
    }
    assert!(report.tokens_prefilled > prefilled, "the other document was prefilled too");
    assert!(
        passages.iter().all(|p| parts.iter().any(|part| part.tokens.contains(p.tokens))),
        "every passage lies whole in a part"
    );

    let snapshot = stores.snapshot(&place.corpus).await.unwrap();
    let hits = snapshot.index.search("fox in the yard", 3, None).unwrap();
    assert_eq!(hits[0].key.version, place.document("reports/notes/day.md").await.version.id.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_add_takes_only_what_changed_and_prunes_when_asked() {
    let place = Workplace::new().await;
    place.write("a.txt", &prose("rye", 30));
    place.write("b.txt", &prose("oats", 5));
    place.write("bad.txt", "");
    place.add().await;
    let again = place.add().await;
    assert_eq!((&again.job, again.unchanged, again.corpus_version, again.tokens_prefilled), (&None, 3, 1, 0));
    let refused = |report: &AddReport| report.refused.iter().map(|r| r.path.clone()).collect::<Vec<_>>();
    assert_eq!(refused(&again), ["reports/bad.txt"], "it has not become readable");
    place.write("also bad.txt", "");
    assert_eq!(refused(&place.add().await), ["reports/also bad.txt", "reports/bad.txt"]);
    fs::remove_file(place.folder().join("also bad.txt")).unwrap();
    place.add_with(AddOptions { prune: true, ..Default::default() }).await.unwrap();

    let retried = place.add_with(AddOptions { retry_refused: true, ..Default::default() }).await.unwrap();
    assert_eq!((retried.changed, retried.unchanged, retried.refused.len()), (1, 2, 1));

    let before = place.document("reports/b.txt").await;
    place.write("b.txt", &prose("barley", 5));
    fs::remove_file(place.folder().join("a.txt")).unwrap();
    let changed = place.add().await;
    assert_eq!((changed.changed, changed.removed, changed.missing), (1, 0, vec!["reports/a.txt".to_owned()]));
    assert!(changed.bytes_freed > 0);
    let after = place.document("reports/b.txt").await;
    assert_eq!((after.id.clone(), after.version.number), (before.id, 2));
    assert!(
        place.ingest.stores.catalog.version(before.version.id).await.is_err(),
        "the old version is collected"
    );
    let snapshot = place.ingest.stores.snapshot(&place.corpus).await.unwrap();
    assert!(snapshot.index.search("oats", 3, None).unwrap().is_empty());
    assert_eq!(snapshot.index.search("barley", 3, None).unwrap()[0].key.version, after.version.id.0);
    drop(snapshot);

    let pruned = place.add_with(AddOptions { prune: true, ..Default::default() }).await.unwrap();
    assert_eq!((pruned.removed, pruned.missing.len()), (1, 0));
    assert_eq!(place.documents().await.len(), 2);
    assert!(
        place
            .ingest
            .stores
            .snapshot(&place.corpus)
            .await
            .unwrap()
            .index
            .search("rye", 3, None)
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_keeps_the_version_it_began_with() {
    let place = Workplace::new().await;
    place.write("a.txt", &prose("rye", 5));
    place.add().await;
    let snapshot = place.ingest.stores.snapshot(&place.corpus).await.unwrap();
    let old = place.document("reports/a.txt").await;
    place.write("a.txt", &prose("oats", 5));
    assert_eq!(place.add().await.bytes_freed, 0);
    place.ingest.stores.library.document_text(&old.version.stored.unwrap()).unwrap();
    assert_eq!(snapshot.index.search("rye", 1, None).unwrap()[0].key.version, old.version.id.0);
    drop(snapshot);
    place.write("a.txt", &prose("peas", 5));
    assert!(place.add().await.bytes_freed > 0);
    assert!(place.ingest.stores.library.document_text(&old.version.stored.unwrap()).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_counts_every_stage_to_its_end() {
    let place = Workplace::new().await;
    place.write("a.txt", &prose("rye", 60));
    let seen = Mutex::new(Vec::new());
    let report = |progress: ingest::Progress| {
        seen.lock().unwrap().push(progress);
        ControlFlow::Continue(())
    };
    place.add_watched(AddOptions::default(), &report).await.unwrap();
    let seen = seen.into_inner().unwrap();
    for stage in [Stage::Hash, Stage::Store, Stage::Extract, Stage::Prefill] {
        let last =
            seen.iter().rfind(|p| p.stage == stage).unwrap_or_else(|| panic!("no report of {stage:?}"));
        assert_eq!(last.done, last.total, "{stage:?}");
    }
    let tokens: Vec<u64> = seen.iter().filter(|p| p.stage == Stage::Prefill).map(|p| p.total).collect();
    assert!(tokens[0] > 1_000 && tokens.iter().all(|total| *total == tokens[0]), "{tokens:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_and_another_model_are_refused_by_name() {
    let mut place = Workplace::new().await;
    let error = place.add_with(AddOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::NothingFound { .. }), "{error}");
    place.write("a.txt", "One sentence about rye.");
    place.add().await;
    place.ingest.engine = open_engine(2);
    let error = place.add_with(AddOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::Catalog(catalog::Error::DifferentModel { .. })), "{error}");
}
