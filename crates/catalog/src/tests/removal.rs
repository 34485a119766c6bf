//! What removal leaves of a document: nothing, in any table, at once.

use super::*;

#[tokio::test]
async fn removal_scrubs_quotes_and_leaves_no_byte_of_them_on_disk() {
    let (dir, catalog) = open().await;
    let corpus = catalog.create_corpus(LOCAL_OWNER, "c").await.unwrap().id;
    ingest(&catalog, &corpus, vec![found("a", 1), found("b", 2)]).await;
    ingest(&catalog, &corpus, vec![found("a", 1)]).await;
    for path in ["a", "b"] {
        let document = catalog.document(&corpus, path).await.unwrap();
        let (id, created_ms) = catalog.insert_answer(LOCAL_OWNER, &answer(&corpus, &document)).await.unwrap();
        let stored = catalog.answer(LOCAL_OWNER, id.as_str()).await.unwrap();
        assert_eq!(stored.created_ms, created_ms);
        assert_eq!((stored.seed, stored.citations[0].quote.as_str()), (u64::MAX, MARKER));
        catalog.checkpoint().await.unwrap();
        let (_, freed) = catalog.remove_document(&document).await.unwrap();
        catalog.confirm_deleted(&freed).await.unwrap();
        let stored = catalog.answer(LOCAL_OWNER, id.as_str()).await.unwrap();
        assert!(stored.source_removed && stored.citations[0].source_removed && stored.plan.is_none());
        let black = |n: usize| "\u{2588}".repeat(n);
        assert_eq!(stored.text, [black(1), black(MARKER.len()), black(5)].join(" "));
        let (late, _) = catalog.insert_answer(LOCAL_OWNER, &answer(&corpus, &document)).await.unwrap();
        assert!(catalog.answer(LOCAL_OWNER, late.as_str()).await.unwrap().source_removed);
    }
    assert!(catalog.checkpoint().await.unwrap());
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(MARKER.len()).any(|w| w == MARKER.as_bytes()));
    }
    catalog.check_integrity().await.unwrap();
}

#[tokio::test]
async fn removal_scrubs_what_an_answer_says_without_citing_another_document() {
    let (_dir, catalog) = open().await;
    let corpus = catalog.create_corpus(LOCAL_OWNER, "c").await.unwrap().id;
    ingest(&catalog, &corpus, vec![found("a", 1), found("b", 2), found("c", 3)]).await;
    let [a, b, c] = ["a", "b", "c"].map(|path| catalog.document(&corpus, path));
    let (a, b, c) = (a.await.unwrap(), b.await.unwrap(), c.await.unwrap());
    // Composed from all three, the middle word cites b.
    let mut new = answer(&corpus, &b);
    new.text = format!("one {MARKER} two");
    new.citations[0].answer = CharSpan::new(4, 4 + MARKER.len() as u64);
    new.sources = vec![a.id.clone(), b.id.clone(), c.id.clone()];
    let (mixed, _) = catalog.insert_answer(LOCAL_OWNER, &new).await.unwrap();
    // Composed from c alone, nothing cited.
    new = NewAnswer { text: "three".into(), citations: Vec::new(), sources: vec![c.id.clone()], ..new };
    let (uncited, _) = catalog.insert_answer(LOCAL_OWNER, &new).await.unwrap();
    let text = async |id: &Id| catalog.answer(LOCAL_OWNER, id.as_str()).await.unwrap().text;

    catalog.remove_document(&a).await.unwrap();
    assert_eq!(text(&mixed).await, format!("\u{2588}\u{2588}\u{2588} {MARKER} \u{2588}\u{2588}\u{2588}"));
    assert_eq!(text(&uncited).await, "three");
    let stored = catalog.answer(LOCAL_OWNER, mixed.as_str()).await.unwrap();
    assert!(stored.plan.is_none() && stored.source_removed && !stored.citations[0].source_removed);
    catalog.remove_document(&c).await.unwrap();
    assert_eq!(text(&uncited).await, "\u{2588}".repeat(5));
    catalog.remove_document(&b).await.unwrap();
    assert!(!text(&mixed).await.contains(MARKER));
}

fn said(text: &str) -> AnswerEvent {
    AnswerEvent { seq: 0, kind: "text.delta".into(), data: json!({"text": text}) }
}

async fn no_byte_is_left(dir: &TempDir, catalog: &Catalog) {
    assert!(catalog.checkpoint().await.unwrap());
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(MARKER.len()).any(|w| w == MARKER.as_bytes()));
    }
    catalog.check_integrity().await.unwrap();
}

/// An answer that has said something, and the reply that repeats it; completed or left running.
async fn streamed(catalog: &Catalog, corpus: &Id, document: &Document, key: &str, complete: bool) -> Id {
    let (id, _) = catalog.accept_answer(LOCAL_OWNER, &question(corpus)).await.unwrap();
    catalog.begin_request(LOCAL_OWNER, key, "POST /v1/answers", digest(1)).await.unwrap();
    catalog.start_answer(&id, 1, "f").await.unwrap();
    catalog.note_sources(&id, std::slice::from_ref(&document.id)).await.unwrap();
    assert!(catalog.append_events(&id, &[said(&MARKER.repeat(400))]).await.unwrap());
    if complete {
        catalog.complete_answer(&id, &answer(corpus, document)).await.unwrap();
        let reply =
            Reply { status: 200, headers: json!({}), body: MARKER.repeat(400).into_bytes(), content: None };
        let about = About { answer: Some(id.clone()), corpus: Some(corpus.clone()) };
        catalog.finish_request(LOCAL_OWNER, key, &reply, &about).await.unwrap();
        let again = catalog.begin_request(LOCAL_OWNER, key, "POST /v1/answers", digest(1)).await.unwrap();
        assert_eq!(again, Begun::Replay(reply));
    }
    id
}

#[tokio::test]
async fn removal_takes_events_and_replies_of_complete_and_running_answers() {
    let (dir, catalog) = open().await;
    let corpus = catalog.create_corpus(LOCAL_OWNER, "c").await.unwrap().id;
    ingest(&catalog, &corpus, vec![found("a", 1), found("b", 2)]).await;
    let document = catalog.document(&corpus, "a").await.unwrap();
    let complete = streamed(&catalog, &corpus, &document, "one", true).await;
    let running = streamed(&catalog, &corpus, &document, "two", false).await;
    let other = catalog.document(&corpus, "b").await.unwrap();
    let (untouched, _) = catalog.accept_answer(LOCAL_OWNER, &question(&corpus)).await.unwrap();
    catalog.start_answer(&untouched, 1, "f").await.unwrap();
    catalog.note_sources(&untouched, std::slice::from_ref(&other.id)).await.unwrap();
    assert!(catalog.append_events(&untouched, &[said("of b")]).await.unwrap());
    catalog.checkpoint().await.unwrap();

    let (_, freed) = catalog.remove_document(&document).await.unwrap();
    let events = async |id: &Id| catalog.events(LOCAL_OWNER, id.as_str(), None).await.unwrap();
    assert_eq!((events(&complete).await, events(&running).await), (Vec::new(), Vec::new()));
    assert_eq!(events(&untouched).await, [said("of b")]);
    catalog.confirm_deleted(&freed).await.unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        // The headings of the other document's passages hold the marker too, a long run of it only the deleted rows.
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(MARKER.len() * 2).any(|w| w == MARKER.repeat(2).as_bytes()));
    }

    // The running one goes on: nothing more is kept of what it says, and its last word is stored scrubbed.
    assert!(!catalog.append_events(&running, &[said(MARKER)]).await.unwrap());
    catalog.complete_answer(&running, &answer(&corpus, &document)).await.unwrap();
    let reply = Reply { status: 200, headers: json!({}), body: MARKER.into(), content: None };
    let about = About { answer: Some(running.clone()), corpus: None };
    catalog.finish_request(LOCAL_OWNER, "two", &reply, &about).await.unwrap();
    for (key, id) in [("one", &complete), ("two", &running)] {
        let stored = catalog.answer(LOCAL_OWNER, id.as_str()).await.unwrap();
        assert!(stored.source_removed && stored.plan.is_none() && !stored.text.contains(MARKER));
        assert_eq!(stored.status, AnswerStatus::Completed);
        let again = catalog.begin_request(LOCAL_OWNER, key, "POST /v1/answers", digest(1)).await.unwrap();
        assert_eq!(again, Begun::New, "a reply that repeats removed text is forgotten");
    }
    let (_, freed) = catalog.remove_document(&other).await.unwrap();
    catalog.confirm_deleted(&freed).await.unwrap();
    no_byte_is_left(&dir, &catalog).await;
}

#[tokio::test]
async fn removal_takes_earlier_turns_out_of_requests_and_leaves_the_rest() {
    let (dir, catalog) = open().await;
    let corpus = catalog.create_corpus(LOCAL_OWNER, "c").await.unwrap().id;
    ingest(&catalog, &corpus, vec![found("a", 1), found("b", 2)]).await;
    let document = catalog.document(&corpus, "a").await.unwrap();
    let request = json!({"max_output_tokens": 9, "history": [{"question": "?", "answer": MARKER.repeat(2)}]});
    let asked = NewQuestion { request, ..question(&corpus) };
    let mut ids = Vec::new();
    for _ in 0..3 {
        let (id, _) = catalog.accept_answer(LOCAL_OWNER, &asked).await.unwrap();
        catalog.start_answer(&id, 1, "f").await.unwrap();
        catalog.note_sources(&id, std::slice::from_ref(&document.id)).await.unwrap();
        ids.push(id);
    }
    catalog.complete_answer(&ids[0], &answer(&corpus, &document)).await.unwrap();
    catalog.fail_answer(&ids[1], AnswerStatus::Cancelled, None).await.unwrap();
    let (_, freed) = catalog.remove_document(&document).await.unwrap();
    catalog.confirm_deleted(&freed).await.unwrap();
    let request = async |id: &Id| catalog.answer(LOCAL_OWNER, id.as_str()).await.unwrap().request;
    assert_eq!((request(&ids[0]).await, request(&ids[1]).await), (json!({}), json!({})));
    assert_eq!(request(&ids[2]).await, json!({"max_output_tokens": 9}), "it can still run again");
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        // The headings of the other document's passages hold the marker once.
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(MARKER.len() * 2).any(|w| w == MARKER.repeat(2).as_bytes()));
    }
}

#[tokio::test]
async fn an_answer_that_outlives_a_document_pruned_by_an_ingest_is_stored_scrubbed() {
    let (_dir, catalog) = open().await;
    let corpus = catalog.create_corpus(LOCAL_OWNER, "c").await.unwrap().id;
    ingest(&catalog, &corpus, vec![found("a", 1), found("b", 2)]).await;
    let document = catalog.document(&corpus, "a").await.unwrap();
    let (early, _) = catalog.insert_answer(LOCAL_OWNER, &answer(&corpus, &document)).await.unwrap();
    let (late, _) = catalog.accept_answer(LOCAL_OWNER, &question(&corpus)).await.unwrap();
    catalog.start_answer(&late, 1, "f").await.unwrap();

    let mut plan = catalog.plan_ingest(&corpus, vec![found("b", 2)]).await.unwrap();
    plan.removed = std::mem::take(&mut plan.missing);
    let pruning = catalog.begin_ingest(LOCAL_OWNER, &corpus, &plan, start()).await.unwrap();
    catalog.publish(&pruning.job).await.unwrap();
    // Its rows are still there for questions that began before.
    assert_eq!(catalog.documents(&corpus, 1).await.unwrap().len(), 2);
    assert!(catalog.answer(LOCAL_OWNER, early.as_str()).await.unwrap().source_removed);
    let file = document.version.file.id.as_str();
    assert!(matches!(
        catalog.document_of(LOCAL_OWNER, document.id.as_str()).await,
        Err(Error::NotFound { .. })
    ));
    assert!(matches!(catalog.file_of(LOCAL_OWNER, file).await, Err(Error::NotFound { .. })));
    catalog.note_sources(&late, std::slice::from_ref(&document.id)).await.unwrap();
    assert!(!catalog.append_events(&late, &[said(MARKER)]).await.unwrap());
    catalog.complete_answer(&late, &answer(&corpus, &document)).await.unwrap();
    assert!(!catalog.answer(LOCAL_OWNER, late.as_str()).await.unwrap().text.contains(MARKER));
}

#[tokio::test]
async fn deleted_answers_conversations_and_corpora_leave_nothing_that_was_said() {
    let (dir, catalog) = open().await;
    let corpus = catalog.create_corpus(LOCAL_OWNER, "c").await.unwrap().id;
    ingest(&catalog, &corpus, vec![found("a", 1)]).await;
    let document = catalog.document(&corpus, "a").await.unwrap();
    let id = streamed(&catalog, &corpus, &document, "one", true).await;
    catalog.delete_answer(LOCAL_OWNER, id.as_str()).await.unwrap();
    assert!(matches!(catalog.delete_answer(LOCAL_OWNER, id.as_str()).await, Err(Error::NotFound { .. })));
    assert!(matches!(
        catalog.complete_answer(&id, &answer(&corpus, &document)).await,
        Err(Error::NotFound { .. })
    ));
    let talk = catalog.create_conversation(LOCAL_OWNER, &corpus, "talk").await.unwrap();
    let asked = NewQuestion { conversation: Some(talk.id.clone()), ..question(&corpus) };
    let (id, _) = catalog.accept_answer(LOCAL_OWNER, &asked).await.unwrap();
    catalog.complete_answer(&id, &answer(&corpus, &document)).await.unwrap();
    catalog.delete_conversation(LOCAL_OWNER, talk.id.as_str()).await.unwrap();
    assert!(matches!(catalog.answer(LOCAL_OWNER, id.as_str()).await, Err(Error::NotFound { .. })));
    streamed(&catalog, &corpus, &document, "two", true).await;
    let freed = catalog.remove_corpus(&corpus).await.unwrap();
    catalog.confirm_deleted(&freed).await.unwrap();
    no_byte_is_left(&dir, &catalog).await;
    for key in ["one", "two"] {
        let again = catalog.begin_request(LOCAL_OWNER, key, "POST /v1/answers", digest(1)).await.unwrap();
        assert_eq!(again, Begun::New);
    }
}
