//! Files that arrive over the network: queued at once, shown one by one, nothing lost when the process ends.

use std::ops::ControlFlow;

use catalog::{Job, JobState, LOCAL_OWNER, State};
use ingest::{Accepted, Error, Progress, Stage, Upload};

use crate::workplace::{Workplace, prose};

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

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
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
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current()
                    .block_on(async move { catalog.request_cancel(LOCAL_OWNER, id.as_str()).await.unwrap() })
            });
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
