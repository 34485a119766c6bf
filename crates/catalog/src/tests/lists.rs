//! Lists by cursor, and sums over what an owner has.

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

#[tokio::test]
async fn usage_counts_shared_bytes_once_and_sums_what_answers_took() {
    let (_dir, catalog) = open().await;
    assert_eq!(catalog.usage(LOCAL_OWNER).await.unwrap(), Usage::default());
    let one = catalog.create_corpus(LOCAL_OWNER, "one").await.unwrap().id;
    let two = catalog.create_corpus(LOCAL_OWNER, "two").await.unwrap().id;
    ingest(&catalog, &one, vec![found("a", 1)]).await;
    ingest(&catalog, &two, vec![found("b", 1), found("c", 2)]).await;
    let document = catalog.document(&one, "a").await.unwrap();
    for _ in 0..2 {
        let usage = json!({"output_tokens": 7, "prefilled_corpus_tokens": 2, "reused_corpus_tokens": 30, "ttft_ms": 1.5});
        let new = NewAnswer { usage, ..answer(&one, &document) };
        catalog.insert_answer(LOCAL_OWNER, &new).await.unwrap();
    }
    catalog.accept_answer(LOCAL_OWNER, &question(&one)).await.unwrap();
    let expected = Usage {
        corpora: 2,
        documents: 3,
        tokens: 36,
        source_bytes: 10 + 20,
        text_bytes: 1_001 + 1_002,
        kv_bytes: 5_001 + 5_002,
        answers: 3,
        output_tokens: 14,
        prefilled_corpus_tokens: 4,
        reused_corpus_tokens: 60,
    };
    assert_eq!(catalog.usage(LOCAL_OWNER).await.unwrap(), expected);
    assert_eq!(catalog.usage("someone").await.unwrap(), Usage::default());

    assert_eq!(catalog.planned_tokens(LOCAL_OWNER).await.unwrap(), 36);
    let plan = catalog.plan_ingest(&one, vec![found("d", 5)]).await.unwrap();
    let staged = catalog.begin_ingest(LOCAL_OWNER, &one, &plan, start()).await.unwrap();
    catalog.register_extraction(staged.staged[0].version.id, &extraction(5)).await.unwrap();
    assert_eq!(catalog.planned_tokens(LOCAL_OWNER).await.unwrap(), 48);
    catalog.finish_job(&staged.job, JobState::Failed, None).await.unwrap();
    assert_eq!(catalog.planned_tokens(LOCAL_OWNER).await.unwrap(), 36, "a failed job reads nothing more");
    catalog.requeue_job(&staged.job).await.unwrap();
    assert_eq!(catalog.planned_tokens(LOCAL_OWNER).await.unwrap(), 48);
    assert_eq!(catalog.usage(LOCAL_OWNER).await.unwrap().tokens, 36, "what is staged is not visible yet");
}
