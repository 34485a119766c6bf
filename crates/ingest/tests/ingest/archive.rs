//! A corpus moves to another data folder: same model, nothing is computed; another one, all of it, and it is said.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use catalog::{LOCAL_OWNER, State};
use ingest::{Error, ExportReport, ImportOptions, ImportReport, Progress, Stage};

use crate::workplace::{Workplace, go_on, open_engine, prose};

pub fn named(name: &str) -> ImportOptions {
    ImportOptions { name: Some(name.into()), ..ImportOptions::default() }
}

/// Two documents that can be asked and one that holds nothing.
pub async fn filled() -> Workplace {
    let place = Workplace::new().await;
    place.write("a.txt", &prose("rye", 60));
    place.write("deep/b.md", &format!("# Oats\n\n{}", prose("oats", 50)));
    place.write("empty.txt", "");
    place.add().await;
    place
}

pub async fn export(place: &Workplace) -> (PathBuf, ExportReport) {
    let path = place.temp.path().join("reports.ibid");
    let report = place.ingest.stores.export(&place.corpus, &path, true, &go_on).await.unwrap();
    (path, report)
}

pub async fn import(place: &Workplace, archive: &Path) -> Result<ImportReport, Error> {
    place.ingest.import(archive, &named("copy"), &go_on).await
}

async fn check_copy(copy: &Workplace, original: &Workplace) {
    assert!(copy.kept_files() == original.kept_files(), "the same bytes, and nothing else");
    let catalog = &copy.ingest.stores.catalog;
    let corpus = catalog.corpus(LOCAL_OWNER, "copy").await.unwrap();
    let documents = catalog.documents(&corpus.id, u64::MAX).await.unwrap();
    for (here, there) in documents.iter().zip(original.documents().await) {
        assert_eq!(
            (&here.path, &here.version.title, here.version.state, here.version.stored, &here.version.error),
            (
                &there.path,
                &there.version.title,
                there.version.state,
                there.version.stored,
                &there.version.error
            )
        );
        assert_ne!(here.id, there.id);
        let passages = catalog.passages(here.version.id).await.unwrap();
        assert_eq!(passages, original.ingest.stores.catalog.passages(there.version.id).await.unwrap());
    }
    assert_eq!(documents.len(), 3);
    let snapshot = copy.ingest.stores.snapshot(&corpus).await.unwrap();
    assert_eq!(
        (snapshot.corpus.version, snapshot.index.search("oats", 9, None).unwrap().is_empty()),
        (1, false)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_same_model_nothing_is_computed_again() {
    let original = filled().await;
    let (archive, exported) = export(&original).await;
    assert_eq!((exported.documents, exported.segments_left_out), (3, 0));
    assert_eq!(exported.bytes, fs::metadata(&archive).unwrap().len());

    let copy = Workplace::new().await;
    let report = import(&copy, &archive).await.unwrap();
    assert_eq!(report.added.tokens_prefilled, 0);
    assert_eq!((report.segments_taken, report.segments_refused), (exported.segments, 0));
    assert_eq!((report.other_model, report.added.refused.len()), (None, 1));
    check_copy(&copy, &original).await;

    let again = export(&original).await.0;
    assert!(fs::read(again).unwrap() == fs::read(archive).unwrap(), "the same corpus gives the same archive");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_and_a_file_that_is_there_are_refused() {
    let original = filled().await;
    let (archive, _) = export(&original).await;
    let before = fs::read(&archive).unwrap();
    let taken = original.ingest.import(&archive, &ImportOptions::default(), &go_on).await.unwrap_err();
    assert!(matches!(&taken, Error::CorpusExists { name } if name == "reports"), "{taken}");
    assert!(taken.to_string().contains("--as"), "{taken}");
    let nameless = original.ingest.import(&archive, &named("a\u{1b}b"), &go_on).await.unwrap_err();
    assert!(matches!(nameless, Error::CorpusName { .. }), "{nameless}");

    let there = original.ingest.stores.export(&original.corpus, &archive, false, &go_on).await.unwrap_err();
    assert!(matches!(there, Error::FileExists { .. }), "{there}");
    assert!(fs::read(&archive).unwrap() == before);
    let empty = original.ingest.stores.catalog.create_corpus(LOCAL_OWNER, "empty").await.unwrap();
    let nothing = original.temp.path().join("empty.ibid");
    let error = original.ingest.stores.export(&empty, &nothing, false, &go_on).await.unwrap_err();
    assert!(matches!(error, Error::NothingToExport { .. }) && !nothing.exists(), "{error}");

    import(&original, &archive).await.unwrap();
    let copy = original.ingest.stores.catalog.corpus(LOCAL_OWNER, "copy").await.unwrap();
    assert_eq!(copy.version, 1, "beside the corpus it came from");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corpus_that_an_import_only_named_is_taken_and_one_in_use_is_not() {
    let original = filled().await;
    let (archive, _) = export(&original).await;
    let copy = Workplace::new().await;
    copy.ingest.stores.catalog.create_corpus(LOCAL_OWNER, "copy").await.unwrap();
    import(&copy, &archive).await.unwrap();
    check_copy(&copy, &original).await;
    let taken = import(&copy, &archive).await.unwrap_err();
    assert!(matches!(taken, Error::CorpusExists { .. }), "{taken}");

    // Interrupted with the archive's texts: what was taken of them is not believed later on.
    let copy = Workplace::new().await;
    let stop = |p: Progress| match p.stage == Stage::Prefill {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let interrupted = copy.ingest.import(&archive, &named("copy"), &stop).await.unwrap_err();
    assert!(matches!(interrupted, Error::Interrupted), "{interrupted}");
    let options = ImportOptions { without_kv: true, ..named("copy") };
    let other = copy.ingest.import(&archive, &options, &go_on).await.unwrap_err();
    assert!(matches!(other, Error::CorpusExists { .. }), "{other}");
    import(&copy, &archive).await.unwrap();
    check_copy(&copy, &original).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_model_or_no_trust_in_the_kv_reads_the_texts_again() {
    let original = filled().await;
    let (archive, _) = export(&original).await;

    let own = Workplace::new().await;
    let options = ImportOptions { without_kv: true, ..named("copy") };
    let computed = own.ingest.import(&archive, &options, &go_on).await.unwrap();
    assert!(computed.added.tokens_prefilled > 0);
    assert_eq!((computed.segments_taken, computed.segments_refused, computed.other_model), (0, 0, None));
    check_copy(&own, &original).await;

    let mut other = Workplace::new().await;
    other.ingest.engine = open_engine(2);
    let report = import(&other, &archive).await.unwrap();
    assert_eq!(report.added.tokens_prefilled, computed.added.tokens_prefilled);
    assert_eq!(report.segments_taken, 0);
    assert!(report.other_model.unwrap().contains("tiny-1"));
    let ready = other.ingest.stores.catalog.corpus_counts(&report.corpus.id).await.unwrap().ready;
    assert_eq!(ready, 2);
}

/// Where `needle` begins in `bytes`.
fn find(bytes: &[u8], needle: &[u8]) -> usize {
    bytes.windows(needle.len()).position(|window| window == needle).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_segment_is_left_out_or_refused_and_computed_again() {
    let original = filled().await;
    let (archive, exported) = export(&original).await;
    let kept = original.kept_files();
    let (path, segment) = kept.iter().find(|(path, _)| path.starts_with("kv")).unwrap();
    let mut bytes = fs::read(&archive).unwrap();
    let at = find(&bytes, segment) + segment.len() - 1;
    bytes[at] ^= 1;
    let damaged = original.temp.path().join("damaged.ibid");
    fs::write(&damaged, bytes).unwrap();

    let copy = Workplace::new().await;
    let report = import(&copy, &damaged).await.unwrap();
    assert_eq!((report.segments_taken, report.segments_refused), (exported.segments - 1, 1));
    assert!(report.added.tokens_prefilled > 0);
    check_copy(&copy, &original).await;

    fs::remove_file(original.data().join(path)).unwrap();
    let (without, report) = export(&original).await;
    assert_eq!((report.segments, report.segments_left_out), (exported.segments - 1, 1));
    let copy = Workplace::new().await;
    let report = import(&copy, &without).await.unwrap();
    assert_eq!((report.segments_taken, report.segments_refused), (exported.segments - 1, 0));
    assert!(report.added.tokens_prefilled > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_import_shows_nothing_and_goes_on_when_repeated() {
    let original = filled().await;
    let (archive, _) = export(&original).await;
    let stops = [
        (Stage::Unpack, 0),
        (Stage::Unpack, 3_000),
        (Stage::Extract, 0),
        (Stage::Extract, 1),
        (Stage::Prefill, 0),
        (Stage::Publish, 0),
    ];
    for (stage, done) in stops {
        let mut copy = Workplace::new().await;
        let stop = |p: Progress| match p.stage == stage && p.done >= done {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let outcome = copy.ingest.import(&archive, &named("copy"), &stop).await;
        // Unpacking may be over before its first report.
        if stage != Stage::Unpack {
            assert!(matches!(outcome, Err(Error::Interrupted)), "{stage:?}: {outcome:?}");
        }
        if outcome.is_ok() {
            continue;
        }
        let catalog = &copy.ingest.stores.catalog;
        for corpus in catalog.corpora(LOCAL_OWNER).await.unwrap() {
            assert_eq!(catalog.documents(&corpus.id, u64::MAX).await.unwrap(), [], "{stage:?}");
        }
        copy.reopen().await;
        let report = import(&copy, &archive).await.unwrap();
        assert_eq!(report.added.tokens_prefilled, 0, "{stage:?}");
        check_copy(&copy, &original).await;
        let documents = copy.ingest.stores.catalog.documents(&report.corpus.id, 1).await.unwrap();
        assert!(documents.iter().filter(|d| d.version.state == State::Ready).count() == 2);
    }
}
