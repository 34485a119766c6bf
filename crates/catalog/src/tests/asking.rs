//! Answers from accepted to completed, and conversations.

use super::*;

fn event(seq: u64) -> AnswerEvent {
    AnswerEvent { seq, kind: "text.delta".into(), data: json!({"text": format!("word {seq}")}) }
}

async fn one_document(catalog: &Catalog) -> (Id, Document) {
    let corpus = catalog.create_corpus(LOCAL_OWNER, "c").await.unwrap().id;
    ingest(catalog, &corpus, vec![found("a", 1)]).await;
    let document = catalog.document(&corpus, "a").await.unwrap();
    (corpus, document)
}

#[tokio::test]
async fn an_answer_goes_from_queued_to_completed_and_ends_once() {
    let (_dir, catalog) = open().await;
    let (corpus, document) = one_document(&catalog).await;
    let (id, created_ms) = catalog.accept_answer(LOCAL_OWNER, &question(&corpus)).await.unwrap();
    assert_eq!(catalog.corpus(LOCAL_OWNER, "c").await.unwrap().last_asked_ms, Some(created_ms));
    let stored = async || catalog.answer(LOCAL_OWNER, id.as_str()).await.unwrap();
    let queued = stored().await;
    assert_eq!((queued.status, queued.corpus_version), (AnswerStatus::Queued, 0));
    assert_eq!((queued.grounding, queued.plan, queued.text.as_str()), (None, None, ""));
    assert_eq!((queued.request, queued.seed), (question(&corpus).request, u64::MAX - 1));

    catalog.start_answer(&id, 1, "f").await.unwrap();
    let running = Err(AnswerStatus::Running);
    let status = |result: Result<()>| {
        result.map_err(|e| match e {
            Error::AnswerFinished { status, .. } => status,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(status(catalog.start_answer(&id, 1, "f").await), running);
    assert_eq!(stored().await.model_fingerprint, "f");
    catalog.complete_answer(&id, &answer(&corpus, &document)).await.unwrap();
    let complete = stored().await;
    assert_eq!(complete.status, AnswerStatus::Completed);
    assert_eq!(complete.grounding.as_deref(), Some("supported"));
    assert_eq!((complete.seed, complete.citations.len()), (u64::MAX - 1, 1), "what was asked stays");
    assert_eq!(complete.request, json!({}), "nothing runs it again");

    let ended = Err(AnswerStatus::Completed);
    assert_eq!(status(catalog.complete_answer(&id, &answer(&corpus, &document)).await), ended);
    assert_eq!(status(catalog.fail_answer(&id, AnswerStatus::Cancelled, None).await), ended);
    assert_eq!(status(catalog.restart_answer(&id).await), ended);
    assert!(catalog.unfinished_answers().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_failed_answer_keeps_its_reason_and_a_cancelled_one_cannot_complete() {
    let (_dir, catalog) = open().await;
    let (corpus, document) = one_document(&catalog).await;
    let (failed, _) = catalog.accept_answer(LOCAL_OWNER, &question(&corpus)).await.unwrap();
    let why = json!({"code": "model_lost"});
    catalog.fail_answer(&failed, AnswerStatus::Failed, Some(&why)).await.unwrap();
    let stored = catalog.answer(LOCAL_OWNER, failed.as_str()).await.unwrap();
    assert_eq!((stored.status, stored.error, stored.request), (AnswerStatus::Failed, Some(why), json!({})));
    assert!(matches!(catalog.restart_answer(&failed).await, Err(Error::AnswerFinished { .. })));

    let (cancelled, _) = catalog.accept_answer(LOCAL_OWNER, &question(&corpus)).await.unwrap();
    catalog.start_answer(&cancelled, 1, "f").await.unwrap();
    catalog.fail_answer(&cancelled, AnswerStatus::Cancelled, None).await.unwrap();
    let late = catalog.complete_answer(&cancelled, &answer(&corpus, &document)).await;
    assert!(matches!(late, Err(Error::AnswerFinished { status: AnswerStatus::Cancelled, .. })));
    assert_eq!(catalog.answer(LOCAL_OWNER, cancelled.as_str()).await.unwrap().text, "");
}

#[tokio::test]
async fn events_are_read_behind_a_place_and_written_anew_when_an_answer_runs_again() {
    let (dir, catalog) = open().await;
    let (corpus, document) = one_document(&catalog).await;
    let (id, _) = catalog.accept_answer(LOCAL_OWNER, &question(&corpus)).await.unwrap();
    let (second, _) = catalog.accept_answer(LOCAL_OWNER, &question(&corpus)).await.unwrap();
    catalog.start_answer(&id, 1, "f").await.unwrap();
    catalog.note_sources(&id, std::slice::from_ref(&document.id)).await.unwrap();
    assert!(catalog.append_events(&id, &[event(0), event(1)]).await.unwrap());
    let events =
        async |catalog: &Catalog, after| catalog.events(LOCAL_OWNER, id.as_str(), after).await.unwrap();
    let torn = catalog.append_events(&id, &[event(2), event(1)]).await;
    assert!(matches!(torn, Err(Error::Database { .. })), "a place is told once");
    assert_eq!(events(&catalog, None).await, [event(0), event(1)], "all of a batch or none of it");
    assert_eq!(events(&catalog, Some(0)).await, [event(1)]);
    assert_eq!(events(&catalog, Some(1)).await, []);
    catalog.close().await;

    let catalog = Catalog::open(&dir.path().join("catalog.db")).await.unwrap();
    let waiting = catalog.unfinished_answers().await.unwrap();
    let mut expected = [(id.clone(), AnswerStatus::Running), (second, AnswerStatus::Queued)];
    expected.sort();
    assert_eq!(waiting.into_iter().map(|a| (a.id, a.status)).collect::<Vec<_>>(), expected);
    catalog.restart_answer(&id).await.unwrap();
    assert_eq!(catalog.answer(LOCAL_OWNER, id.as_str()).await.unwrap().status, AnswerStatus::Queued);
    assert_eq!(events(&catalog, None).await, []);
    catalog.start_answer(&id, 1, "f").await.unwrap();
    assert!(catalog.append_events(&id, &[event(0)]).await.unwrap());
    assert_eq!(events(&catalog, None).await, [event(0)]);
}

#[tokio::test]
async fn a_conversation_holds_its_answers_in_the_order_asked() {
    let (_dir, catalog) = open().await;
    let (corpus, document) = one_document(&catalog).await;
    let other = catalog.create_corpus(LOCAL_OWNER, "other").await.unwrap().id;
    let talk = catalog.create_conversation(LOCAL_OWNER, &corpus, "talk").await.unwrap();
    let asked = NewQuestion { conversation: Some(talk.id.clone()), ..question(&corpus) };
    let elsewhere = NewQuestion { corpus: other, ..asked.clone() };
    assert!(matches!(catalog.accept_answer(LOCAL_OWNER, &elsewhere).await, Err(Error::NotFound { .. })));
    let (first, _) = catalog.accept_answer(LOCAL_OWNER, &asked).await.unwrap();
    std::thread::sleep(std::time::Duration::from_millis(2));
    let (second, second_ms) = catalog.accept_answer(LOCAL_OWNER, &asked).await.unwrap();
    catalog.complete_answer(&second, &answer(&corpus, &document)).await.unwrap();
    catalog.insert_answer(LOCAL_OWNER, &answer(&corpus, &document)).await.unwrap();

    let answers = catalog.answers_of(LOCAL_OWNER, &talk.id).await.unwrap();
    let seen: Vec<_> = answers.iter().map(|a| (&a.id, a.citations.len())).collect();
    assert_eq!(seen, [(&first, 0), (&second, 1)]);
    assert_eq!(answers[0].conversation.as_ref(), Some(&talk.id));
    let stored = catalog.conversation(LOCAL_OWNER, talk.id.as_str()).await.unwrap();
    assert_eq!(stored, Conversation { updated_ms: second_ms, ..talk });
    catalog.remove_corpus(&corpus).await.unwrap();
    assert!(matches!(
        catalog.conversation(LOCAL_OWNER, stored.id.as_str()).await,
        Err(Error::NotFound { .. })
    ));
}

#[tokio::test]
async fn jobs_of_a_dead_process_are_failed_and_given_back_to_be_resumed() {
    let (_dir, catalog) = open().await;
    let corpus = catalog.create_corpus(LOCAL_OWNER, "c").await.unwrap().id;
    let plan = catalog.plan_ingest(&corpus, vec![found("a", 1), found("b", 2)]).await.unwrap();
    let first = catalog.begin_ingest(LOCAL_OWNER, &corpus, &plan, start()).await.unwrap();
    finish(&catalog, first.staged[0].version.id, 1).await;
    let new = NewJob { kind: JobKind::Verify, corpus: None, params: json!({}) };
    let queued = catalog.create_job(LOCAL_OWNER, &new).await.unwrap();
    catalog.request_cancel(LOCAL_OWNER, first.job.as_str()).await.unwrap();

    let interrupted = catalog.fail_interrupted().await.unwrap();
    let [job] = interrupted.as_slice() else { panic!("{interrupted:?}") };
    assert_eq!((&job.id, job.state, job.cancel_requested), (&first.job, JobState::Failed, true));
    assert_eq!(job.error.as_ref().unwrap()["code"], "interrupted");
    assert!(catalog.fail_interrupted().await.unwrap().is_empty());
    assert_eq!(catalog.unfinished().await.unwrap(), [queued]);
    let resume = Start::Resume(first.job.clone());
    let again = catalog.begin_ingest(LOCAL_OWNER, &corpus, &Plan::default(), resume).await.unwrap();
    let states: Vec<_> = again.staged.iter().map(|d| d.version.state).collect();
    assert_eq!(states, [State::Ready, State::Queued], "what was staged is kept");
    finish(&catalog, again.staged[1].version.id, 2).await;
    assert_eq!(catalog.publish(&first.job).await.unwrap().summary.added, 2);
}
