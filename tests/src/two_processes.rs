//! Two commands at once on one data folder: short ones run in the process that owns it, long ones wait their turn.

use crate::{
    documents::{self, HONEY_ANSWER, HONEY_QUESTION},
    program::{Bench, prefilled, said},
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

/// Ends the process with the test, whatever happens.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Adds far more than can be read while the test runs, and returns once prefill goes on.
fn add_a_long_document(bench: &Bench) -> (Background, impl Sized) {
    let lines =
        (0..20_000).map(|n| format!("Entry {n}: {} crates of apples were weighed at the mill.\n", n % 97));
    let path = bench.path("ledger.txt");
    fs::write(&path, lines.collect::<String>()).unwrap();
    let mut child = bench
        .command()
        .args(["--json", "add", "ledgers"])
        .arg(path)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let adding = Background(child);
    let mut progress = said.by_ref().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let under_way =
        progress.find(|event| event["stage"] == "prefill" && event["rate"].as_f64() > Some(0.0)).unwrap();
    assert_eq!(
        (&under_way["event"], &under_way["unit"]),
        (&"progress".into(), &"tokens".into()),
        "{under_way}"
    );
    assert!(under_way["done"].as_u64() < under_way["total"].as_u64(), "{under_way}");
    assert!(under_way["eta_s"].as_u64() > Some(0), "{under_way}");
    (adding, said)
}

#[test]
fn ask_list_and_show_work_while_add_runs() {
    let Some(bench) = Bench::new() else { return };
    documents::write_all(&bench);
    bench.add("notes");
    let before = bench.ask("notes", HONEY_QUESTION);
    let (mut adding, _stderr) = add_a_long_document(&bench);

    let answer = bench.ask("notes", HONEY_QUESTION);
    assert!(answer["text"].as_str().unwrap().contains(HONEY_ANSWER), "{answer:#}");
    assert_eq!((prefilled(&answer), said(&answer)), (0, said(&before)));
    let names = bench.json(["list"])["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].clone())
        .collect::<Vec<_>>();
    assert!(names.contains(&"notes".into()) && names.contains(&"ledgers".into()), "{names:?}");
    assert_eq!(bench.text("notes", "files/bees.txt"), documents::BEES);
    let words = ["\"ledgers\"", "its first documents are being read (prefill: ", " tokens); ask again later"];
    bench.run(["ask", "ledgers", HONEY_QUESTION]).fails(1, &words);
    let jobs = bench.json(["jobs"]);
    assert!(jobs["data"].as_array().unwrap().iter().any(|job| job["state"] == "running"), "{jobs:#}");
    bench.run(["ask", "nowhere", HONEY_QUESTION]).fails(1, &["nowhere"]);
    assert!(adding.0.try_wait().unwrap().is_none(), "add ended before the questions were asked");
}

#[test]
fn two_adds_at_once_both_finish() {
    let Some(bench) = Bench::new() else { return };
    documents::write_all(&bench);
    let add = |corpus: &str| {
        let mut command = bench.command();
        command.args(["--json", "add", corpus, "files"]).stdout(Stdio::null()).stderr(Stdio::null());
        Background(command.spawn().unwrap())
    };
    let mut both = [add("first"), add("second")];
    for adding in &mut both {
        assert_eq!(adding.0.wait().unwrap().code(), Some(0));
    }
    let [first, second] = ["first", "second"].map(|corpus| bench.ask(corpus, HONEY_QUESTION));
    assert_eq!(said(&first), said(&second));
    assert_eq!(bench.segments().len(), 3, "the same documents have the same segments");
}
