//! A data folder on a full disk: the command says so, nothing half-done shows, and with room again it ends well.

use crate::{
    documents::{self, answers},
    program::{Bench, Run},
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A file system in memory, mounted where the data folder is.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, with a printed line, where this user may not mount.
    fn mount(at: &Path, kib: u32) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k,mode=700"), "tmpfs"])
            .arg(at)
            .output();
        match mount {
            Ok(done) if done.status.success() => Some(Self(at.to_owned())),
            other => {
                eprintln!("skipped: a small disk cannot be mounted here: {other:?}");
                None
            }
        }
    }

    fn resize(&self, kib: u32) {
        let resized = Command::new("mount")
            .args(["-o", &format!("remount,size={kib}k")])
            .arg(&self.0)
            .status()
            .unwrap();
        assert!(resized.success());
    }

    /// Takes up all room that is left; removing the file gives it back.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("config.toml");
        let full = fs::write(&path, "#".repeat(64 << 20)).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// The run failed for want of room, and for nothing else.
#[track_caller]
fn says_the_disk_is_full(run: &Run) {
    assert_eq!(run.code, Some(1), "{run:?}");
    let last = run.err.lines().last().unwrap_or_default();
    let problem: Value = serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {run:?}"));
    assert_eq!((&problem["code"], &problem["status"]), (&"disk_full".into(), &507.into()), "{run:?}");
}

#[test]
fn adding_on_a_disk_that_is_too_small_at_every_stage_ends_well_once_there_is_room() {
    let (Some(bench), Some(roomy)) = (Bench::new(), Bench::new()) else { return };
    let Some(disk) = SmallDisk::mount(&bench.data(), 16) else { return };
    documents::write_all(&bench);
    documents::write_all(&roomy);
    roomy.add("notes");
    let needed = roomy.data_files().iter().map(|path| path.metadata().unwrap().len()).sum::<u64>() / 1024;

    let mut n_full = 0;
    // From less than a catalog takes to little less than everything takes, each try on what the last one left.
    for part in [1, 4, 16, 40, 60] {
        disk.resize(16.max((needed * part / 64) as u32));
        let run = bench.run(["--json", "add", "notes", "files"]);
        if run.code == Some(0) {
            break;
        }
        says_the_disk_is_full(&run);
        n_full += 1;
        let shown = bench.run(["--json", "show", "notes"]);
        assert!(shown.code != Some(0) || shown.object()["version"] == 0, "{part}/64: {shown:?}");
    }
    assert!(n_full >= 3, "only {n_full} tries met a full disk");
    disk.resize(64 << 10);
    let report = bench.add("notes");
    assert!(report["corpus_version"] == 1, "{report:#}");
    assert_eq!(answers(&bench), answers(&roomy));
    assert_eq!(bench.run(["verify"]).code, Some(0));
}

#[test]
fn on_a_full_disk_what_is_there_stays_and_removal_is_possible_later() {
    let Some(bench) = Bench::new() else { return };
    let Some(disk) = SmallDisk::mount(&bench.data(), 32 << 10) else { return };
    documents::write_all(&bench);
    bench.add("notes");
    let before = answers(&bench);
    let filler = disk.fill();

    bench.write("new.txt", "A new note about the orchard behind the mill.\n");
    let mut n_full = 0;
    for arguments in
        [&["--json", "add", "notes", "files"][..], &["--json", "remove", "notes", "files/bees.txt"]]
    {
        let run = bench.run(arguments);
        if run.code != Some(0) {
            says_the_disk_is_full(&run);
            n_full += 1;
        }
    }
    assert!(n_full > 0, "no command met the full disk");
    fs::remove_file(filler).unwrap();
    assert_eq!(bench.run(["verify"]).code, Some(0));
    fs::remove_file(bench.files().join("new.txt")).unwrap();
    bench.json(["add", "notes", "files", "--prune"]);
    assert_eq!(answers(&bench), before);
    bench.json(["remove", "notes"]);
    assert_eq!(bench.segments(), Vec::<PathBuf>::new());
}
