//! Two owners: whatever one has, the other can neither find, list, use nor change by its id.

use std::collections::BTreeSet;

use super::*;

const OTHER: &str = "other";

/// One of everything, all of [`LOCAL_OWNER`].
struct Things {
    corpus: Id,
    document: Document,
    job: Id,
    answer: Id,
    conversation: Conversation,
    key: Key,
}

async fn things(catalog: &Catalog) -> Things {
    let corpus = catalog.create_corpus(LOCAL_OWNER, "c").await.unwrap().id;
    ingest(catalog, &corpus, vec![found("a", 1)]).await;
    let document = catalog.document(&corpus, "a").await.unwrap();
    let conversation = catalog.create_conversation(LOCAL_OWNER, &corpus, "talk").await.unwrap();
    let asked = NewQuestion { conversation: Some(conversation.id.clone()), ..question(&corpus) };
    let (id, _) = catalog.accept_answer(LOCAL_OWNER, &asked).await.unwrap();
    let new = NewJob { kind: JobKind::Verify, corpus: Some(corpus.clone()), params: json!({}) };
    let job = catalog.create_job(LOCAL_OWNER, &new).await.unwrap().id;
    let key = catalog.create_key(LOCAL_OWNER, &new_key(None)).await.unwrap();
    let conversation = catalog.conversation(LOCAL_OWNER, conversation.id.as_str()).await.unwrap();
    Things { corpus, document, job, answer: id, conversation, key }
}

fn new_key(corpora: Option<Vec<Id>>) -> NewKey {
    let scopes = BTreeSet::from([Scope::Admin]);
    NewKey { name: "k".into(), hash: digest(9), scopes, corpora, expires_ms: None }
}

fn refused<T: std::fmt::Debug>(what: &str, result: Result<T>) {
    assert!(matches!(result, Err(Error::NotFound { .. })), "{what}: {result:?}");
}

#[tokio::test]
async fn ids_of_another_owner_are_not_found_by_any_function() {
    let (_dir, catalog) = open().await;
    let theirs = things(&catalog).await;
    let own = catalog.create_corpus(OTHER, "own").await.unwrap().id;
    let conversation = theirs.conversation.id.as_str();
    refused("corpus", catalog.corpus(OTHER, theirs.corpus.as_str()).await);
    refused("corpus by name", catalog.corpus(OTHER, "c").await);
    refused("document", catalog.document_of(OTHER, theirs.document.id.as_str()).await);
    refused("file", catalog.file_of(OTHER, theirs.document.version.file.id.as_str()).await);
    assert_eq!(catalog.file_with_bytes(OTHER, digest(1)).await.unwrap(), None);
    refused("job", catalog.job(OTHER, theirs.job.as_str()).await);
    refused("cancel", catalog.request_cancel(OTHER, theirs.job.as_str()).await);
    refused("answer", catalog.answer(OTHER, theirs.answer.as_str()).await);
    refused("events", catalog.events(OTHER, theirs.answer.as_str(), None).await);
    refused("delete answer", catalog.delete_answer(OTHER, theirs.answer.as_str()).await);
    refused("conversation", catalog.conversation(OTHER, conversation).await);
    refused("answers of conversation", catalog.answers_of(OTHER, &theirs.conversation.id).await);
    refused("delete conversation", catalog.delete_conversation(OTHER, conversation).await);
    refused("revoke", catalog.revoke_key(OTHER, theirs.key.id.as_str()).await);

    refused("key", catalog.create_key(OTHER, &new_key(Some(vec![theirs.corpus.clone()]))).await);
    refused("ask", catalog.accept_answer(OTHER, &question(&theirs.corpus)).await);
    refused("insert", catalog.insert_answer(OTHER, &answer(&theirs.corpus, &theirs.document)).await);
    let asked = NewQuestion { conversation: Some(theirs.conversation.id.clone()), ..question(&own) };
    refused("ask in conversation", catalog.accept_answer(OTHER, &asked).await);
    refused("converse", catalog.create_conversation(OTHER, &theirs.corpus, "talk").await);
    let new = NewJob { kind: JobKind::Verify, corpus: Some(theirs.corpus.clone()), params: json!({}) };
    refused("create job", catalog.create_job(OTHER, &new).await);
    let plan = Plan { added: vec![found("x", 7)], ..Plan::default() };
    refused("ingest", catalog.begin_ingest(OTHER, &theirs.corpus, &plan, start()).await);
    let resume = Start::Resume(theirs.job.clone());
    refused("resume", catalog.begin_ingest(OTHER, &own, &plan, resume).await);
    assert_eq!(catalog.documents(&own, u64::MAX).await.unwrap(), [], "nothing was staged on the way");

    let still = catalog.conversation(LOCAL_OWNER, conversation).await.unwrap();
    assert_eq!(still, theirs.conversation);
    assert_eq!(catalog.job(LOCAL_OWNER, theirs.job.as_str()).await.unwrap().state, JobState::Queued);
    assert!(catalog.find_key(digest(9), 0).await.unwrap().is_some_and(|key| key.owner == LOCAL_OWNER));
    catalog.answer(LOCAL_OWNER, theirs.answer.as_str()).await.unwrap();
}

#[tokio::test]
async fn lists_of_one_owner_hold_nothing_of_another_and_take_none_of_its_cursors() {
    let (_dir, catalog) = open().await;
    let theirs = things(&catalog).await;
    let all = Page::default();
    assert!(catalog.list_corpora(OTHER, &all).await.unwrap().items.is_empty());
    assert!(
        catalog.corpora(OTHER).await.unwrap().is_empty() && catalog.jobs(OTHER).await.unwrap().is_empty()
    );
    assert!(catalog.list_jobs(OTHER, &all).await.unwrap().items.is_empty());
    assert!(catalog.list_conversations(OTHER, &all).await.unwrap().items.is_empty());
    assert!(catalog.list_keys(OTHER, &all).await.unwrap().items.is_empty());
    refused("documents", catalog.list_documents(OTHER, &theirs.corpus, &all).await);
    refused("answers", catalog.list_answers(OTHER, &theirs.corpus, &all).await);
    assert_eq!(catalog.usage(OTHER).await.unwrap(), Usage::default());
    assert_eq!(catalog.planned_tokens(OTHER).await.unwrap(), 0);

    let own = catalog.create_corpus(OTHER, "own").await.unwrap().id;
    let from = |id: &Id| Page { after: Some(id.to_string()), ..Page::default() };
    refused("corpora", catalog.list_corpora(OTHER, &from(&theirs.corpus)).await);
    refused("jobs", catalog.list_jobs(OTHER, &from(&theirs.job)).await);
    refused("conversations", catalog.list_conversations(OTHER, &from(&theirs.conversation.id)).await);
    refused("keys", catalog.list_keys(OTHER, &from(&theirs.key.id)).await);
    refused("documents", catalog.list_documents(OTHER, &own, &from(&theirs.document.id)).await);
    refused("answers", catalog.list_answers(OTHER, &own, &from(&theirs.answer)).await);
}
