//! The process is killed in the middle of `add` or `remove`: nothing half-done shows, and the same command finishes
//! the work.

use crate::{
    documents::{self, HONEY_QUESTION, answers},
    program::{Bench, files_below, prefilled},
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

const SIGKILL: i32 = 9;

/// `add` in the background, its progress readable line by line.
fn start_adding(bench: &Bench) -> (Child, impl Iterator<Item = Value>) {
    let mut child = bench
        .command()
        .args(["--json", "add", "notes", "files"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    (child, lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()))
}

/// Kills `add` as soon as a progress line satisfies `when`.
fn kill_when(bench: &Bench, mut when: impl FnMut(&Value) -> bool) -> ExitStatus {
    let (mut child, mut lines) = start_adding(bench);
    let reached = lines.any(|line| line["event"] == "progress" && when(&line));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(reached, "add ended before the kill: {status}");
    status
}

/// The three small documents and a longer one, so that prefill takes a while.
fn write_documents(bench: &Bench) {
    documents::write_all(bench);
    let entries =
        (1..=50).map(|n| format!("Entry {n}: {} crates of apples were weighed at the mill.\n", n * 7 % 90));
    bench.write("ledger.txt", &format!("Mill ledger\n\n{}", entries.collect::<String>()));
}

#[test]
fn killed_at_every_stage_then_repeated_gives_the_corpus_of_an_undisturbed_run() {
    let (Some(bench), Some(undisturbed)) = (Bench::new(), Bench::new()) else { return };
    write_documents(&bench);
    write_documents(&undisturbed);
    let whole = undisturbed.add("notes");

    for stage in ["hash", "store", "extract", "prefill"] {
        let status = kill_when(&bench, |progress| progress["stage"] == stage);
        assert_eq!(status.signal(), Some(SIGKILL), "{stage}");
        assert_eq!(bench.json(["show", "notes"])["version"], 0, "killed in {stage}, yet there is a version");
        let run = bench.run(["ask", "notes", HONEY_QUESTION]);
        assert!(
            run.code != Some(0) && !run.out.contains("eighteen"),
            "killed in {stage}, yet it answers: {run:?}"
        );
    }
    // Segments are written one after another: behind the first of two the catalog knows it too.
    let status = kill_when(&bench, |_| bench.segments().len() > 1);
    assert_eq!(status.signal(), Some(SIGKILL));

    let resumed = bench.add("notes");
    let tokens = |report: &Value| report["tokens_prefilled"].as_u64().unwrap();
    assert!(tokens(&resumed) < tokens(&whole), "the finished segment was computed again: {resumed:#}");
    assert_eq!(resumed["corpus_version"], whole["corpus_version"]);
    assert_eq!(answers(&bench), answers(&undisturbed));
    for (one, other) in bench.segments().iter().zip(undisturbed.segments()) {
        assert_eq!(one.file_name(), other.file_name());
        assert!(fs::read(one).unwrap() == fs::read(&other).unwrap(), "{} differs", one.display());
    }
    assert_eq!(bench.segments().len(), undisturbed.segments().len());
    assert_eq!(bench.run(["verify"]).code, Some(0));
}

#[test]
fn killed_while_a_new_version_is_published_the_old_or_the_new_one_is_there_whole() {
    let Some(bench) = Bench::new() else { return };
    documents::write_all(&bench);
    bench.add("notes");
    bench.write("bees.txt", &documents::BEES.replace("eighteen", "twenty-two"));
    kill_when(&bench, |progress| progress["stage"] == "publish");

    let version = bench.json(["show", "notes"])["version"].clone();
    let said_now = bench.ask("notes", HONEY_QUESTION)["text"].to_string();
    let expected = if version == 1 { "eighteen" } else { "twenty-two" };
    assert!(said_now.contains(expected), "version {version} says {said_now}");

    bench.add("notes");
    let answer = bench.ask("notes", HONEY_QUESTION);
    assert!(answer["text"].as_str().unwrap().contains("twenty-two"), "{answer:#}");
    assert_eq!((prefilled(&answer), &answer["corpus_version"]), (0, &Value::from(2)));
}

#[test]
fn ctrl_c_stops_at_a_safe_point_and_says_how_to_go_on() {
    let Some(bench) = Bench::new() else { return };
    write_documents(&bench);
    let (mut child, mut lines) = start_adding(&bench);
    assert!(lines.any(|line| line["stage"] == "prefill"));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let problem = lines.find(|line| line["code"] == "cancelled").expect("a problem that says it was stopped");
    assert!(problem["detail"].as_str().unwrap().contains("repeat the command"), "{problem}");
    assert_eq!(child.wait().unwrap().code(), Some(1));

    bench.add("notes");
    assert_eq!(answers(&bench).len(), 3);
}

/// Killed after so many milliseconds, whatever it is doing then; `None` when it had ended by itself.
fn kill_after(command: &mut Command, milliseconds: u64) -> Option<ExitStatus> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(milliseconds));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    (status.signal() == Some(SIGKILL)).then_some(status)
}

#[test]
fn killed_again_and_again_add_goes_on_and_ends_as_if_undisturbed() {
    let (Some(bench), Some(undisturbed)) = (Bench::new(), Bench::new()) else { return };
    write_documents(&bench);
    write_documents(&undisturbed);
    undisturbed.add("notes");
    for round in 0..5 {
        if kill_after(bench.command().args(["add", "notes", "files"]), 50 + 400 * round).is_none() {
            break;
        }
        let shown = bench.run(["--json", "show", "notes"]);
        assert!(shown.code == Some(1) || shown.object()["version"].as_u64().unwrap() <= 1, "{shown:?}");
        assert_eq!(bench.run(["verify"]).code, Some(0), "after the kill in round {round}");
    }
    bench.add("notes");
    assert_eq!(answers(&bench), answers(&undisturbed));
    assert_eq!(bench.json(["show", "notes"])["version"], 1);
    assert_eq!(bench.segments().len(), undisturbed.segments().len());
}

#[test]
fn killed_while_it_removes_all_is_there_or_all_is_gone_and_repeating_frees_the_rest() {
    let Some(bench) = Bench::new() else { return };
    documents::write_all(&bench);
    bench.add("notes");
    bench.ask("notes", HONEY_QUESTION);
    let whole = bench.path("whole");
    copy_folder(&bench.data(), &whole);
    let n_files = bench.data_files().len();

    let (mut n_kept, mut n_gone, mut n_cut_short) = (0, 0, 0);
    for round in 0..24 {
        fs::remove_dir_all(bench.data()).unwrap();
        copy_folder(&whole, &bench.data());
        let killed = kill_after(bench.command().args(["remove", "notes"]), 3 * round);
        n_cut_short += u32::from(killed.is_some() && bench.data_files().len() < n_files);
        assert_eq!(bench.run(["verify"]).code, Some(0), "round {round}");
        match bench.run(["--json", "show", "notes"]).code {
            Some(0) => {
                n_kept += 1;
                assert_eq!(bench.text("notes", "files/bees.txt"), documents::BEES, "round {round}");
                bench.json(["remove", "notes"]);
            }
            _ => n_gone += 1,
        }
        // Whoever opened the folder next has swept up behind the killed process.
        assert!(bench.segments().is_empty(), "round {round}");
        assert!(files_below(&bench.data().join("objects")).is_empty(), "round {round}");
    }
    assert!(n_kept > 0 && n_gone > 0, "{n_kept} kept, {n_gone} gone, {n_cut_short} cut short");
}

fn copy_folder(from: &Path, to: &Path) {
    for path in files_below(from) {
        let copy = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(&path, copy).unwrap();
    }
}
