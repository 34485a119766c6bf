//! Files that arrive over the network: queued at once, shown one by one, nothing lost when the process ends.

use std::ops::ControlFlow;

use catalog::{Job, JobState, LOCAL_OWNER, State};
use ingest::{Accepted, Error, Progress, Stage, Upload};

use crate::workplace::{Workplace, go_on, prose};

async fn accept(place: &Workplace, files: &[(&str, String)]) -> Accepted {
    let upload = |(path, text): &(&str, String)| {
        let mut incoming = place.ingest.stores.library.incoming().unwrap();
        incoming.write(text.as_bytes()).unwrap();
        Upload { path: (*path).to_owned(), received: incoming.finish() }
    };
    let corpus = place.ingest.stores.catalog.corpus(LOCAL_OWNER, place.corpus.id.as_str()).await.unwrap();
    place.ingest.accept(&corpus, files.iter().map(upload).collect()).await.unwrap()
}

fn three() -> Vec<(&'static str, String)> {
    vec![("a.txt", prose("rye", 40)), ("b.txt", prose("oats", 60)), ("c.txt", prose("hops", 30))]
}

async fn job(place: &Workplace, job: &Job) -> Job {
    place.ingest.stores.catalog.job(LOCAL_OWNER, job.id.as_str()).await.unwrap()
}

/// Whether the second of [`three`] is being prefilled: the first is less than a third of all, with the second two thirds.
fn in_the_second(now: Progress) -> bool {
    now.stage == Stage::Prefill && now.done * 20 > now.total * 9
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_durable_before_it_is_read_and_then_read_like_any_file() {
    let mut place = Workplace::new().await;
    let accepted = accept(&place, &three()).await;
    let queued = accepted.job.unwrap();
    assert_eq!((queued.state, accepted.staged.len()), (JobState::Queued, 3));
    assert!(place.documents().await.is_empty());
    place.reopen().await;
    place.ingest.work(&queued, &go_on).await.unwrap().unwrap();
    assert_eq!(job(&place, &queued).await.state, JobState::Succeeded);
    assert!(place.documents().await.iter().all(|document| document.version.state == State::Ready));
    let again = accept(&place, &three()).await;
    assert!(again.job.is_none() && again.staged.is_empty());
    assert_eq!(again.unchanged.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_document_can_be_asked_while_the_others_are_read() {
    let mut place = Workplace::new().await;
    let queued = accept(&place, &three()).await.job.unwrap();
    let first = place.ingest.stores.catalog.staged(&queued.id).await.unwrap()[0].version.id;
    let stop = |now: Progress| match in_the_second(now) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let error = place.ingest.work(&queued, &stop).await.unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error}");
    let visible = place.documents().await;
    assert_eq!(visible.iter().map(|document| document.version.id).collect::<Vec<_>>(), [first]);
    let snapshot = place.ingest.stores.snapshot(&place.corpus).await.unwrap();
    assert_eq!(
        (snapshot.corpus.version, snapshot.index.search("rye", 9, None).unwrap().is_empty()),
        (1, false)
    );
    assert!(snapshot.index.search("hops", 9, None).unwrap().is_empty());

    place.reopen().await;
    assert_eq!(job(&place, &queued).await.state, JobState::Queued);
    place.ingest.work(&queued, &go_on).await.unwrap().unwrap();
    let paths: Vec<String> = place.documents().await.into_iter().map(|document| document.path).collect();
    assert_eq!(paths, ["a.txt", "b.txt", "c.txt"]);
    let snapshot = place.ingest.stores.snapshot(&place.corpus).await.unwrap();
    for word in ["rye", "oats", "hops"] {
        assert!(!snapshot.index.search(word, 9, None).unwrap().is_empty(), "{word}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_takes_the_place_of_the_old_one_when_it_is_shown() {
    let place = Workplace::new().await;
    let queued = accept(&place, &three()).await.job.unwrap();
    place.ingest.work(&queued, &go_on).await.unwrap();
    let changed = [("a.txt", prose("barley", 40)), ("d.txt", prose("malt", 40))];
    let queued = accept(&place, &changed).await.job.unwrap();
    place.ingest.work(&queued, &go_on).await.unwrap();
    let documents = place.documents().await;
    let numbers: Vec<_> = documents.iter().map(|d| (d.path.as_str(), d.version.number)).collect();
    assert_eq!(numbers, [("a.txt", 2), ("b.txt", 1), ("c.txt", 1), ("d.txt", 1)]);
    let snapshot = place.ingest.stores.snapshot(&place.corpus).await.unwrap();
    assert!(snapshot.index.search("rye", 9, None).unwrap().is_empty());
    assert!(!snapshot.index.search("barley", 9, None).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_keeps_what_it_has_shown() {
    let place = Workplace::new().await;
    let queued = accept(&place, &three()).await.job.unwrap();
    let catalog = place.ingest.stores.catalog.clone();
    let cancel = |now: Progress| {
        if in_the_second(now) {
            let (catalog, id) = (catalog.clone(), queued.id.clone());
            block_on(async move { catalog.request_cancel(LOCAL_OWNER, id.as_str()).await.unwrap() });
            std::thread::sleep(std::time::Duration::from_millis(1_100));
        }
        ControlFlow::Continue(())
    };
    let error = place.ingest.work(&queued, &cancel).await.unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert_eq!(job(&place, &queued).await.state, JobState::Cancelled);
    assert_eq!(place.documents().await.len(), 1);
    assert!(place.ingest.stores.catalog.staged(&queued.id).await.unwrap().is_empty());
}

fn block_on<T: Send>(work: impl Future<Output = T> + Send) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_acknowledged_last_is_the_one_shown() {
    let place = Workplace::new().await;
    let rye = [("a.txt", prose("rye", 40))];
    let first = accept(&place, &rye).await.job.unwrap();
    place.ingest.work(&first, &go_on).await.unwrap();
    let second = accept(&place, &[("a.txt", prose("oats", 40))]).await.job.unwrap();
    let third = accept(&place, &rye).await.job.expect("the second will hide these bytes");
    for queued in [&second, &third] {
        place.ingest.work(queued, &go_on).await.unwrap();
    }
    assert_eq!(place.document("a.txt").await.version.number, 3);
    let snapshot = place.ingest.stores.snapshot(&place.corpus).await.unwrap();
    assert!(snapshot.index.search("oats", 9, None).unwrap().is_empty());
    assert!(!snapshot.index.search("rye", 9, None).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_job_does_not_hide_what_a_later_upload_has_shown() {
    let place = Workplace::new().await;
    let first = accept(&place, &[("a.txt", prose("rye", 40))]).await.job.unwrap();
    place.ingest.stores.catalog.finish_job(&first.id, JobState::Failed, None).await.unwrap();
    let second = accept(&place, &[("a.txt", prose("oats", 40))]).await.job.unwrap();
    place.ingest.work(&second, &go_on).await.unwrap();
    place.ingest.stores.catalog.requeue_job(&first.id).await.unwrap();
    let kept = place.kept_bytes();
    let report = place.ingest.work(&first, &go_on).await.unwrap().unwrap();
    assert_eq!((report.corpus_version, report.unchanged), (1, 1));
    assert_eq!(place.document("a.txt").await.version.number, 2);
    let snapshot = place.ingest.stores.snapshot(&place.corpus).await.unwrap();
    assert!(snapshot.index.search("rye", 9, None).unwrap().is_empty());
    assert!(place.kept_bytes() < kept, "what nobody will see is not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_name_does_not_fail_the_job() {
    let place = Workplace::new().await;
    let files = [("folder/..", prose("rye", 5)), ("b.txt", prose("oats", 5))];
    let queued = accept(&place, &files).await.job.unwrap();
    place.ingest.work(&queued, &go_on).await.unwrap();
    assert_eq!(job(&place, &queued).await.state, JobState::Succeeded);
    assert_eq!(place.document("b.txt").await.version.state, State::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corpus_that_goes_while_it_is_read_leaves_no_file() {
    for stage in [Stage::Extract, Stage::Prefill] {
        let place = Workplace::new().await;
        let queued = accept(&place, &three()).await.job.unwrap();
        let (stores, corpus) = (place.ingest.stores.clone(), place.corpus.id.clone());
        let removed = std::sync::atomic::AtomicBool::new(false);
        let remove = |now: Progress| {
            if now.stage == stage && now.done > 0 && !removed.swap(true, std::sync::atomic::Ordering::Relaxed)
            {
                block_on(stores.remove_corpus(&corpus)).unwrap();
            }
            ControlFlow::Continue(())
        };
        place.ingest.work(&queued, &remove).await.unwrap_err();
        assert!(removed.into_inner());
        let left: Vec<_> = place.kept_files().into_keys().collect();
        assert!(left.is_empty(), "{stage:?}: {left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_being_cancelled_when_its_process_died_is_thrown_away() {
    let mut place = Workplace::new().await;
    let queued = accept(&place, &three()).await.job.unwrap();
    let stop = |now: Progress| match in_the_second(now) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    place.ingest.work(&queued, &stop).await.unwrap_err();
    let catalog = &place.ingest.stores.catalog;
    catalog.report(&queued.id, &catalog::Progress::default()).await.unwrap();
    catalog.request_cancel(LOCAL_OWNER, queued.id.as_str()).await.unwrap();
    place.reopen().await;
    let catalog = place.ingest.stores.catalog.clone();
    catalog.fail_interrupted().await.unwrap();
    for left in catalog.interrupted_ingests().await.unwrap() {
        catalog.requeue_job(&left.id).await.unwrap();
    }
    let error = place.ingest.work(&job(&place, &queued).await, &go_on).await.unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert_eq!(job(&place, &queued).await.state, JobState::Cancelled);
    assert!(catalog.staged(&queued.id).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_over_the_quota_stands_in_the_way_of_no_other_and_can_be_thrown_away() {
    let mut place = Workplace::new().await;
    let small = [("b.txt", prose("oats", 10))];
    place.ingest.kv_bytes_per_owner = 4_000 * place.ingest.engine.kv_bytes_per_token();
    let large = accept(&place, &[("a.txt", prose("rye", 400))]).await.job.unwrap();
    let error = place.ingest.work(&large, &go_on).await.unwrap_err();
    assert!(matches!(error, Error::KvQuota { .. }), "{error}");
    let queued = accept(&place, &small).await.job.unwrap();
    place.ingest.work(&queued, &go_on).await.unwrap();
    assert_eq!(place.documents().await.len(), 1);
    let large = job(&place, &large).await;
    assert_eq!(large.state, JobState::Failed);
    place.ingest.discard_idle(&large).await.unwrap();
    assert_eq!(job(&place, &large).await.state, JobState::Cancelled);
    assert!(place.ingest.stores.catalog.staged(&large.id).await.unwrap().is_empty());
}
