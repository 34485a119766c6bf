//! `ibid model convert`: a Llama 4 checkpoint with its experts in int4.

use crate::{
    cli::Convert,
    event::{Meter, Out},
    owner::Exit,
    problem::Failure,
    rest,
};
use anyhow::{Context, Result};
use serde_json::json;
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};
use weights::{Conversion, Model};

/// Room for headers, index, tokenizer and config beside the tensors.
const BESIDE_BYTES: u64 = 256 << 20;

pub fn run(args: &Convert, out: &Out) -> Result<Exit> {
    let Convert { source, target, force } = args;
    check_target(target, *force)?;
    let model = Model::open(source)?;
    let conversion = Conversion::plan(&model)?;
    let written = conversion.bytes_written();
    check_space(target, written.saturating_add(BESIDE_BYTES), free_bytes(&existing(target))?)?;
    let mut meter = Meter::new(out, "converting", "bytes");
    conversion.write(target, |progress| {
        meter.report(progress.bytes_done, progress.bytes_total);
        if out.cancel.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Model::open(target)?;
    out.line(format_args!(
        "model ready: {} ({} from {}, {} matrices in int4)",
        target.display(),
        rest::bytes(written),
        rest::bytes(conversion.bytes_read()),
        conversion.n_matrices()
    ));
    let id = target.file_name().unwrap_or_default().to_string_lossy();
    out.object(json!({
        "object": "model", "id": id, "path": target, "bytes": written,
        "source_bytes": conversion.bytes_read(), "int4_matrices": conversion.n_matrices(),
    }));
    Ok(Exit::Done)
}

fn check_target(target: &Path, force: bool) -> Result<(), Failure> {
    let occupied = std::fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_some());
    if force || !occupied {
        return Ok(());
    }
    let detail = format!(
        "{} is not empty; name another folder, or replace the model in it with --force",
        target.display()
    );
    Err(Failure::new(409, "folder_not_empty", detail))
}

fn check_space(target: &Path, needed: u64, free: u64) -> Result<(), Failure> {
    if needed <= free {
        return Ok(());
    }
    let detail = format!(
        "{} takes up to {}, {} are free there; free {} more or name a folder on another disk",
        target.display(),
        rest::bytes(needed),
        rest::bytes(free),
        rest::bytes(needed - free)
    );
    Err(Failure::new(507, "disk_full", detail))
}

/// The folder itself or the nearest one above it that is there.
fn existing(target: &Path) -> PathBuf {
    let there = target.ancestors().find(|folder| folder.is_dir());
    there.unwrap_or_else(|| Path::new(".")).to_owned()
}

fn free_bytes(folder: &Path) -> Result<u64> {
    let cannot = || format!("cannot see how much is free at {}", folder.display());
    let disk = rustix::fs::statvfs(folder).with_context(cannot)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_or_absent_folder_is_written_to_unasked() {
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("int4");
        assert!(check_target(&target, false).is_ok());
        std::fs::create_dir(&target).unwrap();
        assert!(check_target(&target, false).is_ok());
        std::fs::write(target.join("x"), "").unwrap();
        assert_eq!(check_target(&target, false).unwrap_err().code, "folder_not_empty");
        assert!(check_target(&target, true).is_ok());
    }

    #[test]
    fn a_disk_that_is_too_small_is_told_in_numbers() {
        assert!(check_space(Path::new("t"), 1 << 30, 1 << 30).is_ok());
        let full = check_space(Path::new("t"), 60 << 30, 20 << 30).unwrap_err();
        assert_eq!(full.code, "disk_full");
        assert!(full.detail.contains("60.0 GiB, 20.0 GiB are free there; free 40.0 GiB"), "{}", full.detail);
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(existing(&temp.path().join("a/b")), temp.path());
        assert!(free_bytes(temp.path()).unwrap() > 0);
    }
}
