//! `ibid bench`: each measurement prints one object with the promised fields. How fast anything is, is never tested.

use crate::{
    documents::{self, FERRY_QUESTION},
    program::Bench,
};
use serde_json::{Value, json};

/// Runs a measurement and checks what all of them promise; gives the object and its results by name.
#[track_caller]
fn measure(bench: &Bench, arguments: &[&str]) -> (Value, Vec<(String, Value)>) {
    let object = bench.json([&["bench"], arguments].concat());
    assert_eq!((&object["object"], &object["kind"]), (&json!("bench"), &json!(arguments[0])), "{object:#}");
    assert!(object["model"].is_string() && object["numerics"].is_string(), "{object:#}");
    let results = object["results"].as_array().unwrap_or_else(|| panic!("no results in {object:#}"));
    for result in results {
        for name in ["seconds", "tokens_per_s", "context", "threads"] {
            assert!(result[name].as_f64().is_some_and(|value| value >= 0.0), "{name} in {result:#}");
        }
        assert!(result["seconds"].as_f64() >= result["least_seconds"].as_f64(), "{result:#}");
        assert!(result["seconds"].as_f64() <= result["greatest_seconds"].as_f64(), "{result:#}");
    }
    let named = |result: &Value| (result["name"].as_str().unwrap().to_owned(), result.clone());
    let results = results.iter().map(named).collect();
    (object, results)
}

fn names(results: &[(String, Value)]) -> Vec<&str> {
    results.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn prefill_and_decode_give_a_result_for_every_length() {
    let Some(bench) = Bench::new() else { return };
    for kind in ["prefill", "decode"] {
        let (_, results) = measure(&bench, &[kind, "--tokens", "16,70", "--repeat", "2"]);
        assert_eq!(names(&results), [kind, kind]);
        assert_eq!((&results[0].1["context"], &results[1].1["context"]), (&json!(16), &json!(70)));
        assert_eq!(results[0].1["runs"].as_array().map(Vec::len), Some(2));
    }
    bench.run(["bench", "prefill", "--tokens", "9000"]).fails(1, &["window", "9000"]);
}

#[test]
fn the_stages_of_a_pass_are_told_when_they_are_asked_for() {
    let Some(bench) = Bench::new() else { return };
    for kind in ["prefill", "decode"] {
        let (object, results) = measure(&bench, &[kind, "--tokens", "16", "--repeat", "1", "--stages"]);
        assert!(object["int8_peak_operations_per_s"].as_f64().unwrap() > 0.0, "{object:#}");
        let stages = results[0].1["stages"].as_array().unwrap();
        let names: Vec<&str> = stages.iter().map(|stage| stage["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["embedding", "norms_and_quantise", "products", "attention", "head", "other"]);
        let sum = |field: &str| stages.iter().map(|stage| stage[field].as_f64().unwrap()).sum::<f64>();
        assert!((sum("share") - 1.0).abs() < 1e-6, "{stages:#?}");
        assert!((sum("seconds") - results[0].1["seconds"].as_f64().unwrap()).abs() < 1e-6, "{stages:#?}");
        // Only what decodes asks for logits.
        assert_eq!(stages[4]["operations"].as_u64().unwrap() > 0, kind == "decode", "{stages:#?}");
        assert!(stages[2]["operations"].as_u64().unwrap() > 16 * 100_000_000, "{stages:#?}");
    }
    let (_, results) = measure(&bench, &["prefill", "--tokens", "16", "--repeat", "1"]);
    assert!(results[0].1.get("stages").is_none());
}

#[test]
fn the_peak_of_the_machine_needs_no_model() {
    let bench = Bench::without_model();
    let peak = bench.json(["bench", "peak"]);
    let results = peak["results"].as_array().unwrap();
    assert!(results.len() >= 2, "{peak:#}");
    for result in results {
        assert!(result["per_s"].as_f64().unwrap() > 0.0, "{peak:#}");
    }
}

#[test]
fn a_question_is_timed_in_both_modes_and_no_corpus_token_is_prefilled() {
    let Some(bench) = Bench::new() else { return };
    let (_, own) = measure(&bench, &["ttft", "--repeat", "1"]);
    documents::write_all(&bench);
    bench.add("notes");
    let (_, given) =
        measure(&bench, &["ttft", "--corpus", "notes", "--question", FERRY_QUESTION, "--repeat", "2"]);
    for results in [own, given] {
        assert_eq!(names(&results), ["quote", "free"]);
        for (_, result) in &results {
            assert_eq!(result["prefilled_tokens"], 0, "{result:#}");
            assert!(result["composed_tokens"].as_u64().unwrap() > 0, "{result:#}");
            assert!(result["open_seconds"].is_number(), "{result:#}");
        }
        assert_eq!(results[0].1["grounding"], "supported");
    }
    bench.run(["bench", "ttft", "--corpus", "notes"]).fails(2, &["--question"]);
    bench.run(["bench", "ttft", "--corpus", "nowhere", "--question", FERRY_QUESTION]).fails(1, &["nowhere"]);
}

#[test]
fn a_composed_context_stands_beside_its_prefill() {
    let Some(bench) = Bench::new() else { return };
    let (object, results) = measure(&bench, &["ttft", "--context", "100", "--repeat", "1"]);
    assert_eq!(names(&results), ["composed", "prefilled"]);
    assert_eq!(
        (&results[0].1["prefilled_tokens"], &results[1].1["prefilled_tokens"]),
        (&json!(0), &json!(100))
    );
    assert!(results[0].1["kv_bytes_read"].as_u64().unwrap() > 0);
    assert_eq!(object["ratios"][0]["context"], 100);

    let ids = bench.path("ids.json");
    std::fs::write(&ids, json!([1, 2, 3, 4, 5, 6, 7, 8]).to_string()).unwrap();
    let ids = ids.to_str().unwrap();
    let (_, given) = measure(&bench, &["ttft", "--context", "8", "--ids", ids, "--repeat", "1"]);
    assert_eq!(given[0].1["context"], 8);
    bench.run(["bench", "ttft", "--context", "9", "--ids", ids]).fails(1, &["8 token ids", "9"]);
}

#[test]
fn an_ingest_is_timed_stage_by_stage_over_text_of_the_wanted_size() {
    let Some(bench) = Bench::new() else { return };
    documents::write_all(&bench);
    let files = bench.files();
    let files = files.to_str().unwrap();
    // More than the three documents hold, so that their texts come again.
    let (object, results) = measure(&bench, &["ingest", "--tokens", "700", "--from", files]);
    let stages = ["extract", "tokenise", "extract and tokenise, piped", "prefill", "write", "publish", "all"];
    assert_eq!(names(&results), stages);
    assert_eq!(object["tokens"], 700, "{object:#}");
    assert!(object["documents"].as_u64().unwrap() > 3, "{object:#}");
    assert!(object["kv_bytes_written"].as_u64().unwrap() > 0, "{object:#}");
    for name in
        ["extract_and_tokenise_over_prefill", "piped_over_prefill", "peak_resident_bytes", "busy_cores"]
    {
        assert!(object[name].as_f64().is_some_and(|value| value > 0.0), "{name} in {object:#}");
    }
    let nothing = bench.path("nothing");
    std::fs::create_dir(&nothing).unwrap();
    bench.run(["bench", "ingest", "--from", nothing.to_str().unwrap()]).fails(1, &["nothing", "--from"]);
}

#[test]
fn pages_are_restored_from_a_cold_and_a_warm_cache_and_nothing_is_left_behind() {
    let Some(bench) = Bench::new() else { return };
    let (_, results) = measure(&bench, &["restore", "--tokens", "70", "--repeat", "2"]);
    assert_eq!(names(&results), ["cold", "warm"]);
    for (_, result) in &results {
        assert!(result["bytes"].as_u64().unwrap() > 0, "{result:#}");
        assert!(result["bytes_per_s"].as_f64().unwrap() > 0.0, "{result:#}");
        assert!(result["read_seconds"].as_f64() <= result["greatest_seconds"].as_f64(), "{result:#}");
    }
    assert_eq!(results[0].1["bytes"], results[1].1["bytes"]);
    let left = bench.data_files().into_iter().filter(|path| path.to_string_lossy().contains(".ibid-bench"));
    assert_eq!(left.count(), 0);
}
