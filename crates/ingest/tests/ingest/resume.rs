//! However an ingest ends early, repeating it gives what one undisturbed run gives, byte for byte.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use catalog::{JobState, LOCAL_OWNER};
use ingest::{AddOptions, Error, Stage};
use tokio::sync::Notify;

use crate::workplace::{Workplace, prose};

async fn filled() -> Workplace {
    let place = Workplace::new().await;
    place.write("a.txt", &prose("rye", 60));
    place.write("b.txt", &prose("oats", 50));
    place.write("c.txt", "Only one sentence about hops.");
    place
}

/// Each way to stop: a stage and how much of it is done by then.
const STOPS: [(Stage, u64); 8] = [
    (Stage::Hash, 1),
    (Stage::Store, 2),
    (Stage::Extract, 0),
    (Stage::Extract, 1),
    (Stage::Prefill, 0),
    (Stage::Prefill, 900),
    (Stage::Prefill, 3_000),
    (Stage::Publish, 0),
];

async fn check_finished(place: &Workplace, expected: &Workplace) {
    assert_eq!(
        place.kept_files().keys().collect::<Vec<_>>(),
        expected.kept_files().keys().collect::<Vec<_>>()
    );
    assert!(place.kept_files() == expected.kept_files(), "the same bytes");
    assert_eq!(place.documents().await.len(), 3);
    let jobs = place.ingest.stores.catalog.jobs(LOCAL_OWNER).await.unwrap();
    assert!(jobs.len() == 1 && jobs[0].state == JobState::Succeeded, "{jobs:?}");
    let snapshot = place.ingest.stores.snapshot(&place.corpus).await.unwrap();
    assert_eq!((snapshot.corpus.version, snapshot.index.search("hops", 9, None).unwrap().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_add_goes_on_where_it_stopped() {
    let undisturbed = filled().await;
    let full = undisturbed.add().await.tokens_prefilled;
    for (stage, done) in STOPS {
        let mut place = filled().await;
        let stop = |p: ingest::Progress| match p.stage == stage && p.done >= done {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let error = place.add_watched(AddOptions::default(), &stop).await.unwrap_err();
        assert!(matches!(error, Error::Interrupted), "{stage:?} {done}: {error}");
        assert!(place.documents().await.is_empty(), "nothing is visible before the commit");
        place.reopen().await;
        let rest = place.add().await.tokens_prefilled;
        if (stage, done) == (Stage::Prefill, 3_000) || stage == Stage::Publish {
            assert!(rest < full, "{stage:?}: {rest} of {full} tokens computed again");
        }
        check_finished(&place, &undisturbed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_was_computed_before_the_interruption_is_kept() {
    let undisturbed = filled().await;
    let full = undisturbed.add().await.tokens_prefilled;
    for computed_parts in 1..=2_u64 {
        let mut place = filled().await;
        let (kept, parts) = (AtomicU64::new(0), AtomicU64::new(0));
        // Stops when so many parts are computed: the last of them has not been written then.
        let stop = |p: ingest::Progress| {
            if p.stage == Stage::Prefill && kept.swap(p.done - p.in_hand, SeqCst) < p.done - p.in_hand {
                parts.fetch_add(1, SeqCst);
            }
            match p.stage == Stage::Prefill && parts.load(SeqCst) == computed_parts {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let error = place.add_watched(AddOptions::default(), &stop).await.unwrap_err();
        assert!(matches!(error, Error::Interrupted), "{error}");
        place.reopen().await;
        let rest = place.add().await.tokens_prefilled;
        let kept = kept.into_inner();
        assert!(kept > 0 && rest + kept <= full, "{kept} computed, {rest} of {full} computed again");
        check_finished(&place, &undisturbed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_add_is_taken_up_by_the_next_process() {
    let undisturbed = filled().await;
    undisturbed.add().await;
    for (stage, done) in STOPS {
        let mut place = filled().await;
        let reached = Notify::new();
        let watch = |p: ingest::Progress| {
            if p.stage == stage && p.done >= done {
                reached.notify_one();
            }
            ControlFlow::Continue(())
        };
        tokio::select! {
            biased;
            () = reached.notified() => {}
            // A short stage may be over before the signal is looked at.
            ended = place.add_watched(AddOptions::default(), &watch) => { ended.unwrap(); }
        }
        place.reopen().await;
        place.add().await;
        check_finished(&place, &undisturbed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_leaves_nothing_behind() {
    let place = filled().await;
    let catalog = place.ingest.stores.catalog.clone();
    let asked = AtomicBool::new(false);
    let cancel = |p: ingest::Progress| {
        if p.stage == Stage::Prefill && !asked.swap(true, SeqCst) {
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(async {
                    let job = catalog.jobs(LOCAL_OWNER).await.unwrap().remove(0);
                    catalog.request_cancel(LOCAL_OWNER, job.id.as_str()).await.unwrap();
                });
            });
        }
        ControlFlow::Continue(())
    };
    let error = place.add_watched(AddOptions::default(), &cancel).await.unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert!(place.documents().await.is_empty());
    assert_eq!(place.kept_files().len(), 0, "{:?}", place.kept_files().keys());
    assert_eq!(place.add().await.added, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_parser_nothing_is_called_failed_and_the_job_goes_on_later() {
    let mut place = filled().await;
    let good = place.ingest.worker.clone();
    let missing = corpus::worker::Worker { program: "/no/such/program".into(), args: Vec::new() };
    place.ingest.worker = missing.into();
    let error = place.add_with(AddOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::Extract { .. }), "{error}");
    place.ingest.worker = good;
    let report = place.add().await;
    assert_eq!((report.added, report.refused.len()), (3, 0));
    assert_eq!(place.ingest.stores.catalog.jobs(LOCAL_OWNER).await.unwrap().len(), 1);
}
