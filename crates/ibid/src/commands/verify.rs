//! `ibid verify`: reads every stored byte again and compares it with the digest that names it, the weights of fetched
//! models too. Damaged KV segments are set aside, so that they are never served; `ibid add` of the same files computes
//! them again.

use crate::{
    commands::model::fetched,
    event::{Meter, Out},
    owner::{Exit, Owner},
    problem::Failure,
};
use anyhow::Result;
use catalog::{Digest, Object};
use ingest::Stores;
use kv::SegmentId;
use serde_json::json;
use std::path::Path;

pub async fn run(owner: &Owner, out: &Out) -> Result<Exit> {
    owner.catalog().check_integrity().await?;
    let objects: Vec<Object> = owner.catalog().live_objects().await?.into_iter().collect();
    let total = objects.len() as u64;
    let (stores, speaker) = (owner.stores.clone(), out.clone());
    let mut found = tokio::task::spawn_blocking(move || check(&stores, &objects, &speaker)).await??;
    let (models, cache, speaker) = (owner.data.models(), owner.data.path().join("fingerprints"), out.clone());
    let (n_models, bad) =
        tokio::task::spawn_blocking(move || check_models(&models, &cache, &speaker)).await?;
    found.files.extend(bad);
    let total = total + n_models;
    for (segment, reason) in &found.segments {
        owner.stores.kv.set_aside(&SegmentId(segment.0), "damaged")?;
        owner.catalog().forget_segment(*segment).await?;
        out.line(format_args!("KV segment {segment}: {reason}; set aside"));
    }
    for reason in &found.files {
        out.line(reason);
    }
    let damaged = found.segments.len() + found.files.len();
    out.object(json!({
        "object": "verification", "checked": total, "damaged": damaged, "files": found.files,
        "segments": found.segments.iter().map(|(s, r)| json!({ "segment": s.to_string(), "reason": r })).collect::<Vec<_>>(),
    }));
    if damaged > 0 {
        let detail = format!(
            "{damaged} of {total} stored files are damaged; add their documents again, fetch their models again"
        );
        return Err(Failure::new(500, "damaged_data", detail).into());
    }
    out.line(format_args!("{total} stored files are sound"));
    Ok(Exit::Done)
}

/// Hashes every fetched model anew; how many there are, and what is wrong with them.
fn check_models(models: &Path, cache: &Path, out: &Out) -> (u64, Vec<String>) {
    let fetched = fetched(models);
    let mut bad = Vec::new();
    for path in &fetched {
        let mut meter = Meter::new(out, "verify model", "bytes");
        let checked = weights::Model::open(path).and_then(|model| {
            model.verify_fingerprint(cache, |hashed| meter.report(hashed.bytes_done, hashed.bytes_total))
        });
        bad.extend(checked.err().map(|error| error.to_string()));
    }
    (fetched.len() as u64, bad)
}

#[derive(Default)]
struct Damage {
    segments: Vec<(Digest, String)>,
    files: Vec<String>,
}

fn check(stores: &Stores, objects: &[Object], out: &Out) -> Result<Damage> {
    let mut damage = Damage::default();
    let mut meter = Meter::new(out, "verify", "files");
    for (done, object) in (1..).zip(objects) {
        if out.cancel.requested() {
            return Err(Failure::cancelled().into());
        }
        match object {
            Object::Segment(digest) => match stores.kv.verify(&SegmentId(digest.0)) {
                Ok(true) => {}
                Ok(false) => damage.segments.push((*digest, "it is missing".into())),
                Err(error) if error.is_damage() => damage.segments.push((*digest, error.to_string())),
                Err(error) => return Err(error.into()),
            },
            Object::Blob(kind, digest) => match stores.library.read(*kind, *digest) {
                Ok(_) => {}
                Err(error @ (ingest::Error::Missing { .. } | ingest::Error::Damaged { .. })) => {
                    damage.files.push(error.to_string());
                }
                Err(error) => return Err(error.into()),
            },
        }
        meter.report(done, objects.len() as u64);
    }
    Ok(damage)
}
