//! `ibid model fetch --repo`: against a small server of our own that answers like the Hugging Face Hub.

use crate::program::{Bench, Run, files_below};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

/// One repository, `test/tiny` at revision `main`.
struct Hub {
    endpoint: String,
    seen: Arc<Seen>,
}

struct Seen {
    files: BTreeMap<String, Vec<u8>>,
    /// Requests for file contents, as `NAME FIRST-LAST`.
    requests: Mutex<Vec<String>>,
    /// Bytes that are sent before the connection breaks; as good as endless at first.
    break_after: AtomicU64,
    /// Weights that are sent are not those that were promised.
    lies: AtomicBool,
    commit: Mutex<String>,
    /// From the second request for a file on, its content is named by a path and its size is another.
    two_faced: AtomicBool,
}

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

impl Hub {
    fn start(files: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Seen {
            files,
            requests: Mutex::default(),
            break_after: AtomicU64::new(u64::MAX),
            lies: AtomicBool::new(false),
            commit: Mutex::new(COMMIT.into()),
            two_faced: AtomicBool::new(false),
        });
        let served = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, stream) = (served.clone(), stream.unwrap());
                // A client that hangs up early is what some tests are about.
                std::thread::spawn(move || while seen.answer(&stream).is_ok() {});
            }
        });
        Self { endpoint, seen }
    }

    fn command(&self, bench: &Bench, arguments: &[&str]) -> Command {
        let mut command = bench.command();
        command.args(["model", "fetch"]).args(arguments);
        command.env("HF_ENDPOINT", &self.endpoint).env_remove("HF_TOKEN");
        for proxy in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        command
    }

    fn fetch(&self, bench: &Bench, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(bench, arguments))
    }
}

impl Seen {
    /// One request of a connection; an error ends the connection.
    fn answer(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream).lines();
        let ended = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let request = lines.next().ok_or_else(ended)??;
        let mut range = None;
        for line in lines.by_ref() {
            let line = line?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            range = line.strip_prefix("range: bytes=").map(str::to_owned).or(range);
        }
        let path = request.split(' ').nth(1).unwrap_or_default();
        if path.starts_with("/api/models/test/tiny") {
            let siblings: Vec<_> =
                self.files.keys().map(|name| serde_json::json!({ "rfilename": name })).collect();
            let body = serde_json::json!({ "sha": COMMIT, "siblings": siblings }).to_string();
            return send(stream, "200 OK", "content-type: application/json\r\n", body.as_bytes());
        }
        let file =
            path.strip_prefix("/test/tiny/resolve/main/").and_then(|name| self.files.get_key_value(name));
        match file {
            Some((name, bytes)) => self.send_file(stream, name, bytes, range.as_deref()),
            None => send(stream, "404 Not Found", "", b"no such file"),
        }
    }

    fn send_file(
        &self,
        stream: &TcpStream,
        name: &str,
        bytes: &[u8],
        range: Option<&str>,
    ) -> std::io::Result<()> {
        let (first, last) = range.and_then(|range| range.split_once('-')).unwrap_or(("0", ""));
        let first: usize = first.parse().unwrap();
        let last = last.parse().unwrap_or(usize::MAX).min(bytes.len().saturating_sub(1));
        let asked_before = {
            let mut requests = self.requests.lock().unwrap();
            let asked = requests.iter().any(|request| request.split(' ').next() == Some(name));
            requests.push(format!("{name} {first}-{last}"));
            asked
        };
        let part = bytes.get(first..=last).unwrap_or_default();
        let (etag, commit, size) = match asked_before && self.two_faced.load(SeqCst) {
            true => ("../../../../outside".to_owned(), "../../../../outside".to_owned(), u64::MAX >> 1),
            false => (etag(name, bytes), self.commit.lock().unwrap().clone(), bytes.len() as u64),
        };
        let head = format!(
            "etag: \"{etag}\"\r\nx-repo-commit: {commit}\r\naccept-ranges: bytes\r\ncontent-range: bytes {first}-{last}/{size}\r\n"
        );
        let allowed = self.break_after.load(SeqCst) as usize;
        if part.len() > allowed {
            let length = format!("{head}content-length: {}\r\n", part.len());
            let mut stream = stream;
            write!(stream, "HTTP/1.1 206 Partial Content\r\n{length}\r\n")?;
            stream.write_all(&part[..allowed])?;
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        let mut sent = part.to_vec();
        if let Some(byte) =
            sent.last_mut().filter(|_| name.ends_with(".safetensors") && self.lies.load(SeqCst))
        {
            *byte ^= 1;
        }
        send(stream, "206 Partial Content", &head, &sent)
    }
}

/// As the Hub names content: large files by SHA-256, others by something else.
fn etag(name: &str, bytes: &[u8]) -> String {
    match name.ends_with(".safetensors") {
        true => sha256(bytes),
        false => format!("{:040x}", bytes.len()),
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    use std::fmt::Write as _;
    sha2::Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn send(mut stream: &TcpStream, status: &str, head: &str, body: &[u8]) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\n{head}content-length: {}\r\n\r\n", body.len())?;
    stream.write_all(body)?;
    stream.flush()
}

fn fixture(name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/scout/fixtures");
    fs::read(root.join(name)).unwrap()
}

/// A sharded checkpoint with what the Hub keeps beside one.
fn checkpoint() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for name in ["config.json", "model.safetensors.index.json"] {
        files.insert(name.to_owned(), fixture(&format!("sharded/{name}")));
    }
    for shard in 1..=4 {
        let name = format!("model-0000{shard}-of-00004.safetensors");
        files.insert(name.clone(), fixture(&format!("sharded/{name}")));
    }
    files.insert("tokenizer.json".into(), b"{}".to_vec());
    files.insert("tokenizer_config.json".into(), b"{}".to_vec());
    files.insert("README.md".into(), b"not part of the model".to_vec());
    files.insert("original/consolidated.safetensors".into(), b"not part of the model".to_vec());
    files.insert("../outside.safetensors".into(), b"hostile".to_vec());
    files
}

#[test]
fn a_repository_becomes_a_model_folder() {
    let bench = Bench::without_model();
    let hub = Hub::start(checkpoint());
    let run = hub.fetch(&bench, &["--repo", "test/tiny", "--json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.object()["id"], "tiny");
    assert!(run.err.contains("progress") && run.err.contains("bytes"), "{run:?}");
    let folder = bench.data().join("models/tiny");
    let names: Vec<String> = files_below(&folder)
        .iter()
        .map(|path| path.strip_prefix(&folder).unwrap().display().to_string())
        .collect();
    let expected: Vec<&String> =
        hub.seen.files.keys().filter(|name| !name.contains('/') && name.as_str() != "README.md").collect();
    assert_eq!(names.iter().collect::<Vec<_>>(), expected);
    for name in &names {
        assert!(fs::read(folder.join(name)).unwrap() == hub.seen.files[name], "{name}");
        assert!(!folder.join(name).is_symlink(), "{name}");
    }
    let inspected = bench.json(["model", "inspect", "--model", "tiny"]);
    assert!(inspected["parameters"].as_u64().unwrap() > 0, "{inspected:#}");
    let again = hub.fetch(&bench, &["--repo", "test/tiny"]);
    again.fails(1, &["models/tiny", "is there already", "remove it"]);
}

#[test]
fn a_tokenizer_in_either_form_will_do_and_both_are_taken() {
    let names: [&[&str]; 2] = [&["tokenizer.model"], &["tokenizer.json", "tokenizer.model"]];
    for names in names {
        let bench = Bench::without_model();
        let mut files = checkpoint();
        files.remove("tokenizer.json");
        files.extend(names.iter().map(|name| ((*name).to_owned(), name.as_bytes().to_vec())));
        let run = Hub::start(files).fetch(&bench, &["--repo", "test/tiny"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        let folder = bench.data().join("models/tiny");
        for name in ["tokenizer.json", "tokenizer.model"] {
            let fetched = fs::read(folder.join(name)).ok();
            let expected = names.contains(&name).then(|| name.as_bytes().to_vec());
            assert_eq!(fetched, expected, "{names:?}");
        }
    }
}

#[test]
fn one_gguf_file_of_a_repository() {
    let bench = Bench::without_model();
    let mut files = BTreeMap::new();
    files.insert("tiny.Q4.gguf".to_owned(), fixture("gguf/quantised.gguf"));
    files.insert("tiny.F16.gguf".to_owned(), fixture("gguf/tied_f16.gguf"));
    let hub = Hub::start(files);
    hub.fetch(&bench, &["--repo", "test/tiny"]).fails(1, &["--file", "tiny.F16.gguf, tiny.Q4.gguf"]);
    hub.fetch(&bench, &["--repo", "test/tiny", "--file", "tiny.Q8.gguf"])
        .fails(1, &["tiny.Q8.gguf", "test/tiny"]);
    let run = hub.fetch(&bench, &["--repo", "test/tiny@main", "--file", "tiny.F16.gguf"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let path = bench.data().join("models/tiny.F16.gguf");
    assert!(fs::read(path).unwrap() == hub.seen.files["tiny.F16.gguf"]);
    let inspected = bench.json(["model", "inspect"]);
    assert_eq!(inspected["container"], "Gguf");
    for which in ["tiny.F16", "data/models/tiny.F16.gguf", "./data/models"] {
        let run = bench.run(["--json", "model", "inspect", which]);
        match which {
            "./data/models" => run.fails(1, &["data/models", "is not a model"]),
            _ => assert_eq!(run.object()["tensors"], inspected["tensors"], "{run:?}"),
        }
    }
    let both = bench.run(["model", "inspect", "tiny.F16", "--model", "other"]);
    both.fails(2, &["cannot be used with"]);
}

#[test]
fn an_interrupted_fetch_leaves_no_model_and_goes_on_where_it_stopped() {
    let bench = Bench::without_model();
    let hub = Hub::start(checkpoint());
    hub.seen.break_after.store(20_000, SeqCst);
    let run = hub.fetch(&bench, &["--repo", "test/tiny"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(!bench.data().join("models/tiny").exists());
    bench.run(["model", "inspect"]).fails(1, &["no model was fetched yet"]);

    hub.seen.break_after.store(u64::MAX, SeqCst);
    hub.seen.requests.lock().unwrap().clear();
    let run = hub.fetch(&bench, &["--repo", "test/tiny"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let requests = hub.seen.requests.lock().unwrap().clone();
    let resumed = |request: &String| request.starts_with("model-") && !request.contains(" 0-");
    assert!(requests.iter().any(resumed), "everything was fetched from the start: {requests:?}");
    for (name, bytes) in hub.seen.files.iter().filter(|(name, _)| name.starts_with("model-")) {
        assert!(fs::read(bench.data().join("models/tiny").join(name)).unwrap() == *bytes, "{name}");
    }
}

#[test]
fn wrong_bytes_and_wrong_models_take_no_place() {
    type Change = fn(&mut BTreeMap<String, Vec<u8>>);
    let cases: [(Change, &[&str]); 5] = [
        (
            |files| {
                let index = br#"{"weight_map": {"x": "../outside.safetensors"}}"#;
                files.insert("model.safetensors.index.json".into(), index.to_vec());
            },
            &["../outside.safetensors", "no plain file name"],
        ),
        (
            |files| {
                files.remove("model-00002-of-00004.safetensors");
            },
            &["model-00002-of-00004.safetensors", "check the name"],
        ),
        (
            |files| {
                files.insert("config.json".into(), b"{".to_vec());
            },
            &["config.json", "bad JSON"],
        ),
        (
            |files| {
                files.insert("model-00002-of-00004.safetensors".into(), b"no tensors".to_vec());
            },
            &["model-00002-of-00004.safetensors"],
        ),
        (
            |files| {
                files.remove("tokenizer.json");
            },
            &["test/tiny lacks tokenizer.json and tokenizer.model"],
        ),
    ];
    for (change, words) in cases {
        let bench = Bench::without_model();
        let mut files = checkpoint();
        change(&mut files);
        Hub::start(files).fetch(&bench, &["--repo", "test/tiny"]).fails(1, words);
        assert!(!bench.data().join("models/tiny").exists());
        assert!(files_below(&bench.data()).iter().all(|path| !path.ends_with("outside.safetensors")));
    }
}

#[test]
fn bytes_other_than_the_server_promised_are_thrown_away() {
    let bench = Bench::without_model();
    let hub = Hub::start(checkpoint());
    hub.seen.lies.store(true, SeqCst);
    hub.fetch(&bench, &["--repo", "test/tiny"]).fails(1, &["SHA-256", "thrown away", "repeat the command"]);
    hub.seen.lies.store(false, SeqCst);
    let run = hub.fetch(&bench, &["--repo", "test/tiny"]);
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn a_server_that_names_content_by_a_path_gets_nothing_written() {
    let bench = Bench::without_model();
    let hub = Hub::start(checkpoint());
    *hub.seen.commit.lock().unwrap() = "../../../../outside".into();
    hub.fetch(&bench, &["--repo", "test/tiny"])
        .fails(1, &["names model.safetensors.index.json in a way that no hub does"]);
    assert!(files_below(&bench.path("")).iter().all(|path| !path.to_string_lossy().contains("outside")));
}

#[test]
fn what_a_server_says_in_its_second_answer_decides_nothing() {
    let bench = Bench::without_model();
    let mut files = checkpoint();
    files.insert("tiny.gguf".into(), fixture("gguf/quantised.gguf"));
    let hub = Hub::start(files);
    hub.seen.two_faced.store(true, SeqCst);
    let run = hub.fetch(&bench, &["--repo", "test/tiny", "--file", "tiny.gguf"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(fs::read(bench.data().join("models/tiny.gguf")).unwrap() == hub.seen.files["tiny.gguf"]);
    // The index is described twice: the second time by a path.
    hub.fetch(&bench, &["--repo", "test/tiny"]).fails(1, &["in a way that no hub does"]);
    assert!(files_below(&bench.path("")).iter().all(|path| !path.to_string_lossy().contains("outside")));
}

#[test]
fn no_network_no_repository_and_no_such_name() {
    let bench = Bench::without_model();
    let hub = Hub::start(checkpoint());
    hub.fetch(&bench, &["--repo", "test/other"]).fails(1, &["test/other", "check the name"]);
    for name in ["tiny", "a/b/c", "../x", "a/..", "a/b@", "https://x/y"] {
        hub.fetch(&bench, &["--repo", name]).fails(1, &[name, "OWNER/NAME"]);
    }
    // A port that was free a moment ago: nobody listens there.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nowhere = Hub { endpoint: format!("http://{closed}"), seen: hub.seen.clone() };
    let run = nowhere.fetch(&bench, &["--repo", "test/tiny"]);
    run.fails(1, &[&nowhere.endpoint, "cannot be reached", "check the network", "--model PATH"]);
    assert_eq!(Run::of(&mut hub.command(&bench, &["--repo", "a/b", "--from", "x"])).code, Some(2));
}
