//! `ibid replay`: gives a stored answer again from its stored plan and compares the two, or says what is missing.

use crate::{
    cli::Replay,
    commands::ask,
    event::Out,
    owner::{Exit, Owner},
    problem::Failure,
    rest,
    settings::Settings,
};
use anyhow::Result;
use catalog::LOCAL_OWNER;

pub async fn run(owner: &Owner, settings: &Settings, args: &Replay, out: &Out) -> Result<Exit> {
    let ingest = owner.ingest(settings, out).await?;
    let replay = answer::replay(&ingest, LOCAL_OWNER, &args.answer).await?;
    out.text(rest::printable(&replay.answer.text));
    ask::show(&replay.answer, out)?;
    if !replay.identical {
        let detail = format!("{} said otherwise when it was given: {:?}", args.answer, replay.stored_text);
        return Err(Failure::new(500, "replay_differs", detail).into());
    }
    out.note(format!("identical to the stored answer {}", args.answer));
    Ok(Exit::Done)
}
