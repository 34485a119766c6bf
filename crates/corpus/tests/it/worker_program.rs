//! The parser child by itself, so that this crate's tests need no other program. Its one argument names a way for the
//! parser to misbehave; without it documents are extracted as usual.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use corpus::worker::{serve, serve_with};
use corpus::{ExtractError, Extracted, Limits};

fn main() -> ExitCode {
    match std::env::args().nth(1) {
        None => serve(),
        Some(how) => serve_with(move |_: File, _: &str, limits: &Limits| misbehave(&how, limits)),
    }
}

fn misbehave(how: &str, limits: &Limits) -> Result<Extracted, ExtractError> {
    let mut text = String::from("fine");
    match how {
        "overflow" => text = deep(u64::MAX).to_string(),
        "panic" => panic!("xref table at 17 is odd"),
        "abort" => std::process::abort(),
        "exit" => std::process::exit(7),
        "loop" => loop {
            black_box(&text);
        },
        "sleep" => std::thread::sleep(Duration::from_secs(3600)),
        "memory" => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(vec![1; 16 << 20]);
                black_box(&hoard);
            }
        }
        "long reply" => text = "x".repeat(limits.reply_bytes as usize),
        "chatter" => {
            for _ in 0..10_000 {
                println!("a parser that writes to standard output");
                eprintln!("a parser that writes to standard error");
            }
            std::io::stdout().flush().map_err(|error| ExtractError::malformed("test", 0, error))?;
        }
        "lie" => {
            let bytes = base::ByteSpan::new(0, 1 << 40);
            let block = corpus::Block { kind: corpus::BlockKind::Paragraph, bytes };
            return Ok(Extracted { text, blocks: vec![block], ..Extracted::default() });
        }
        "rights" => text = rights(),
        _ => return Err(ExtractError::malformed("test", 0, format!("unknown misbehaviour {how}"))),
    }
    Ok(Extracted { text, ..Extracted::default() })
}

/// Recursion that no compiler turns into a loop.
fn deep(left: u64) -> u64 {
    let frame = black_box([left; 64]);
    if left == 0 { 0 } else { deep(left - 1).wrapping_add(frame[(left % 64) as usize]) }
}

/// What the process can still do, one word each.
fn rights() -> String {
    let mut can = Vec::new();
    if File::open("/etc/hostname").is_ok() || std::fs::read_dir("/").is_ok() {
        can.push("files");
    }
    if std::net::TcpListener::bind("127.0.0.1:0").is_ok() {
        can.push("network");
    }
    if std::process::Command::new("/bin/true").status().is_ok() {
        can.push("programs");
    }
    format!("can: {}", can.join(" "))
}
