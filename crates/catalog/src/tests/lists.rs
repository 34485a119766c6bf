//! Lists by cursor.

use super::*;

fn ids(listed: Result<Listed<Corpus>>) -> (Vec<Id>, bool) {
    let listed = listed.unwrap();
    (listed.items.into_iter().map(|corpus| corpus.id).collect(), listed.has_more)
}

#[tokio::test]
async fn pages_go_both_ways_from_a_cursor_and_say_whether_there_is_more() {
    let (_dir, catalog) = open().await;
    let mut all = Vec::new();
    for n in 0..5 {
        all.push(catalog.create_corpus(LOCAL_OWNER, &format!("c{n}")).await.unwrap().id);
        catalog.create_corpus("someone", &format!("c{n}")).await.unwrap();
    }
    // Ids of one millisecond are in random order.
    all.sort();
    // Limit, after, before, what the page holds, whether there is more.
    type Case = (u32, Option<usize>, Option<usize>, &'static [usize], bool);
    let cases: [Case; 9] = [
        (5, None, None, &[0, 1, 2, 3, 4], false),
        (2, None, None, &[0, 1], true),
        (2, Some(1), None, &[2, 3], true),
        (2, Some(2), None, &[3, 4], false),
        (2, Some(4), None, &[], false),
        (2, None, Some(3), &[1, 2], true),
        (3, None, Some(3), &[0, 1, 2], false),
        (9, Some(0), Some(4), &[1, 2, 3], false),
        (2, Some(0), Some(4), &[1, 2], true),
    ];
    for descending in [false, true] {
        // Newest first is the same list counted from its other end.
        let id = |at: usize| all[if descending { 4 - at } else { at }].clone();
        for (limit, after, before, expected, more) in cases {
            let cursor = |at: Option<usize>| at.map(|at| id(at).to_string());
            let page = Page { limit, after: cursor(after), before: cursor(before), descending };
            let expected = expected.iter().map(|at| id(*at)).collect();
            assert_eq!(ids(catalog.list_corpora(LOCAL_OWNER, &page).await), (expected, more), "{page:?}");
        }
    }
}

#[tokio::test]
async fn a_cursor_that_is_not_in_the_list_is_not_found() {
    let (_dir, catalog) = open().await;
    let mine = catalog.create_corpus(LOCAL_OWNER, "c").await.unwrap().id;
    let other = catalog.create_corpus("someone", "c").await.unwrap().id;
    let job = NewJob { kind: JobKind::Verify, corpus: None, params: json!({}) };
    let job = catalog.create_job(LOCAL_OWNER, &job).await.unwrap().id;
    let forged = ["", "~", "%", "corp_", &mine.as_str()[..30], other.as_str(), job.as_str(), "' OR 1=1 --"];
    for cursor in forged.map(str::to_owned) {
        for page in [
            Page { after: Some(cursor.clone()), ..Page::default() },
            Page { before: Some(cursor.clone()), ..Page::default() },
            Page { after: Some(mine.to_string()), before: Some(cursor.clone()), ..Page::default() },
        ] {
            let listed = catalog.list_corpora(LOCAL_OWNER, &page).await;
            assert!(matches!(listed, Err(Error::NotFound { kind: "corpus", .. })), "{page:?}: {listed:?}");
        }
    }
}

#[tokio::test]
async fn documents_are_listed_once_as_shown_or_as_staged_since() {
    let (_dir, catalog) = open().await;
    let corpus = catalog.create_corpus(LOCAL_OWNER, "c").await.unwrap().id;
    ingest(&catalog, &corpus, vec![found("a", 1), found("b", 2)]).await;
    let plan = catalog.plan_ingest(&corpus, vec![found("b", 3), found("c", 4)]).await.unwrap();
    catalog.begin_ingest(LOCAL_OWNER, &corpus, &plan, start()).await.unwrap();
    let listed = catalog.list_documents(LOCAL_OWNER, &corpus, &Page::default()).await.unwrap();
    let mut seen: Vec<_> =
        listed.items.iter().map(|d| (d.path.as_str(), d.version.file.sha256.0[0], d.version.state)).collect();
    seen.sort();
    assert_eq!(seen, [("a", 1, State::Ready), ("b", 3, State::Queued), ("c", 4, State::Queued)]);
    assert!(listed.items.is_sorted_by_key(|document| document.id.clone()));
    for document in &listed.items {
        assert_eq!(&catalog.document_of(LOCAL_OWNER, document.id.as_str()).await.unwrap(), document);
        let file = document.version.file.id.as_str();
        let named = catalog.file_of(LOCAL_OWNER, file).await.unwrap();
        assert_eq!(named, std::slice::from_ref(document));
    }
    let known = catalog.file_with_bytes(LOCAL_OWNER, digest(1)).await.unwrap();
    assert_eq!(known.map(|file| file.bytes), Some(10));
    assert_eq!(catalog.file_with_bytes("someone", digest(1)).await.unwrap(), None);
}
