//! What a new user gets wrong: each mistake ends with exit code 1 or 2 and says what, where and what to do.

use crate::{
    documents::{self, BEES, HARBOUR, HONEY_QUESTION},
    program::{Bench, Run, prefilled},
};
use serde_json::json;
use std::{
    ffi::OsStr,
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
};

/// A corpus of one short document.
fn one_document() -> Option<Bench> {
    let bench = Bench::new()?;
    bench.write("bees.txt", BEES);
    bench.add("notes");
    Some(bench)
}

#[test]
fn no_model_was_fetched() {
    let bench = Bench::without_model();
    bench.write("bees.txt", BEES);
    bench
        .run(["add", "notes", "files"])
        .fails(1, &["no model was fetched yet", "ibid model fetch", "--model PATH"]);
}

#[test]
fn a_model_that_does_not_exist() {
    let bench = Bench::without_model();
    bench.write("bees.txt", BEES);
    bench.run(["add", "notes", "files", "--model", "nowhere.gguf"]).fails(
        1,
        &["nowhere.gguf", "neither a path nor one of the fetched", "ibid model fetch", "--model PATH"],
    );
}

#[test]
fn a_wrong_path_leaves_no_corpus_behind() {
    let bench = Bench::without_model();
    bench.run(["add", "notes", "reprots"]).fails(1, &["reprots", "does not exist", "check the path"]);
    assert_eq!(bench.json(["list"])["data"], json!([]));
}

#[test]
fn an_empty_folder_leaves_no_corpus_behind() {
    let bench = Bench::with_recall_model();
    bench.run(["add", "notes", "files"]).fails(1, &["found no files in", "files"]);
    assert_eq!(bench.json(["list"])["data"], json!([]));
    bench.write("bees.txt", BEES);
    bench.add("notes");
    fs::create_dir(bench.path("empty")).unwrap();
    bench.run(["add", "notes", "empty"]).fails(1, &["found no files in", "empty"]);
    assert_eq!(bench.json(["show", "notes"])["counts"]["documents"], 1);
}

#[test]
fn files_of_which_none_can_be_read() {
    let bench = Bench::with_recall_model();
    let empty = bench.write("empty.txt", "");
    let film = bench.path("film.mp4");
    fs::write(&film, b"\0\0\0\x18ftypmp42").unwrap();
    let add = || {
        let run = Run::of(bench.command().args(["add", "notes"]).args([&empty, &film]));
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.out.contains("empty.txt") && run.out.contains("film.mp4"), "{run:?}");
        assert!(run.err.contains("none of 2 files could be read"), "{run:?}");
    };
    add();
    assert_eq!(bench.json(["list"])["data"], json!([]), "nothing is left of a new corpus");

    let bees = bench.write("bees.txt", BEES);
    bench.json([OsStr::new("add"), OsStr::new("notes"), bees.as_os_str()]);
    for _ in ["added", "unchanged"] {
        add();
        let counts = bench.json(["show", "notes"])["counts"].clone();
        assert_eq!((&counts["documents"], &counts["failed"]), (&json!(2), &json!(1)), "{counts}");
    }
}

#[test]
fn two_folders_of_one_name() {
    let bench = Bench::with_recall_model();
    for (folder, text) in [("a/reports", BEES), ("b/reports", HARBOUR)] {
        fs::create_dir_all(bench.path(folder)).unwrap();
        fs::write(bench.path(folder).join("spring.txt"), text).unwrap();
    }
    bench.json(["add", "notes", "a/reports"]);
    let words = ["a/reports/spring.txt", "b/reports/spring.txt", "--as NAME", "--replace"];
    bench.run(["add", "notes", "b/reports"]).fails(1, &words);
    assert_eq!(bench.text("notes", "reports/spring.txt"), BEES);
    let shown = bench.run(["show", "notes", "reports/spring.txt"]);
    assert!(shown.out.contains("a/reports/spring.txt"), "{shown:?}");

    bench.json(["add", "notes", "b/reports", "--as", "b-reports"]);
    assert_eq!(bench.text("notes", "b-reports/spring.txt"), HARBOUR);
    assert_eq!(bench.text("notes", "reports/spring.txt"), BEES);
    bench.json(["add", "notes", "b/reports", "--replace"]);
    assert_eq!(bench.text("notes", "reports/spring.txt"), HARBOUR);
    bench.run(["add", "notes", "a", "b", "--as", "all"]).fails(1, &["\"all\"", "one file or folder"]);
}

#[test]
fn an_empty_question() {
    let Some(bench) = one_document() else { return };
    for question in ["", " \n", "?!"] {
        bench.run(["ask", "notes", question]).fails(1, &["the question is empty"]);
    }
}

#[test]
fn a_question_longer_than_fits() {
    let Some(bench) = one_document() else { return };
    let question = HONEY_QUESTION.repeat(100);
    bench.run(["ask", "notes", &question]).fails(1, &["tokens, at most 1024 fit", "shorten it"]);
}

#[test]
fn more_output_than_fits() {
    let Some(bench) = one_document() else { return };
    let arguments = ["ask", "notes", HONEY_QUESTION, "--max-output-tokens"];
    let most = u64::MAX.to_string();
    for asked in ["8192", "100000", &most] {
        let words = [asked, "output tokens do not fit", "window of 8192", "--max-output-tokens"];
        bench.run(arguments.iter().chain([&asked])).fails(1, &words);
    }
}

#[test]
fn a_corpus_read_into_another_kv_type() {
    let Some(bench) = Bench::new() else { return };
    bench.write("bees.txt", BEES);
    bench.json(["add", "notes", "files", "--kv-dtype", "bf16"]);
    assert_eq!(bench.json(["show", "notes"])["model"]["kv_dtype"], "bf16");
    let answer = bench.json(["ask", "notes", HONEY_QUESTION, "--kv-dtype", "bf16"]);
    assert_eq!((prefilled(&answer), &answer["grounding"]), (0, &"supported".into()), "{answer:#}");
    bench.run(["ask", "notes", HONEY_QUESTION]).fails(1, &["notes", "bf16", "int8", "--kv-dtype bf16"]);
    bench.run(["add", "notes", "files"]).fails(1, &["notes", "bf16", "int8", "--kv-dtype bf16"]);
    fs::write(bench.data().join("config.toml"), "kv_dtype = 'bf16'\n").unwrap();
    assert_eq!(bench.ask("notes", HONEY_QUESTION)["text"], answer["text"]);
    fs::write(bench.data().join("config.toml"), "kv_dtype = 'bf16'\nnumerics = 'reference'\n").unwrap();
    bench.run(["ask", "notes", HONEY_QUESTION]).fails(1, &["reference", "bf16"]);
}

#[test]
fn an_unknown_corpus_document_or_answer() {
    let Some(bench) = one_document() else { return };
    for arguments in [
        &["ask", "nots", HONEY_QUESTION][..],
        &["show", "nots"],
        &["remove", "nots"],
        &["show", "notes", "nots"],
        &["remove", "notes", "nots"],
        &["replay", "nots"],
    ] {
        bench.run(arguments).fails(1, &["nots"]);
    }
    let run = bench.run(["--json", "show", "nots"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    let problem: serde_json::Value = serde_json::from_str(&run.err).unwrap();
    assert_eq!((&problem["status"], &problem["code"]), (&404.into(), &"not_found".into()), "{problem}");
}

#[test]
fn a_data_folder_of_something_else_stays_as_it_is() {
    let bench = Bench::without_model();
    fs::create_dir(bench.data()).unwrap();
    fs::write(bench.data().join("thesis.tex"), "x").unwrap();
    let data = bench.data();
    let words = [data.to_str().unwrap(), "not a data folder of ibid", "thesis.tex", "--data"];
    bench.run(["list"]).fails(1, &words);
    assert_eq!(bench.data_files(), [bench.data().join("thesis.tex")]);
}

#[test]
fn a_data_folder_of_a_newer_program() {
    let bench = Bench::without_model();
    bench.json(["list"]);
    let marker = bench.data().join("ibid.json");
    fs::write(&marker, r#"{"format":"ibid-data","version":99}"#).unwrap();
    bench.run(["list"]).fails(1, &["format version 99", "update ibid"]);
    assert_eq!(fs::read_to_string(marker).unwrap(), r#"{"format":"ibid-data","version":99}"#);
}

#[test]
fn a_damaged_catalog() {
    let bench = Bench::without_model();
    bench.json(["list"]);
    fs::write(bench.data().join("catalog.sqlite"), "this is no database".repeat(100)).unwrap();
    bench.run(["list"]).fails(1, &["catalog.sqlite"]);
}

#[test]
fn a_corrupt_model_file_is_named_and_nothing_is_read_with_it() {
    let Some(bench) = Bench::new() else { return };
    bench.write("bees.txt", BEES);
    let whole = fs::read(bench.model()).unwrap();
    let mut wrong_kind = whole[..4096].to_vec();
    wrong_kind[4] = 0xee;
    for (name, bytes, words) in [
        ("empty.gguf", &[][..], ["not a model", "give a .gguf file"]),
        ("text.gguf", b"this is no model", ["not a model", "give a .gguf file"]),
        ("cut-in-header.gguf", &whole[..4096], ["cut short", "fetch the file again"]),
        ("cut-in-half.gguf", &whole[..whole.len() / 2], ["cut short", "fetched again"]),
        ("wrong-version.gguf", &wrong_kind, ["version", "fetch it again"]),
    ] {
        let path = bench.path(name);
        fs::write(&path, bytes).unwrap();
        let run = Run::of(
            bench
                .bare_command()
                .arg("--data")
                .arg(bench.data())
                .arg("--model")
                .arg(&path)
                .args(["add", "notes", "files"]),
        );
        run.fails(1, &[name, words[0], words[1]]);
    }
    assert_eq!(bench.segments(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_corpus_read_with_another_model() {
    let Some(bench) = one_document() else { return };
    let mut other = fs::read(bench.model()).unwrap();
    *other.last_mut().unwrap() ^= 1;
    let path = bench.path("other.gguf");
    fs::write(&path, other).unwrap();
    for arguments in [&["ask", "notes", HONEY_QUESTION][..], &["add", "notes", "files"]] {
        let mut command = bench.bare_command();
        command.arg("--data").arg(bench.data()).arg("--model").arg(&path).args(arguments);
        Run::of(&mut command).fails(1, &["notes", "other.gguf", "model"]);
    }
    assert_eq!(bench.ask("notes", HONEY_QUESTION)["grounding"], "supported");
}

#[test]
fn a_wrong_command_line_ends_with_two() {
    let bench = Bench::without_model();
    for arguments in [&[][..], &["aks"], &["ask", "notes"], &["add", "notes"], &["list", "--jsno"]] {
        let run = bench.run(arguments);
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{arguments:?}: {run:?}");
        assert!(run.err.contains("Usage"), "{arguments:?}: {run:?}");
    }
    assert!(!bench.data().exists());
}

#[test]
fn what_nobody_can_read_fails_and_what_nobody_reads_on_does_not() {
    let bench = Bench::without_model();
    for arguments in [&["list"][..], &["--json", "list"], &["serve", "--openapi"], &["--help"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let lost = Run::of(bench.command().args(arguments).stdout(full));
        lost.fails(1, &["cannot write to standard output", "No space left"]);
        let (reader, closed) = std::io::pipe().unwrap();
        drop(reader);
        let left = Run::of(bench.command().args(arguments).stdout(closed));
        assert_eq!((left.code, left.err.as_str()), (Some(0), ""), "{arguments:?}: {left:?}");
    }
}

#[test]
fn a_corpus_of_a_name_that_the_service_refuses_too() {
    let bench = Bench::without_model();
    bench.write("bees.txt", BEES);
    let words = ["is no name for a corpus", "give 1 to 200 characters on one line, not beginning with corp_"];
    for name in ["", "  ", "a\nb", "corp_01K6ZJ8Q4T9GZC3N5W2V7XHRME", &"n".repeat(201)] {
        bench.run(["add", name, "files"]).fails(1, &words);
        bench.run(["import", "files/bees.txt", "--as", name]).fails(1, &words);
    }
    assert_eq!(bench.json(["list"])["data"], serde_json::json!([]));
}

#[test]
fn a_question_file_that_nothing_can_be_judged_by() {
    let bench = Bench::without_model();
    let file = bench.path("questions.json");
    let eval = |questions: &str, more: &[&str]| {
        fs::write(&file, questions).unwrap();
        bench.run([&["eval", "notes", "questions.json"], more].concat())
    };
    eval("[]", &[]).fails(1, &["questions.json", "holds no questions"]);
    let misspelt = r#"[{"id": "q7", "kind": "drect", "question": "Why?"}]"#;
    eval(misspelt, &[]).fails(1, &["questions.json", "q7", "drect", "direct, paraphrase"]);
    let sound = r#"[{"id": "q7", "split": "tuning", "question": "Why?"}]"#;
    eval(sound, &["--split", "tunig"]).fails(1, &["tunig", "tuning"]);
    eval(sound, &["--passages", "0"]).fails(2, &["--passages", "from 1 on"]);
    eval(sound, &[]).fails(1, &["no corpus \"notes\""]);
}

#[test]
fn a_data_folder_that_others_may_look_into_is_told_and_stays_as_it_is() {
    let bench = Bench::without_model();
    assert_eq!(bench.run(["list"]).err, "", "a new one is closed to others");
    let mode = |mode| fs::set_permissions(bench.data(), Permissions::from_mode(mode)).unwrap();
    mode(0o755);
    let run = bench.run(["list"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.err.matches("chmod 700").count(), 1, "{run:?}");
    assert_eq!(fs::metadata(bench.data()).unwrap().permissions().mode() & 0o777, 0o755);
    mode(0o700);
    assert_eq!(bench.run(["list"]).err, "");
}

#[test]
fn a_wrong_setting_is_named_with_its_file() {
    let bench = Bench::without_model();
    bench.json(["list"]);
    fs::write(bench.data().join("config.toml"), "kv_cach_mib = 1\n").unwrap();
    bench.run(["list"]).fails(1, &["config.toml", "kv_cach_mib"]);
}

#[test]
fn asking_an_empty_corpus() {
    let Some(bench) = one_document() else { return };
    bench.json(["remove", "notes", "files/bees.txt"]);
    bench
        .run(["ask", "notes", HONEY_QUESTION])
        .fails(1, &["nothing to ask yet", "add documents first: ibid add notes"]);
    documents::write_all(&bench);
    bench.add("notes");
    assert_eq!(bench.ask("notes", HONEY_QUESTION)["grounding"], "supported");
}
