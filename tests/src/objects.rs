//! What commands print: one object for programs, words for people.

use crate::{
    documents::{self, BEES, HONEY_QUESTION},
    program::Bench,
};
use serde_json::json;
use std::fs;

#[test]
fn an_answer_says_when_it_was_given() {
    let Some(bench) = Bench::new() else { return };
    bench.write("bees.txt", BEES);
    bench.add("notes");
    let answer = bench.ask("notes", HONEY_QUESTION);
    let at = answer["created_at"].as_str().unwrap();
    assert!(at.starts_with("20") && at.ends_with('Z') && at.contains('T'), "{at}");
    let replayed = bench.json(["replay", answer["id"].as_str().unwrap()]);
    assert_eq!((&replayed["id"], &replayed["created_at"]), (&answer["id"], &answer["created_at"]));
}

#[test]
fn a_finished_job_is_finished() {
    let Some(bench) = Bench::new() else { return };
    documents::write_all(&bench);
    bench.add("notes");
    let job = bench.json(["jobs"])["data"][0].clone();
    assert_eq!((&job["state"], &job["kind"]), (&json!("succeeded"), &json!("ingest")));
    let progress = &job["progress"];
    assert_eq!(
        (&progress["stage"], &progress["done"], &progress["total"]),
        (&json!("publish"), &json!(3), &json!(3))
    );
    let run = bench.run(["jobs"]);
    assert!(run.out.contains("ingest succeeded") && !run.out.contains('/'), "{run:?}");
}

#[test]
fn an_evaluation_in_two_modes_is_one_object() {
    let Some(bench) = Bench::new() else { return };
    bench.write("bees.txt", BEES);
    bench.add("notes");
    let gold = json!([{"document": "files/bees.txt", "quote": "eighteen kilograms of honey"}]);
    let question = json!({"id": "q1", "kind": "direct", "question": HONEY_QUESTION, "accept": ["eighteen"], "gold": gold});
    let file = bench.path("questions.json");
    fs::write(&file, json!([question]).to_string()).unwrap();
    let file = file.to_str().unwrap();
    let evaluation = bench.json(["eval", "notes", file, "--mode", "quote", "--mode", "free"]);
    assert_eq!((&evaluation["object"], &evaluation["questions"]), (&json!("evaluation"), &json!(1)));
    let modes = evaluation["modes"].as_array().unwrap();
    let names: Vec<_> = modes.iter().map(|report| report["mode"].as_str().unwrap()).collect();
    assert_eq!(names, ["quote", "free"]);
    assert_eq!(modes[0]["all"]["questions"], 1, "{evaluation:#}");
    assert_eq!(modes[0]["results"][0]["id"], "q1", "{evaluation:#}");
    assert!(modes[0]["results"][0]["greedy"].is_null(), "{evaluation:#}");
}

#[test]
fn greedy_answers_are_held_against_the_reference() {
    let Some(bench) = Bench::new() else { return };
    bench.write("bees.txt", BEES);
    bench.add("notes");
    let question = json!({"id": "q1", "kind": "unanswerable", "question": HONEY_QUESTION});
    fs::write(bench.path("questions.json"), json!([question]).to_string()).unwrap();
    let file = bench.path("questions.json");
    let eval = ["eval", "notes", file.to_str().unwrap(), "--mode", "quote", "--reference"];
    let evaluation = bench.json(eval);
    let greedy = &evaluation["modes"][0]["results"][0]["greedy"];
    assert!(greedy["tokens"].as_u64().unwrap() > 4, "{evaluation:#}");
    let text = greedy["text"].as_str().unwrap();
    assert!(text.contains("kilograms of honey") && !text.contains("<|"), "{evaluation:#}");
    let parting = &greedy["parting"];
    assert!(parting.is_null() || parting["reference"] != parting["other"], "{evaluation:#}");
    let changed = usize::from(!parting.is_null());
    let shown = bench.run(eval).out;
    assert!(shown.contains(&format!("greedy answers behind the first passage: {changed} of 1")), "{shown}");
}

#[test]
fn warnings_of_a_document_are_words() {
    let Some(bench) = Bench::new() else { return };
    let path = bench.write("bees.txt", BEES);
    fs::write(&path, [&b"Bienenk\xf6nigin und Honig\n\n"[..], BEES.as_bytes()].concat()).unwrap();
    bench.add("notes");
    assert_eq!(bench.json(["show", "notes", "files/bees.txt"])["warnings"][0]["code"], "guessed_encoding");
    let run = bench.run(["show", "notes", "files/bees.txt"]);
    assert!(run.out.contains("warning: guessed encoding") && !run.out.contains('{'), "{run:?}");
}
