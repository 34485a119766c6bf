//! Recall over long contexts with the real program: documents are added, questions asked, and asked again with the rows
//! that hold the answers out of sight.

pub mod corpus;

use anyhow::{Context, Result, bail, ensure};
use corpus::{CHUNK, Documents, Record, file_name, spread};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Bytes on disk for each token: KV of two layers in int8, text, tokens, and room to spare.
const BYTES_PER_TOKEN: u64 = 800;
/// Tokens of a document: the shortest, and how far others go beyond it.
const DOCUMENT_TOKENS: (usize, usize) = (2_000, 6_000);
const SEED: u64 = 20_260_401;

struct Options {
    tokens: usize,
    questions: usize,
    ibid: PathBuf,
    work: PathBuf,
    out: Option<PathBuf>,
    /// Ask also with every document read behind the ones before it.
    exact: bool,
    /// Documents end where attention chunks do.
    whole_chunks: bool,
}

pub fn run(root: &Path, arguments: &[String], usage: &'static str) -> Result<()> {
    let options = parse(root, arguments, usage)?;
    std::fs::create_dir_all(&options.work)?;
    let old = std::fs::read_dir(&options.work)?.next().is_some();
    ensure!(!old, "{} is not empty: what lies there would be measured too", options.work.display());
    check_disk(&options)?;
    let multiple = if options.whole_chunks { CHUNK } else { 1 };
    let (documents, records) =
        write_documents(&options.work.join("documents"), options.tokens, multiple, SEED)?;
    let asked = spread(&records, options.questions);
    let questions = options.work.join("questions.json");
    std::fs::write(&questions, question_file(&asked).to_string())?;
    let model = root.join("models/recall");
    let ibid = |arguments: &[&str]| Ibid { options: &options, model: &model }.run(arguments);

    let folder = options.work.join("documents");
    let added = ibid(&["add", "recall", path(&folder)?])?;
    ensure!(added.object["tokens_prefilled"] == options.tokens, "other tokens were added: {}", added.object);
    let shown = ibid(&["show", "recall"])?;
    let one = ibid(&["ask", "recall", &asked[0].question()])?;
    let eval =
        |extra: &[&str]| ibid(&[&["eval", "recall", path(&questions)?, "--mode", "free"], extra].concat());
    let (seen, hidden) = (eval(&[])?, eval(&["--hide-gold"])?);
    let exact = options.exact.then(|| eval(&["--exact"])).transpose()?;

    let n = asked.len() as u64;
    let count = |run: &Run, field: &str| {
        let tally = &run.object["modes"][0]["all"];
        tally[field].as_u64().with_context(|| format!("{field} is missing: {tally}"))
    };
    let share = |k: u64| json!({"k": k, "n": n, "interval_95": wilson(k, n)});
    let mut result = json!({
        "tokens": added.object["tokens_prefilled"], "documents": documents, "records": records.len(), "seed": SEED,
        "corpus": {"counts": shown.object["counts"], "storage": shown.object["storage"]},
        "answer_right": share(count(&seen, "answer_right")?),
        "record_cited": share(count(&seen, "citations_right")?),
        "wrong_without_its_record": share(n - count(&hidden, "answer_right")?),
        "one_question": {"text": one.object["text"], "usage": one.object["usage"], "seconds": one.seconds},
        "seconds": {"add": added.seconds, "all_questions": seen.seconds, "all_questions_hidden": hidden.seconds},
        "peak_rss_bytes": {"add": added.peak_rss, "one_question": one.peak_rss, "all_questions": seen.peak_rss},
        "command": options.command(),
    });
    if let Some(exact) = exact {
        result["exact_prefill"] = json!({
            "answer_right": share(count(&exact, "answer_right")?),
            "seconds": exact.seconds, "peak_rss_bytes": exact.peak_rss,
        });
    }
    let text = serde_json::to_string_pretty(&result)?;
    println!("{text}");
    match &options.out {
        Some(out) => {
            std::fs::write(out, text + "\n").with_context(|| format!("cannot write {}", out.display()))
        }
        None => Ok(()),
    }
}

fn parse(root: &Path, arguments: &[String], usage: &'static str) -> Result<Options> {
    let mut options = Options {
        tokens: 0,
        questions: 200,
        ibid: root.join("target/release/ibid"),
        work: root.join("target/recall"),
        out: None,
        exact: false,
        whole_chunks: false,
    };
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().context(usage);
        match name.as_str() {
            "--tokens" => options.tokens = value()?.parse()?,
            "--questions" => options.questions = value()?.parse()?,
            "--ibid" => options.ibid = value()?.into(),
            "--work" => options.work = value()?.into(),
            "--out" => options.out = Some(value()?.into()),
            "--exact" => options.exact = true,
            "--whole-chunks" => options.whole_chunks = true,
            _ => bail!(usage),
        }
    }
    ensure!(options.tokens > 0 && options.questions > 0, usage);
    ensure!(options.ibid.exists(), "{} is not built: cargo build --release", options.ibid.display());
    Ok(options)
}

impl Options {
    /// What repeats the measurement.
    fn command(&self) -> String {
        let mut command =
            format!("cargo xtask recall --tokens {} --questions {}", self.tokens, self.questions);
        for (given, name) in [(self.exact, " --exact"), (self.whole_chunks, " --whole-chunks")] {
            if given {
                command.push_str(name);
            }
        }
        command
    }
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("paths have to be Unicode here")
}

/// Refuses to begin what the disk will not hold.
fn check_disk(options: &Options) -> Result<()> {
    let output = Command::new("df").args(["-Pk", path(&options.work)?]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let free =
        text.lines().nth(1).and_then(|line| line.split_whitespace().nth(3)).context("no answer of df")?;
    let (free, needed) = (free.parse::<u64>()? * 1024, options.tokens as u64 * BYTES_PER_TOKEN);
    ensure!(
        free > needed,
        "{} tokens need {needed} bytes under {}, {free} are free",
        options.tokens,
        options.work.display()
    );
    Ok(())
}

/// Writes documents of `tokens` tokens in all into `folder`, the length of each but the last one a multiple of `multiple`;
/// gives their number and their records.
pub fn write_documents(
    folder: &Path,
    tokens: usize,
    multiple: usize,
    seed: u64,
) -> Result<(usize, Vec<Record>)> {
    std::fs::create_dir_all(folder)?;
    let (mut documents, mut records, mut left, mut n) = (Documents::new(seed), Vec::new(), tokens, 0);
    while left > 0 {
        // Lengths differ from document to document; the last one takes what is left.
        let len = (DOCUMENT_TOKENS.0 + n * 2_654_435_761 % DOCUMENT_TOKENS.1).next_multiple_of(multiple);
        let len = if left < len + DOCUMENT_TOKENS.0 { left } else { len };
        let (text, of_document) = documents.next_document(len);
        std::fs::write(folder.join(file_name(n)), text)?;
        records.extend(of_document);
        left -= len;
        n += 1;
    }
    Ok((n, records))
}

/// A question file for `ibid eval`. `documents/` is the folder that was added.
pub fn question_file(asked: &[&Record]) -> Value {
    asked
        .iter()
        .enumerate()
        .map(|(i, record)| {
            json!({
                "id": format!("record-{i}"), "kind": "record", "question": record.question(),
                "accept": [format!("{:06x}", record.value)],
                "gold": [{"document": format!("documents/{}", file_name(record.document)), "quote": record.text()}],
            })
        })
        .collect()
}

/// Wilson score interval at 95 %.
fn wilson(k: u64, n: u64) -> [f64; 2] {
    let (k, n, z) = (k as f64, n.max(1) as f64, 1.96);
    let (p, z2) = (k / n, z * z);
    let (centre, half) = (p + z2 / (2.0 * n), z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt());
    [(centre - half) / (1.0 + z2 / n), (centre + half) / (1.0 + z2 / n)]
}

struct Ibid<'a> {
    options: &'a Options,
    model: &'a Path,
}

/// One command that ended well.
struct Run {
    /// What it printed.
    object: Value,
    seconds: f64,
    peak_rss: u64,
}

impl Ibid<'_> {
    fn run(&self, arguments: &[&str]) -> Result<Run> {
        eprintln!("ibid {}", arguments.join(" "));
        let start = Instant::now();
        let printed = self.options.work.join("printed.json");
        let mut child = Command::new(&self.options.ibid)
            .args(["--json", "--data", path(&self.options.work.join("data"))?, "--model", path(self.model)?])
            .args(arguments)
            .stdout(Stdio::from(std::fs::File::create(&printed)?))
            .spawn()?;
        let mut peak_rss = 0;
        let status = loop {
            peak_rss = peak_rss.max(high_water(child.id()));
            match child.try_wait()? {
                Some(status) => break status,
                None => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        ensure!(status.success(), "ibid {} ended with {status}", arguments.join(" "));
        let text = std::fs::read_to_string(&printed)?;
        let object =
            serde_json::from_str(&text).with_context(|| format!("no JSON object was printed: {text}"))?;
        Ok(Run { object, seconds: start.elapsed().as_secs_f64(), peak_rss })
    }
}

/// Largest resident size of a process so far, bytes; 0 when it cannot be read any more.
fn high_water(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
