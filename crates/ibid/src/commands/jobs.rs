//! `ibid jobs`: everything slow that was started, newest first.

use crate::{
    event::Out,
    owner::{Exit, Owner},
    rest,
};
use anyhow::Result;
use catalog::{JobState, LOCAL_OWNER};

pub async fn run(owner: &Owner, out: &Out) -> Result<Exit> {
    let jobs = owner.catalog().jobs(LOCAL_OWNER).await?;
    if jobs.is_empty() {
        out.line("no jobs yet");
    }
    for job in &jobs {
        let progress = &job.progress;
        let mut line = format!("{} {} {}", job.id, job.kind, job.state);
        // How far a job came is news only while it has not succeeded.
        if progress.total > 0 && job.state != JobState::Succeeded {
            line.push_str(&format!(
                ": {} {}/{} {}",
                progress.stage, progress.done, progress.total, progress.unit
            ));
        }
        if let Some(reason) = job.error.as_ref().and_then(|error| error["message"].as_str()) {
            line.push_str(&format!(" ({reason})"));
        }
        out.line(line);
    }
    let jobs: Vec<rest::Job> = jobs.iter().map(rest::job).collect();
    out.object(rest::List::new(jobs, false, |job| &job.id));
    Ok(Exit::Done)
}
