//! Derived state that was damaged comes back as it was.

use std::fs;

use ingest::Error;
use kv::SegmentId;

use crate::workplace::{Workplace, open_engine, prose};

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

    place.ingest.rebuild_segment(document.version.id, part.idx).await.unwrap();
    assert!(fs::read(&path).unwrap() == good, "the same bytes");
    assert!(place.ingest.stores.kv.verify(&id).unwrap());
    assert_eq!(place.ingest.stores.kv.quarantined().unwrap().len(), 1);
    assert_eq!(place.ingest.stores.catalog.parts(document.version.id).await.unwrap(), parts);

    fs::remove_file(&path).unwrap();
    place.ingest.rebuild_segment(document.version.id, part.idx).await.unwrap();
    assert!(fs::read(&path).unwrap() == good, "a lost one comes back too");

    let missing = place.ingest.rebuild_segment(document.version.id, 99).await.unwrap_err();
    assert!(matches!(missing, Error::NoSuchPart { part: 99, .. }), "{missing}");
    place.ingest.engine = open_engine(2);
    let other = place.ingest.rebuild_segment(document.version.id, part.idx).await.unwrap_err();
    assert!(matches!(other, Error::OtherSegment { .. }), "{other}");
    assert!(place.ingest.stores.kv.verify(&id).unwrap(), "the good one stays");
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
