//! `ibid serve` in a process of its own, on a port of its own.

use super::client::Client;
use crate::{
    documents::{BEES, HARBOUR, KILN},
    program::Bench,
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// Ends with the test, whatever happens.
pub struct Server {
    child: Child,
    /// Calls without a key.
    pub api: Client,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Returns once the service listens.
    pub fn start(bench: &Bench) -> Self {
        let mut command = bench.command();
        command.args(["serve", "--address", "127.0.0.1:0"]).stdout(Stdio::piped());
        let mut server = Self { child: command.spawn().unwrap(), api: Client::new("") };
        let mut line = String::new();
        BufReader::new(server.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("Ibid listens on http://");
        let address = address.and_then(|address| address.strip_suffix('/'));
        server.api = Client::new(address.unwrap_or_else(|| panic!("serve said {line:?}")));
        server
    }

    /// With the three documents of [`crate::documents`] read into a corpus `notes`, whose id is given too.
    pub fn with_notes(bench: &Bench) -> (Self, String) {
        let server = Self::start(bench);
        let corpus = server.api.create("notes");
        server.api.add(&corpus, &notes());
        (server, corpus)
    }

    /// `kill -9`
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, without waiting.
    pub fn ask_to_end(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// How it ends; it has to within `limit`.
    #[track_caller]
    pub fn ended(mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the service goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends bytes as they are and gives what is answered until the server closes: the request has to ask for that.
    pub fn raw(&self, request: &[u8]) -> String {
        answered(self.write(request))
    }

    /// Posts a body that is refused before all of it was read: what an HTTP client cannot send, it takes for an error.
    pub fn raw_post(&self, path: &str, media_type: &str, body: &[u8]) -> String {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        self.raw(&[head.as_bytes(), body].concat())
    }

    /// Sends the beginning of a request and leaves.
    pub fn broken_off(&self, request: &[u8]) -> String {
        let stream = self.write(request);
        // It fails where the server has closed already.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        answered(stream)
    }

    fn write(&self, request: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(&self.api.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // A server that has refused may close before it has read everything.
        let _ = stream.write_all(request);
        stream
    }
}

fn answered(mut stream: TcpStream) -> String {
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    String::from_utf8_lossy(&reply).into_owned()
}

/// The three documents of [`crate::documents`], as files of an upload.
pub fn notes() -> [(&'static str, &'static [u8]); 3] {
    [("harbour.md", HARBOUR.as_bytes()), ("bees.txt", BEES.as_bytes()), ("kiln.txt", KILN.as_bytes())]
}

/// Text that takes a while to read: some fifteen tokens a line.
pub fn ledger(lines: u32) -> String {
    let line = |n| format!("Entry {n}: {} crates of apples were weighed at the mill.\n", n * 7 % 90);
    format!("Mill ledger\n\n{}", (1..=lines).map(line).collect::<String>())
}

/// Writes `DATA/config.toml`.
pub fn configure(bench: &Bench, text: &str) {
    fs::create_dir_all(bench.data()).unwrap();
    fs::write(bench.data().join("config.toml"), text).unwrap();
}

/// Makes a key of the service and gives its secret.
#[track_caller]
pub fn key(bench: &Bench, owner: &str, more: &[&str]) -> String {
    key_object(bench, owner, more)["secret"].as_str().unwrap().to_owned()
}

#[track_caller]
pub fn key_object(bench: &Bench, owner: &str, more: &[&str]) -> Value {
    bench.json(["key", "create", "--owner", owner].iter().chain(more))
}

/// Looks until it holds.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
