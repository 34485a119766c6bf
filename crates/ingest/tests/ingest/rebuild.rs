//! Derived state that was damaged comes back as it was.

use std::{fs, ops::ControlFlow, sync::Arc};

use catalog::{BlobKind, Extraction, State};
use ingest::{Error, Progress};
use kv::{PageBuf, SegmentId};
use scout::{Engine, Numerics};

use crate::{
    tiny_model,
    workplace::{Workplace, open_engine, prose},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_segment_is_set_aside_and_computed_again_bit_for_bit() {
    let mut place = Workplace::new().await;
    place.write("a.txt", &prose("rye", 60));
    place.add().await;
    let document = place.document("reports/a.txt").await;
    let parts = place.ingest.stores.catalog.parts(document.version.id).await.unwrap();
    let part = &parts[1];
    let id = SegmentId(part.segment.0);
    let path = place.data().join(format!("kv/segments/{}/{id}.kv", &id.to_string()[..2]));
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    bad[good.len() / 2] ^= 1;
    fs::write(&path, bad).unwrap();
    assert!(place.ingest.stores.kv.verify(&id).unwrap_err().is_damage());

    let go_on = |_: Progress| ControlFlow::Continue(());
    assert!(place.ingest.rebuild_segment(document.version.id, part.idx, &go_on).await.unwrap());
    assert!(fs::read(&path).unwrap() == good, "the same bytes");
    assert!(place.ingest.stores.kv.verify(&id).unwrap());
    assert_eq!(place.ingest.stores.kv.quarantined().unwrap().len(), 1);
    assert_eq!(place.ingest.stores.catalog.parts(document.version.id).await.unwrap(), parts);

    assert!(!place.ingest.rebuild_segment(document.version.id, part.idx, &go_on).await.unwrap());
    assert_eq!(place.ingest.stores.kv.quarantined().unwrap().len(), 1, "a sound one is left where it is");
    assert_eq!(place.ingest.stores.catalog.parts(document.version.id).await.unwrap(), parts);

    fs::remove_file(&path).unwrap();
    let stop = |_: Progress| ControlFlow::Break(());
    let stopped = place.ingest.rebuild_segment(document.version.id, part.idx, &stop).await.unwrap_err();
    assert!(matches!(stopped, Error::Interrupted) && !path.exists(), "{stopped}");
    assert!(place.ingest.rebuild_segment(document.version.id, part.idx, &go_on).await.unwrap());
    assert!(fs::read(&path).unwrap() == good, "a lost one comes back too");

    let missing = place.ingest.rebuild_segment(document.version.id, 99, &go_on).await.unwrap_err();
    assert!(matches!(missing, Error::NoSuchPart { part: 99, .. }), "{missing}");
    place.ingest.engine = open_engine(2);
    let other = place.ingest.rebuild_segment(document.version.id, part.idx, &go_on).await.unwrap_err();
    assert!(matches!(other, Error::OtherSegment { .. }), "{other}");
    assert!(place.ingest.stores.kv.verify(&id).unwrap(), "the good one stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_or_lost_file_of_an_unchanged_document_is_made_again() {
    let place = Workplace::new().await;
    place.write("a.md", &format!("# Rye\n\n{}", prose("rye", 20)));
    place.write("b.txt", &prose("oats", 5));
    place.add().await;
    let before = place.kept_files();
    let version = place.document("reports/a.md").await.version;
    let stored = version.stored.unwrap();
    let files = [
        (BlobKind::Original, version.file.sha256),
        (BlobKind::Text, stored.text),
        (BlobKind::Pages, stored.pages.unwrap()),
        (BlobKind::Tokens, stored.tokens.unwrap()),
    ];
    for (kind, digest) in files {
        let path = place.ingest.stores.library.path(kind, digest);
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 1;
        for damage in [Some(bytes), None] {
            damage.map_or_else(|| fs::remove_file(&path), |bytes| fs::write(&path, bytes)).unwrap();
            let report = place.add().await;
            assert_eq!((report.restored, report.unchanged), (vec!["reports/a.md".to_owned()], 2), "{kind}");
            assert!(place.kept_files() == before, "{kind}: the same bytes in the same files");
        }
    }
    assert_eq!(place.document("reports/a.md").await.version.id, version.id);
    assert_eq!(place.add().await.restored, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_text_that_the_parsers_do_not_make_any_more_is_read_anew() {
    let place = Workplace::new().await;
    place.write("a.txt", &prose("rye", 5));
    place.add().await;
    let stores = &place.ingest.stores;
    let version = place.document("reports/a.txt").await.version;
    let text = stores.library.put(BlobKind::Text, b"As another parser had it.").unwrap();
    let found = Extraction {
        title: version.title,
        media_type: version.media_type,
        state: State::Ready,
        text: Some(text),
        pages_blob: None,
        boxes: None,
        tokens_blob: None,
        characters: text.bytes,
        pages: 0,
        tokens: 1,
        warnings: serde_json::json!([]),
        error: None,
    };
    stores.catalog.register_extraction(version.id, &found).await.unwrap();
    fs::remove_file(stores.library.path(BlobKind::Text, text.digest)).unwrap();
    let report = place.add().await;
    assert_eq!((report.changed, report.unchanged, report.restored.len()), (1, 0, 1));
    let version = place.document("reports/a.txt").await.version;
    assert_eq!(stores.library.document_text(&version.stored.unwrap()).unwrap().text, prose("rye", 5));
}

/// A segment's name says nothing of the layers it holds: a stranger's archive may bring a sound file of the right name.
#[tokio::test(flavor = "multi_thread")]
async fn a_segment_of_other_layers_under_the_right_name_is_computed_again() {
    let place = Workplace::new().await;
    place.write("a.txt", &prose("rye", 60));
    place.add().await;
    let document = place.document("reports/a.txt").await;
    let part = place.ingest.stores.catalog.parts(document.version.id).await.unwrap().remove(0);
    let id = SegmentId(part.segment.0);
    let good = place.ingest.stores.kv.open_segment(&id).unwrap().unwrap();

    let other = Workplace::new().await;
    let kv = other.ingest.stores.kv.clone();
    let mut spec = other.ingest.engine.segment_spec(good.context(), good.tokens().to_vec());
    let kept = spec.layers.pop().unwrap();
    assert!(spec.id() == id && !spec.layers.is_empty());
    let layers = spec.layers.clone();
    let mut writer = kv.create(spec).unwrap();
    for stored in &layers {
        for page in 0..good.n_pages() {
            writer.push_page(stored.layer, page, &PageBuf::new(kept.shape, good.dtype())).unwrap();
        }
    }
    writer.finish().unwrap();
    assert!(kv.verify(&id).unwrap(), "sound in itself");
    let bad = kv.open_segment(&id).unwrap().unwrap();
    assert!(!other.ingest.engine.computes(&bad, part.tokens.len()));
    drop(bad);

    other.write("a.txt", &prose("rye", 60));
    other.add().await;
    assert_eq!(kv.open_segment(&id).unwrap().unwrap().layers(), good.layers());
    assert_eq!(kv.quarantined().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_damaged_index_is_built_again_from_the_texts() {
    let place = Workplace::new().await;
    place.write("a.txt", &prose("rye", 20));
    place.write("b.txt", &prose("oats", 20));
    place.add().await;
    let stores = &place.ingest.stores;
    let hits = stores.snapshot(&place.corpus).await.unwrap().index.search("oats in year 7", 5, None).unwrap();
    let folder = place.data().join("index").join(place.corpus.id.as_str());
    fs::remove_dir_all(&folder).unwrap();
    let again = stores.snapshot(&place.corpus).await.unwrap();
    assert_eq!(again.index.search("oats in year 7", 5, None).unwrap(), hits);
    drop(again);
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
        fs::write(&path, bytes).unwrap();
    }
    let again = stores.snapshot(&place.corpus).await.unwrap();
    assert_eq!(again.index.search("oats in year 7", 5, None).unwrap(), hits);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_chat_template_or_tokenizer_under_the_same_weights_has_everything_read_again() {
    let mut place = Workplace::new().await;
    let model = place.temp.path().join("model");
    let open = |template: &str| {
        tiny_model::write_folder(&model, template);
        let cache = model.parent().unwrap();
        Arc::new(Engine::open(&model, Numerics::Fast, cache, &mut |_| ()).unwrap())
    };
    let turn = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";
    place.ingest.engine = open(turn);
    place.write("a.txt", &prose("rye", 20));
    place.write("b.txt", &prose("oats", 20));
    place.add().await;
    assert_eq!(place.add().await.outdated, Vec::<String>::new());
    let before = place.document("reports/a.txt").await;
    let fingerprint = *place.ingest.engine.fingerprint();

    place.ingest.engine = open(&format!("Read. {turn}"));
    assert_eq!(*place.ingest.engine.fingerprint(), fingerprint, "the weights are the same");
    fs::remove_file(place.folder().join("b.txt")).unwrap();
    let report = place.add().await;
    assert_eq!(report.outdated, ["reports/a.txt", "reports/b.txt"], "also what was not named again");
    assert_eq!((report.changed, report.unchanged, report.missing.len()), (2, 0, 0));
    let after = place.document("reports/a.txt").await;
    assert_eq!(after.version.number, before.version.number + 1);
    let kv = &place.ingest.stores.kv;
    for part in place.ingest.stores.catalog.parts(after.version.id).await.unwrap() {
        let segment = kv.open_segment(&SegmentId(part.segment.0)).unwrap().unwrap();
        assert!(place.ingest.engine.computes(&segment, part.tokens.len()));
        assert!(!open(turn).computes(&segment, part.tokens.len()));
    }
    place.write("b.txt", &prose("oats", 20));
    assert_eq!(place.add().await.outdated, Vec::<String>::new(), "once is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_document_is_neither_read_whole_nor_kept() {
    let mut place = Workplace::new().await;
    place.ingest.limits = Arc::new(corpus::Limits { input_bytes: 1_000, ..corpus::Limits::default() });
    place.write("a.txt", "The mill grinds rye.");
    place.write("long.txt", &"rye ".repeat(1_000));
    fs::write(place.folder().join("film.mp4"), [&b"\0\0\0\x18ftypmp42"[..], &[0; 500]].concat()).unwrap();
    let report = place.add().await;
    let skipped: Vec<(&str, bool)> = report
        .skipped
        .iter()
        .map(|skipped| (skipped.path.as_str(), skipped.reason.contains("input_bytes = 1000")))
        .collect();
    assert_eq!(skipped, [("reports/film.mp4", false), ("reports/long.txt", true)], "{report:?}");
    assert_eq!((report.added, place.documents().await.len()), (1, 1));
    let originals =
        place.kept_files().into_keys().filter(|path| path.starts_with("objects/original")).count();
    assert_eq!(originals, 1);
}
