//! `ibid verify`: reads every stored byte again and compares it with the digest that names it, the weights of fetched
//! models too. Damaged KV segments are set aside, so that they are never served. The documents that stand on what is
//! damaged are named: `ibid add` of their files repairs them.

use crate::{
    commands::model::fetched,
    event::{Meter, Out},
    owner::{Exit, Owner},
    problem::Failure,
    rest,
};
use anyhow::Result;
use catalog::{Digest, Holder, Object};
use ingest::Stores;
use kv::SegmentId;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

pub async fn run(owner: &Owner, out: &Out) -> Result<Exit> {
    owner.catalog().check_integrity().await?;
    let incomplete = owner.catalog().holders_without_kv().await?;
    let objects: Vec<Object> = owner.catalog().live_objects().await?.into_iter().collect();
    let total = objects.len() as u64;
    let (stores, speaker) = (owner.stores.clone(), out.clone());
    let found = tokio::task::spawn_blocking(move || check(&stores, &objects, &speaker)).await??;
    let (models, cache, speaker) = (owner.data.models(), owner.data.path().join("fingerprints"), out.clone());
    let (n_models, bad) =
        tokio::task::spawn_blocking(move || check_models(&models, &cache, &speaker)).await?;
    let total = total + n_models;
    let affected = affected(owner, &found, &incomplete).await?;
    for (segment, reason) in &found.segments {
        owner.stores.kv.set_aside(&SegmentId(segment.0), "damaged")?;
        owner.catalog().forget_segment(*segment).await?;
        out.line(format_args!("KV segment {segment}: {reason}; set aside"));
    }
    let files: Vec<&String> = found.files.iter().map(|(_, reason)| reason).chain(&bad).collect();
    files.iter().for_each(|reason| out.line(reason));
    for (holder, lost) in &affected {
        let lost = lost.iter().copied().collect::<Vec<_>>().join(", ");
        out.line(format_args!(
            "{} of {} lacks: {lost}",
            rest::label(&holder.path),
            rest::label(&holder.corpus)
        ));
    }
    let damaged = found.segments.len() + files.len();
    let segment = |(s, r): &(Digest, String)| json!({ "segment": s.to_string(), "reason": r });
    let document = |(holder, lost): (&Holder, &BTreeSet<&str>)| json!({ "corpus": holder.corpus, "path": holder.path, "lacks": lost });
    out.object(json!({
        "object": "verification", "checked": total, "damaged": damaged, "files": files,
        "segments": found.segments.iter().map(segment).collect::<Vec<_>>(),
        "documents": affected.iter().map(document).collect::<Vec<_>>(),
    }));
    outcome(total, damaged, incomplete.len(), out)
}

/// `incomplete`: documents whose KV was lost or set aside before.
fn outcome(total: u64, damaged: usize, incomplete: usize, out: &Out) -> Result<Exit> {
    let detail = match (damaged, incomplete) {
        (0, 0) => {
            out.line(format_args!("{total} stored files are sound"));
            return Ok(Exit::Done);
        }
        (0, _) => format!(
            "{total} stored files are sound, but {incomplete} documents lack KV that was lost or set aside before; it \
             is computed again by the next question that needs it, or by ibid add of their files"
        ),
        _ => format!(
            "{damaged} of {total} stored files are damaged; ibid add of the files of these documents repairs them, a \
             model has to be fetched again"
        ),
    };
    Err(Failure::new(500, "damaged_data", detail).into())
}

/// Documents with what they lack: kinds of stored files, and `kv`.
async fn affected(
    owner: &Owner,
    found: &Damage,
    incomplete: &[Holder],
) -> Result<BTreeMap<Holder, BTreeSet<&'static str>>> {
    let mut affected: BTreeMap<Holder, BTreeSet<&'static str>> = BTreeMap::new();
    let lost = found.segments.iter().map(|(digest, _)| Object::Segment(*digest));
    for object in lost.chain(found.files.iter().map(|(object, _)| *object)) {
        for holder in owner.catalog().holders(object).await? {
            affected.entry(holder).or_default().insert(kind(object));
        }
    }
    for holder in incomplete {
        affected.entry(holder.clone()).or_default().insert(KV);
    }
    Ok(affected)
}

const KV: &str = "kv";

fn kind(object: Object) -> &'static str {
    match object {
        Object::Blob(kind, _) => kind.as_str(),
        Object::Segment(_) => KV,
    }
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
    files: Vec<(Object, String)>,
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
            Object::Blob(kind, digest) => match stores.library.check(*kind, *digest) {
                Ok(()) => {}
                Err(error) if error.is_damage() => damage.files.push((*object, error.to_string())),
                Err(error) => return Err(error.into()),
            },
        }
        meter.report(done, objects.len() as u64);
    }
    Ok(damage)
}
