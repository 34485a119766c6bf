//! The main promise: a cited answer whose quote is where the citation says, nothing read twice, the same every time.

use crate::{
    documents::{
        self, FERRY_ANSWER, FERRY_QUESTION, GLAZE_ANSWER, GLAZE_QUESTION, HONEY_ANSWER, HONEY_QUESTION,
    },
    pdf_writer::{document, line},
    program::{Bench, prefilled, said},
};
use serde_json::{Value, json};

fn slice(text: &str, source: &Value) -> String {
    let at = |name: &str| source[name].as_u64().unwrap() as usize;
    let (start, end) = (at("start_char"), at("end_char"));
    text.chars().skip(start).take(end - start).collect()
}

#[test]
fn every_citation_cuts_its_quote_out_of_the_shown_text() {
    let Some(bench) = Bench::new() else { return };
    documents::write_all(&bench);
    bench.add("notes");
    for (question, expected, document) in [
        (FERRY_QUESTION, FERRY_ANSWER, "files/harbour.md"),
        (HONEY_QUESTION, HONEY_ANSWER, "files/bees.txt"),
        (GLAZE_QUESTION, GLAZE_ANSWER, "files/kiln.txt"),
    ] {
        let answer = bench.ask("notes", question);
        assert!(answer["text"].as_str().unwrap().contains(expected), "{answer:#}");
        assert_eq!(answer["grounding"], "supported", "{answer:#}");
        let citations = answer["citations"].as_array().unwrap();
        assert_eq!(citations[0]["source"]["path"], document, "{answer:#}");
        for citation in citations {
            let source = &citation["source"];
            let text = bench.text("notes", source["path"].as_str().unwrap());
            assert_eq!(slice(&text, source), citation["quote"].as_str().unwrap(), "{citation:#}");
            assert_eq!(source["offset_unit"], "code_point");
            assert_eq!(citation["verification"]["status"], "exact", "{citation:#}");
            let by_id = bench.text("notes", source["document_id"].as_str().unwrap());
            assert_eq!(by_id, text);
        }
    }
}

#[test]
fn a_person_sees_the_quote_its_place_and_what_was_reused() {
    let Some(bench) = Bench::new() else { return };
    documents::write_all(&bench);
    bench.add("notes");
    let run = bench.run(["ask", "notes", FERRY_QUESTION]);
    assert_eq!(run.code, Some(0), "{run:?}");
    for word in [FERRY_ANSWER, "[1]", "files/harbour.md", "line ", "quote verified", ", 0 prefilled"] {
        assert!(run.out.contains(word), "no {word:?} in {run:?}");
    }
    assert!(!run.out.contains('\u{1b}'), "control sequences in a pipe: {run:?}");
}

#[test]
fn the_same_answer_cold_from_disk_and_after_a_restart_with_nothing_prefilled() {
    let Some(bench) = Bench::new() else { return };
    documents::write_all(&bench);
    bench.add("notes");
    let first = bench.ask("notes", HONEY_QUESTION);
    let second = bench.ask("notes", HONEY_QUESTION);
    assert_eq!(said(&first), said(&second));
    for answer in [&first, &second] {
        assert_eq!(prefilled(answer), 0, "{answer:#}");
        assert!(answer["usage"]["reused_corpus_tokens"].as_u64().unwrap() > 0, "{answer:#}");
        assert!(answer["usage"]["kv_bytes_read"].as_u64().unwrap() > 0, "{answer:#}");
    }
    // Cold: the stored state is gone, the rows are computed from the text within the question.
    std::fs::remove_dir_all(bench.data().join("kv")).unwrap();
    let cold = bench.ask("notes", HONEY_QUESTION);
    assert!(prefilled(&cold) > 0, "{cold:#}");
    assert_eq!(said(&cold), said(&first));
    let warm = bench.ask("notes", HONEY_QUESTION);
    assert_eq!((prefilled(&warm), said(&warm)), (0, said(&first)));
}

#[test]
fn a_corpus_read_anew_in_another_order_gives_the_same_bits() {
    let (Some(one), Some(other)) = (Bench::new(), Bench::new()) else { return };
    documents::write_all(&one);
    documents::write_all(&other);
    one.add("notes");
    for name in ["kiln.txt", "harbour.md", "bees.txt"] {
        let path = other.files().join(name);
        other.json(["add", "notes", path.to_str().unwrap()]);
    }
    let (one, mut other) = (one.ask("notes", GLAZE_QUESTION), other.ask("notes", GLAZE_QUESTION));
    // Only the path tells a file named by itself from one found in a folder.
    assert_eq!(other["citations"][0]["source"]["path"], "kiln.txt");
    other["citations"][0]["source"]["path"] = json!("files/kiln.txt");
    assert_eq!(said(&one), said(&other));
}

#[test]
fn what_is_not_in_the_documents_is_not_answered() {
    let Some(bench) = Bench::new() else { return };
    documents::write_all(&bench);
    bench.add("notes");
    let question = "Which composer wrote symphonies about Jupiter?";
    let run = bench.run(["ask", "notes", question]);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.out.to_lowercase().contains("not in these documents"), "{run:?}");

    let run = bench.run(["--json", "ask", "notes", question]);
    assert_eq!(run.code, Some(3), "{run:?}");
    let answer = run.object();
    assert_eq!(answer["grounding"], "not_in_corpus");
    assert_eq!(answer["citations"], json!([]));
}

#[test]
fn json_prints_one_object_per_command() {
    let Some(bench) = Bench::new() else { return };
    documents::write_all(&bench);
    for (arguments, object) in [
        (&["add", "notes", "files"][..], "ingest"),
        (&["list"], "list"),
        (&["show", "notes"], "corpus"),
        (&["show", "notes", "files/bees.txt"], "document"),
        (&["show", "notes", "files/bees.txt", "--text"], "document"),
        (&["ask", "notes", HONEY_QUESTION], "answer"),
        (&["jobs"], "list"),
        (&["verify"], "verification"),
        (&["remove", "notes"], "corpus.deleted"),
    ] {
        assert_eq!(bench.json(arguments)["object"], object, "{arguments:?}");
    }
}

#[test]
fn replay_gives_a_stored_answer_again_or_says_what_is_missing() {
    let Some(bench) = Bench::new() else { return };
    documents::write_all(&bench);
    bench.add("notes");
    let answer = bench.ask("notes", GLAZE_QUESTION);
    let id = answer["id"].as_str().unwrap();
    let again = bench.json(["replay", id]);
    assert_eq!(said(&again), said(&answer));
    assert_eq!(prefilled(&again), 0);

    bench.write("kiln.txt", "The kiln was sold.\n");
    bench.add("notes");
    bench.run(["replay", id]).fails(1, &[id, "version"]);
    bench.json(["remove", "notes", "files/kiln.txt"]);
    bench.run(["replay", id]).fails(1, &[id, "removed"]);
}

#[test]
fn a_citation_of_a_pdf_names_its_page_its_label_and_where_it_stands() {
    let Some(bench) = Bench::new() else { return };
    let (first, second) = (
        line(72, 700, "The lighthouse was built of grey stone."),
        line(72, 700, "The lighthouse keeper earns 84 marks."),
    );
    let labels = "/PageLabels<</Nums[0<</S/r/St 4>>]>>";
    let pdf = document(&[&first, &second], labels, "").bytes();
    std::fs::write(bench.files().join("lighthouse.pdf"), pdf).unwrap();
    bench.add("notes");
    let answer = bench.ask("notes", "How many marks does the lighthouse keeper earn?");
    let source = &answer["citations"][0]["source"];
    assert_eq!(answer["citations"][0]["quote"], "The lighthouse keeper earns 84 marks.", "{answer:#}");
    assert_eq!((&source["page_start"], &source["page_end"]), (&json!(2), &json!(2)), "{answer:#}");
    assert_eq!(source["page_label"], "v", "{answer:#}");
    let file = &bench.json(["show", "notes", "files/lighthouse.pdf"])["file_id"];
    assert_eq!(&source["file_id"], file, "{answer:#}");
    let boxes = source["boxes"].as_array().unwrap();
    let edge = |pick: fn(f64, f64) -> f64, name: &str| {
        boxes.iter().map(|area| area[name].as_f64().unwrap()).reduce(pick).unwrap()
    };
    assert!(boxes.iter().all(|area| area["page"] == 2), "{answer:#}");
    // The text begins at (72, 700) points of a page of 612 by 792, measured from below.
    let (left, top) = (edge(f64::min, "x0"), edge(f64::min, "y0"));
    let (right, bottom) = (edge(f64::max, "x1"), edge(f64::max, "y1"));
    assert!((left - 72.0 / 612.0).abs() < 0.01, "{answer:#}");
    assert!(top > 0.09 && bottom < 0.13 && top < 92.0 / 792.0 && bottom > 91.0 / 792.0, "{answer:#}");
    assert!(right > 0.3 && right < 0.6, "{answer:#}");
}

#[test]
fn words_of_its_own_arrive_piece_by_piece_and_are_never_taken_back() {
    let Some(bench) = Bench::new() else { return };
    documents::write_all(&bench);
    bench.add("notes");
    let arguments = ["ask", "notes", HONEY_QUESTION, "--mode", "free"];
    let answer = bench.run(["--json"].iter().chain(&arguments)).object();
    let run = bench.run(arguments);
    let text = answer["text"].as_str().unwrap();
    assert!(!text.is_empty() && run.out.starts_with(text), "{text:?} in {run:?}");
    let id = answer["id"].as_str().unwrap();
    assert_eq!(said(&bench.json(["replay", id])), said(&answer));
}
