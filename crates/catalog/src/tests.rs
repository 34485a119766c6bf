//! The main path end to end on a real database file: ingest, publish, share, remove, scrub.

use base::{ByteSpan, CharSpan, Id, TokenSpan};
use serde_json::json;
use tempfile::TempDir;

use crate::*;

mod asking;
mod idempotency;
mod keys;
mod lists;
mod owners;
mod removal;

const MARKER: &str = "Zaunkoenig-gross-47119";

fn digest(n: u8) -> Digest {
    Digest([n; 32])
}

fn blob(n: u8) -> Blob {
    Blob { digest: digest(n), bytes: 1_000 + u64::from(n) }
}

fn found(path: &str, n: u8) -> FoundFile {
    let file = NewFile { sha256: digest(n), bytes: 10 * u64::from(n) };
    FoundFile { path: path.into(), file, place: None }
}

async fn open() -> (TempDir, Catalog) {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&dir.path().join("catalog.db")).await.unwrap();
    (dir, catalog)
}

fn extraction(text: u8) -> Extraction {
    Extraction {
        title: "Report".into(),
        media_type: "text/plain".into(),
        state: State::Prefilling,
        text: Some(blob(text)),
        pages_blob: None,
        boxes: None,
        tokens_blob: Some(blob(text)),
        characters: 40,
        pages: 1,
        tokens: 12,
        warnings: json!([]),
        error: None,
    }
}

/// Brings one staged version to ready with a single part held by segment `n`.
async fn finish(catalog: &Catalog, version: VersionId, n: u8) {
    catalog.register_extraction(version, &extraction(n)).await.unwrap();
    let passage = Passage {
        idx: 0,
        bytes: ByteSpan::new(0, 40),
        tokens: TokenSpan::new(0, 12),
        pages: Some((1, 1)),
        heading: MARKER.into(),
    };
    catalog.register_passages(version, &[passage]).await.unwrap();
    let part = NewPart { tokens: TokenSpan::new(0, 12), segment: digest(n) };
    catalog.register_parts(version, &[part]).await.unwrap();
    catalog.register_segment(digest(n), 5_000 + u64::from(n)).await.unwrap();
}

fn start() -> Start {
    Start::New { kind: JobKind::Ingest, params: json!({}) }
}

async fn ingest(catalog: &Catalog, corpus: &Id, files: Vec<FoundFile>) -> Published {
    let plan = catalog.plan_ingest(corpus, files).await.unwrap();
    let ingest = catalog.begin_ingest(LOCAL_OWNER, corpus, &plan, start()).await.unwrap();
    for document in &ingest.staged {
        finish(catalog, document.version.id, document.version.file.sha256.0[0]).await;
    }
    catalog.publish(&ingest.job).await.unwrap()
}

#[tokio::test]
async fn corpora_are_unique_per_owner_and_bound_to_one_model() {
    let (_dir, catalog) = open().await;
    let mine = catalog.create_corpus(LOCAL_OWNER, "reports").await.unwrap();
    assert!(matches!(catalog.create_corpus(LOCAL_OWNER, "reports").await, Err(Error::NameTaken { .. })));
    let other = catalog.create_corpus("someone", "reports").await.unwrap();
    assert!(matches!(catalog.corpus(LOCAL_OWNER, other.id.as_str()).await, Err(Error::NotFound { .. })));
    assert_eq!(catalog.corpora(LOCAL_OWNER).await.unwrap(), std::slice::from_ref(&mine));

    let model = ModelIdentity { name: "m".into(), fingerprint: "f".into(), kv_dtype: "int8".into() };
    catalog.bind_model(&mine.id, &model).await.unwrap();
    catalog.bind_model(&mine.id, &model).await.unwrap();
    let changed = ModelIdentity { kv_dtype: "bf16".into(), ..model.clone() };
    assert!(matches!(catalog.bind_model(&mine.id, &changed).await, Err(Error::DifferentModel { .. })));
    assert_eq!(catalog.corpus(LOCAL_OWNER, "reports").await.unwrap().model, Some(model));
}

#[tokio::test]
async fn an_ingest_becomes_visible_in_one_commit_and_old_versions_stay_readable() {
    let (_dir, catalog) = open().await;
    let corpus = catalog.create_corpus(LOCAL_OWNER, "c").await.unwrap().id;
    let plan = catalog.plan_ingest(&corpus, vec![found("a.txt", 1), found("b.txt", 2)]).await.unwrap();
    let running = catalog.begin_ingest(LOCAL_OWNER, &corpus, &plan, start()).await.unwrap();
    finish(&catalog, running.staged[0].version.id, 1).await;
    assert!(matches!(catalog.publish(&running.job).await, Err(Error::Unfinished { unfinished: 1, .. })));
    assert_eq!(catalog.documents(&corpus, u64::MAX).await.unwrap(), []);
    finish(&catalog, running.staged[1].version.id, 2).await;
    let published = catalog.publish(&running.job).await.unwrap();
    assert_eq!((published.corpus_version, published.summary.added), (1, 2));
    assert!(matches!(catalog.publish(&running.job).await, Err(Error::JobFinished { .. })));
    assert_eq!(catalog.corpus_counts(&corpus).await.unwrap().ready, 2);

    let second = ingest(&catalog, &corpus, vec![found("a.txt", 3)]).await;
    assert_eq!(second.corpus_version, 2);
    assert_eq!((second.summary.changed, second.summary.removed), (1, 0));
    let bytes = async |version| -> Vec<u8> {
        let shown = catalog.documents(&corpus, version).await.unwrap();
        shown.iter().map(|d| d.version.file.sha256.0[0]).collect()
    };
    assert_eq!(bytes(1).await, [1, 2]);
    assert_eq!(bytes(2).await, [3, 2]);
    assert_eq!(catalog.collect(&corpus, 1).await.unwrap(), Freed::default());
    let freed = catalog.collect(&corpus, 2).await.unwrap();
    assert_eq!(freed.bytes, 10 + 2 * 1_001 + 5_001);
    assert_eq!(bytes(2).await, [3, 2]);

    let same = ingest(&catalog, &corpus, vec![found("a.txt", 3), found("b.txt", 2)]).await;
    assert_eq!((same.corpus_version, same.summary.unchanged), (2, 2));
}

#[tokio::test]
async fn an_interrupted_ingest_resumes_with_what_was_done() {
    let (dir, catalog) = open().await;
    let corpus = catalog.create_corpus(LOCAL_OWNER, "c").await.unwrap().id;
    let files = vec![found("a", 1), found("b", 2)];
    let plan = catalog.plan_ingest(&corpus, files.clone()).await.unwrap();
    let first = catalog.begin_ingest(LOCAL_OWNER, &corpus, &plan, start()).await.unwrap();
    finish(&catalog, first.staged[0].version.id, 1).await;
    catalog.close().await;

    let catalog = Catalog::open(&dir.path().join("catalog.db")).await.unwrap();
    let open_jobs = catalog.unfinished().await.unwrap();
    assert_eq!(open_jobs.iter().map(|j| &j.id).collect::<Vec<_>>(), [&first.job]);
    let plan = catalog.plan_ingest(&corpus, vec![found("a", 1), found("b", 9)]).await.unwrap();
    let again =
        catalog.begin_ingest(LOCAL_OWNER, &corpus, &plan, Start::Resume(first.job.clone())).await.unwrap();
    let states: Vec<_> = again.staged.iter().map(|d| (d.version.file.sha256, d.version.state)).collect();
    assert_eq!(states, [(digest(1), State::Ready), (digest(9), State::Queued)]);
    assert_eq!(again.staged[0].version.id, first.staged[0].version.id);
}

async fn upload(catalog: &Catalog, corpus: &Id, file: FoundFile) -> Ingest {
    let plan = catalog.plan_upload(corpus, vec![file]).await.unwrap();
    let start = Start::Queue { kind: JobKind::Ingest, params: json!({}) };
    catalog.begin_ingest(LOCAL_OWNER, corpus, &plan, start).await.unwrap()
}

#[tokio::test]
async fn an_upload_is_compared_with_what_jobs_under_way_will_show() {
    let (_dir, catalog) = open().await;
    let corpus = catalog.create_corpus(LOCAL_OWNER, "c").await.unwrap().id;
    ingest(&catalog, &corpus, vec![found("a", 1)]).await;
    let second = upload(&catalog, &corpus, found("a", 2)).await;
    let plan = async |n| catalog.plan_upload(&corpus, vec![found("a", n)]).await.unwrap();
    assert_eq!((plan(1).await.changed.len(), plan(2).await.unchanged.len()), (1, 1));
    let third = upload(&catalog, &corpus, found("a", 1)).await;
    assert_eq!((plan(1).await.unchanged.len(), plan(2).await.changed.len()), (1, 1));

    catalog.request_cancel(LOCAL_OWNER, third.job.as_str()).await.unwrap();
    assert_eq!(plan(1).await.changed.len(), 1, "it may never be shown");
    catalog.finish_job(&third.job, JobState::Failed, None).await.unwrap();
    assert_eq!(plan(2).await.unchanged.len(), 1, "nobody works on the third any more");
    finish(&catalog, second.staged[0].version.id, 2).await;
    catalog.publish(&second.job).await.unwrap();
    assert_eq!(catalog.document(&corpus, "a").await.unwrap().version.file.sha256, digest(2));
}

#[tokio::test]
async fn a_job_that_ends_late_does_not_hide_what_a_later_one_has_shown() {
    let (_dir, catalog) = open().await;
    let corpus = catalog.create_corpus(LOCAL_OWNER, "c").await.unwrap().id;
    let shown = async || catalog.document(&corpus, "a").await.unwrap().version.file.sha256;
    for at_once in [true, false] {
        let first = upload(&catalog, &corpus, found("a", if at_once { 1 } else { 3 })).await;
        catalog.finish_job(&first.job, JobState::Failed, None).await.unwrap();
        let newer = if at_once { 2 } else { 4 };
        ingest(&catalog, &corpus, vec![found("a", newer)]).await;
        let before = catalog.corpus(LOCAL_OWNER, "c").await.unwrap().version;

        let resume = Start::Resume(first.job.clone());
        let again = catalog.begin_ingest(LOCAL_OWNER, &corpus, &Plan::default(), resume).await.unwrap();
        finish(&catalog, again.staged[0].version.id, 9).await;
        if !at_once {
            assert_eq!(catalog.publish_ready(&first.job).await.unwrap(), None);
        }
        let published = catalog.publish(&first.job).await.unwrap();
        assert_eq!((published.corpus_version, published.summary.unchanged), (before, 1));
        assert_eq!(shown().await, digest(newer));
        assert_eq!(catalog.staged(&first.job).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_failed_job_is_cancelled_when_it_is_thrown_away() {
    let (_dir, catalog) = open().await;
    let corpus = catalog.create_corpus(LOCAL_OWNER, "c").await.unwrap().id;
    let failed = upload(&catalog, &corpus, found("a", 1)).await.job;
    catalog.finish_job(&failed, JobState::Failed, Some(&json!({"code": "kv_quota"}))).await.unwrap();
    catalog.discard(&failed).await.unwrap();
    let job = catalog.job(LOCAL_OWNER, failed.as_str()).await.unwrap();
    assert_eq!((job.state, job.error), (JobState::Cancelled, None));
    assert!(catalog.list_documents(LOCAL_OWNER, &corpus, &Page::default()).await.unwrap().items.is_empty());
    assert!(matches!(catalog.discard(&failed).await, Err(Error::JobFinished { .. })));
}

#[tokio::test]
async fn shared_bytes_are_freed_only_with_their_last_reference() {
    let (_dir, catalog) = open().await;
    let one = catalog.create_corpus(LOCAL_OWNER, "one").await.unwrap().id;
    let two = catalog.create_corpus(LOCAL_OWNER, "two").await.unwrap().id;
    ingest(&catalog, &one, vec![found("a", 1)]).await;
    ingest(&catalog, &two, vec![found("b", 1), found("c", 2)]).await;
    let document = catalog.document(&one, "a").await.unwrap();
    assert_eq!(catalog.remove_document(&document).await.unwrap(), (2, Freed::default()));

    let freed = catalog.remove_corpus(&two).await.unwrap();
    assert_eq!(freed.bytes, (10 + 2 * 1_001 + 5_001) + (20 + 2 * 1_002 + 5_002));
    assert_eq!(freed.files.len(), 8);
    let stray = Object::Segment(digest(77));
    let orphans = catalog.orphans(&[stray]).await.unwrap();
    assert_eq!((orphans.files.len(), orphans.bytes), (9, freed.bytes), "unconfirmed deletions come back");
    catalog.confirm_deleted(&orphans).await.unwrap();
    assert_eq!(catalog.orphans(&[]).await.unwrap(), Freed::default());
}

#[tokio::test]
async fn a_damaged_segment_is_planned_again_and_a_known_one_is_ready_at_once() {
    let (_dir, catalog) = open().await;
    let corpus = catalog.create_corpus(LOCAL_OWNER, "c").await.unwrap().id;
    ingest(&catalog, &corpus, vec![found("a", 1)]).await;
    let version = catalog.document(&corpus, "a").await.unwrap().version.id;
    assert_eq!(catalog.forget_segment(digest(1)).await.unwrap(), [PartRef { version, idx: 0 }]);
    assert!(!catalog.parts(version).await.unwrap()[0].ready);
    assert_eq!(catalog.segment_bytes(digest(1)).await.unwrap(), None);
    catalog.register_segment(digest(1), 7).await.unwrap();
    let part = NewPart { tokens: TokenSpan::new(0, 12), segment: digest(1) };
    assert!(catalog.register_parts(version, &[part]).await.unwrap()[0].ready);
}

#[tokio::test]
async fn jobs_report_stop_on_request_and_end_once() {
    let (_dir, catalog) = open().await;
    let new = NewJob { kind: JobKind::Verify, corpus: None, params: json!({"from": 3}) };
    let job = catalog.create_job(LOCAL_OWNER, &new).await.unwrap();
    assert_eq!(job.state, JobState::Queued);
    let progress = Progress { stage: "hash".into(), done: 1, total: 2, unit: "bytes".into(), rate: 1.5 };
    assert!(!catalog.report(&job.id, &progress).await.unwrap());
    catalog.request_cancel(LOCAL_OWNER, job.id.as_str()).await.unwrap();
    assert!(catalog.report(&job.id, &progress).await.unwrap());
    catalog.finish_job(&job.id, JobState::Failed, Some(&json!({"code": "x"}))).await.unwrap();
    assert!(matches!(catalog.report(&job.id, &progress).await, Err(Error::JobFinished { .. })));
    let listed = catalog.jobs(LOCAL_OWNER).await.unwrap();
    assert_eq!((listed[0].state, &listed[0].progress), (JobState::Failed, &progress));
    assert!(catalog.unfinished().await.unwrap().is_empty());
}

fn question(corpus: &Id) -> NewQuestion {
    NewQuestion {
        corpus: corpus.clone(),
        conversation: None,
        question: "who?".into(),
        mode: "auto".into(),
        seed: u64::MAX - 1,
        request: json!({"max_output_tokens": 9}),
    }
}

fn answer(corpus: &Id, document: &Document) -> NewAnswer {
    NewAnswer {
        corpus: corpus.clone(),
        corpus_version: 1,
        model_fingerprint: "f".into(),
        question: "who?".into(),
        mode: "quote".into(),
        seed: u64::MAX,
        status: "completed".into(),
        grounding: "supported".into(),
        text: format!("Ä {MARKER} Ende."),
        plan: json!({"passages": [MARKER]}),
        usage: json!({}),
        detail: json!({}),
        citations: vec![Citation {
            number: 1,
            answer: CharSpan::new(2, 2 + MARKER.len() as u64),
            document: document.id.clone(),
            version: document.version.id,
            title: MARKER.into(),
            source: CharSpan::new(0, 9),
            quote: MARKER.into(),
            detail: json!({"context": MARKER}),
            source_removed: false,
        }],
        sources: vec![document.id.clone()],
    }
}

#[tokio::test]
async fn newer_foreign_and_garbage_files_are_refused() {
    let (dir, catalog) = open().await;
    catalog.close().await;
    let path = dir.path().join("catalog.db");
    let raw = std::fs::read(&path).unwrap();
    assert!(Catalog::open(&path).await.is_ok(), "an existing folder opens again");
    for (at, byte) in [(63, 99), (68, 0)] {
        let mut bytes = raw.clone();
        bytes[at] = byte;
        let other = dir.path().join(format!("other{at}.db"));
        std::fs::write(&other, bytes).unwrap();
        match (at, Catalog::open(&other).await) {
            (63, Err(Error::Newer { found: 99, known: 5, .. })) | (68, Err(Error::Foreign { .. })) => {}
            (_, got) => panic!("{got:?}"),
        }
    }
    let garbage = dir.path().join("garbage.db");
    std::fs::write(&garbage, "not a database, but long enough to be looked at ".repeat(9)).unwrap();
    assert!(matches!(Catalog::open(&garbage).await, Err(Error::Foreign { .. })));
}
