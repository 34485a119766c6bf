//! The `ibid` program as the tests run it: a folder of its own, and what a run printed and returned.

use serde_json::Value;
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A temporary folder with documents in `files/` and ibid's data in `data/`.
pub struct Bench {
    folder: tempfile::TempDir,
    model: PathBuf,
}

/// How one run of the program ended.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Bench {
    /// `None`, with a printed line, where no model is given.
    pub fn new() -> Option<Self> {
        let Some(model) = std::env::var_os("IBID_TEST_MODEL") else {
            eprintln!("skipped: IBID_TEST_MODEL does not name a model file");
            return None;
        };
        Some(Self::with_model(Path::new(&model)))
    }

    /// For what has to end before any model is opened.
    pub fn without_model() -> Self {
        Self::with_model(Path::new(""))
    }

    /// With the small model of `models/recall`, which is part of the sources.
    pub fn with_recall_model() -> Self {
        Self::with_model(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/recall"))
    }

    pub fn with_model(model: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("files")).unwrap();
        Self { folder, model: model.to_owned() }
    }

    pub fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn model(&self) -> &Path {
        &self.model
    }

    /// A place beside documents and data.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: impl AsRef<Path>, text: &str) -> PathBuf {
        let path = self.files().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// The program with this bench's data folder and model, settings of the surroundings taken away.
    pub fn command(&self) -> Command {
        let mut command = self.bare_command();
        command.arg("--data").arg(self.data());
        if !self.model.as_os_str().is_empty() {
            command.arg("--model").arg(&self.model);
        }
        command
    }

    pub fn bare_command(&self) -> Command {
        let mut command = Command::new(program());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("IBID_")) {
            command.env_remove(name);
        }
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Run {
        Run::of(self.command().args(arguments))
    }

    /// Runs with `--json`; the run must succeed and print one JSON object.
    pub fn json<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Value {
        let run = Run::of(self.command().arg("--json").args(arguments));
        assert_eq!(run.code, Some(0), "{run:?}");
        run.object()
    }

    /// `ibid add CORPUS files`: the folder with all documents.
    pub fn add(&self, corpus: &str) -> Value {
        self.json([OsStr::new("add"), OsStr::new(corpus), self.files().as_os_str()])
    }

    pub fn ask(&self, corpus: &str, question: &str) -> Value {
        self.json(["ask", corpus, question])
    }

    /// The canonical text as `show --text` prints it.
    pub fn text(&self, corpus: &str, document: &str) -> String {
        let run = self.run(["show", corpus, document, "--text"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        run.out
    }

    /// Every file below the data folder.
    pub fn data_files(&self) -> Vec<PathBuf> {
        files_below(&self.data())
    }

    /// The stored KV segments.
    pub fn segments(&self) -> Vec<PathBuf> {
        files_below(&self.data().join("kv/segments"))
    }
}

impl Run {
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Standard output as one JSON object and nothing else.
    pub fn object(&self) -> Value {
        let value: Value = serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        assert!(value.is_object(), "{self:?}");
        value
    }

    /// The run failed with exit code `code`, printed no result, and its message holds all of `words`.
    #[track_caller]
    pub fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "no {word:?} in {self:?}");
        }
        assert!(!self.err.contains("panicked"), "{self:?}");
    }
}

pub fn program() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let profile = this.ancestors().nth(2).expect("test binaries lie in target/PROFILE/deps");
    let program = profile.join("ibid");
    assert!(program.exists(), "{} is missing; run: cargo build --workspace --all-targets", program.display());
    program
}

pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// What an answer says, without the names and times that differ from run to run: text, spans, quotes and scores.
pub fn said(answer: &Value) -> Value {
    let mut said = answer.clone();
    let object = said.as_object_mut().expect("an answer is an object");
    for name in ["id", "corpus_id", "corpus_version", "created_at", "usage"] {
        object.remove(name);
    }
    for document in said["attention_map"]["documents"].as_array_mut().expect("an answer has an attention map")
    {
        document.as_object_mut().expect("a stretch of the axis is an object").remove("id");
    }
    for related in said["related"].as_array_mut().expect("an answer lists what is related") {
        related.as_object_mut().expect("a related passage is an object").remove("document_id");
    }
    for citation in said["citations"].as_array_mut().expect("an answer has citations") {
        for name in ["document_id", "file_id"] {
            citation["source"].as_object_mut().expect("a citation has a source").remove(name);
        }
    }
    said
}

/// Tokens of documents computed for this answer.
pub fn prefilled(answer: &Value) -> u64 {
    answer["usage"]["prefilled_corpus_tokens"].as_u64().unwrap_or_else(|| panic!("{answer:#}"))
}

/// Without a model nearly every test of this crate ends at once and passes; this one says so.
#[test]
fn a_model_is_named_or_its_absence_is_meant() {
    let named = std::env::var_os("IBID_TEST_MODEL").is_some();
    let meant = std::env::var_os("IBID_TEST_WITHOUT_MODEL").is_some();
    assert!(
        named || meant,
        "IBID_TEST_MODEL names no model file, so that hardly anything is tested: run make test, or set \
         IBID_TEST_WITHOUT_MODEL=1 to do without"
    );
}
