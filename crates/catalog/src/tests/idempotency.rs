//! The same request twice does nothing twice.

use super::*;

const ROUTE: &str = "POST /v1/corpora";
const DAY: u64 = 24 * 60 * 60 * 1_000;

fn reply(body: &str) -> Reply {
    Reply { status: 201, headers: json!({"location": "/v1/corpora/x"}), body: body.into(), content: None }
}

#[tokio::test]
async fn a_finished_request_is_replayed_a_running_one_waits_and_another_body_is_told_apart() {
    let (_dir, catalog) = open().await;
    let begin = async |key, n| catalog.begin_request(LOCAL_OWNER, key, ROUTE, digest(n)).await.unwrap();
    assert_eq!(begin("k", 1).await, Begun::New);
    assert_eq!(begin("k", 1).await, Begun::Running);
    assert_eq!(begin("k", 2).await, Begun::OtherBody);
    let elsewhere = catalog.begin_request(LOCAL_OWNER, "k", "POST /v1/jobs", digest(1)).await.unwrap();
    assert_eq!(elsewhere, Begun::OtherBody);
    assert_eq!(catalog.begin_request("someone", "k", ROUTE, digest(2)).await.unwrap(), Begun::New);
    catalog.finish_request(LOCAL_OWNER, "k", &reply("{}"), &About::default()).await.unwrap();
    assert_eq!(begin("k", 1).await, Begun::Replay(reply("{}")));
    assert_eq!(begin("k", 2).await, Begun::OtherBody);
    catalog.forget_request(LOCAL_OWNER, "k").await.unwrap();
    assert_eq!(begin("k", 1).await, Begun::Replay(reply("{}")), "a reply that was kept stays");

    assert_eq!(begin("failed", 1).await, Begun::New);
    catalog.forget_request(LOCAL_OWNER, "failed").await.unwrap();
    assert_eq!(begin("failed", 2).await, Begun::New);
}

#[tokio::test]
async fn of_many_at_once_one_is_new() {
    let (_dir, catalog) = open().await;
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let catalog = catalog.clone();
            tokio::spawn(
                async move { catalog.begin_request(LOCAL_OWNER, "k", ROUTE, digest(1)).await.unwrap() },
            )
        })
        .collect();
    let mut new = 0;
    for task in tasks {
        new += u32::from(task.await.unwrap() == Begun::New);
    }
    assert_eq!(new, 1);
}

#[tokio::test]
async fn what_a_dead_process_left_and_what_is_a_day_old_is_forgotten() {
    let (_dir, catalog) = open().await;
    let begin = async |key| catalog.begin_request(LOCAL_OWNER, key, ROUTE, digest(1)).await.unwrap();
    begin("done").await;
    catalog.finish_request(LOCAL_OWNER, "done", &reply("{}"), &About::default()).await.unwrap();
    begin("dead").await;
    assert_eq!(catalog.forget_running().await.unwrap(), 1);
    assert_eq!(begin("done").await, Begun::Replay(reply("{}")));
    assert_eq!(begin("dead").await, Begun::New);

    let now = crate::row::now_ms();
    assert_eq!(catalog.purge_requests(now + DAY / 2).await.unwrap(), 0);
    assert_eq!(catalog.purge_requests(now + DAY).await.unwrap(), 2);
    assert_eq!(begin("done").await, Begun::New);
}

#[tokio::test]
async fn a_reply_is_forgotten_with_what_it_tells_of() {
    let (_dir, catalog) = open().await;
    let corpus = catalog.create_corpus(LOCAL_OWNER, "c").await.unwrap().id;
    let (id, _) = catalog.accept_answer(LOCAL_OWNER, &question(&corpus)).await.unwrap();
    let begin = async |key| catalog.begin_request(LOCAL_OWNER, key, ROUTE, digest(1)).await.unwrap();
    let of_answer = About { answer: Some(id.clone()), corpus: None };
    let of_corpus = About { answer: None, corpus: Some(corpus.clone()) };
    for (key, about) in [("a", &of_answer), ("c", &of_corpus)] {
        begin(key).await;
        catalog.finish_request(LOCAL_OWNER, key, &reply("{}"), about).await.unwrap();
        assert_eq!(begin(key).await, Begun::Replay(reply("{}")));
    }
    begin("late").await;
    catalog.delete_answer(LOCAL_OWNER, id.as_str()).await.unwrap();
    catalog.finish_request(LOCAL_OWNER, "late", &reply("{}"), &of_answer).await.unwrap();
    assert_eq!((begin("a").await, begin("late").await), (Begun::New, Begun::New));
    catalog.remove_corpus(&corpus).await.unwrap();
    assert_eq!(begin("c").await, Begun::New);
}
