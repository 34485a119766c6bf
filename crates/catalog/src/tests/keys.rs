//! Keys and the browser sessions made from them.

use std::collections::BTreeSet;

use super::*;

const MINUTE: u64 = 60_000;

fn new_key(n: u8, expires_ms: Option<u64>) -> NewKey {
    let scopes = BTreeSet::from([Scope::Write, Scope::Ask]);
    NewKey { name: format!("key {n}"), hash: digest(n), scopes, corpora: None, expires_ms }
}

#[tokio::test]
async fn a_key_is_found_until_it_expires_or_is_revoked() {
    let (_dir, catalog) = open().await;
    assert!(!catalog.any_keys(0).await.unwrap());
    let corpus = catalog.create_corpus(LOCAL_OWNER, "c").await.unwrap().id;
    let restricted = NewKey { corpora: Some(vec![corpus.clone()]), ..new_key(1, Some(10 * MINUTE)) };
    let key = catalog.create_key(LOCAL_OWNER, &restricted).await.unwrap();
    assert_eq!((key.scopes.clone(), key.corpora.clone()), (restricted.scopes, restricted.corpora));
    let found = async |n, at| catalog.find_key(digest(n), at).await.unwrap();
    assert_eq!(found(2, 0).await, None);
    assert_eq!(found(1, 10 * MINUTE).await, None, "the end is not part of it");
    assert_eq!(found(1, 10 * MINUTE - 1).await.map(|k| k.id), Some(key.id.clone()));
    assert!(
        catalog.any_keys(10 * MINUTE - 1).await.unwrap() && !catalog.any_keys(10 * MINUTE).await.unwrap()
    );

    let forever = catalog.create_key(LOCAL_OWNER, &new_key(2, None)).await.unwrap();
    assert!(catalog.any_keys(u64::from(u32::MAX) * MINUTE).await.unwrap());
    let revoked = catalog.revoke_key(LOCAL_OWNER, forever.id.as_str()).await.unwrap();
    assert!(revoked.revoked_ms.is_some());
    assert_eq!(catalog.revoke_key(LOCAL_OWNER, forever.id.as_str()).await.unwrap(), revoked);
    assert_eq!(found(2, 0).await, None);
    assert!(!catalog.any_keys(10 * MINUTE).await.unwrap());

    catalog.remove_corpus(&corpus).await.unwrap();
    let stranded = found(1, 0).await.unwrap();
    assert_eq!(stranded.corpora, Some(vec![corpus]), "a key of a removed corpus does not open the others");
}

#[tokio::test]
async fn the_use_of_a_key_is_noted_once_a_minute() {
    let (_dir, catalog) = open().await;
    catalog.create_key(LOCAL_OWNER, &new_key(1, None)).await.unwrap();
    let mut noted = Vec::new();
    for at in [MINUTE, MINUTE + 5, 2 * MINUTE - 1, 2 * MINUTE, 2 * MINUTE + 1] {
        catalog.find_key(digest(1), at).await.unwrap().unwrap();
        noted.push(catalog.list_keys(LOCAL_OWNER, &Page::default()).await.unwrap().items[0].last_used_ms);
    }
    assert_eq!(noted, [MINUTE, MINUTE, MINUTE, 2 * MINUTE, 2 * MINUTE].map(Some));
}

#[tokio::test]
async fn a_session_lives_no_longer_than_its_key() {
    let (_dir, catalog) = open().await;
    let short = catalog.create_key(LOCAL_OWNER, &new_key(1, Some(MINUTE))).await.unwrap();
    let long = catalog.create_key(LOCAL_OWNER, &new_key(2, None)).await.unwrap();
    catalog.create_session(digest(11), &short.id, 9 * MINUTE).await.unwrap();
    catalog.create_session(digest(12), &long.id, 9 * MINUTE).await.unwrap();
    catalog.create_session(digest(13), &long.id, 2 * MINUTE).await.unwrap();
    let whose = async |n, at| catalog.find_session(digest(n), at).await.unwrap().map(|s| s.key.id);
    assert_eq!(whose(11, 0).await, Some(short.id.clone()));
    assert_eq!(whose(11, MINUTE).await, None);
    assert_eq!(whose(12, 9 * MINUTE - 1).await, Some(long.id.clone()));
    assert_eq!(whose(12, 9 * MINUTE).await, None);
    assert_eq!(whose(1, 0).await, None, "the digest of a key opens no session");

    assert_eq!(catalog.purge_sessions(2 * MINUTE).await.unwrap(), 1);
    assert_eq!(whose(13, 0).await, None);
    catalog.delete_session(digest(11)).await.unwrap();
    assert_eq!(whose(11, 0).await, None);
    catalog.revoke_key(LOCAL_OWNER, long.id.as_str()).await.unwrap();
    assert_eq!(whose(12, 0).await, None);
    let late = catalog.create_session(digest(14), &long.id, 9 * MINUTE).await;
    assert!(matches!(late, Err(Error::NotFound { .. })));
}
