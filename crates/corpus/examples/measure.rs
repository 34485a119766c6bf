//! Speed of this crate on a folder of documents: `measure FOLDER MODEL`, JSON on standard output.
//!
//! Each stage runs alone, on one thread, in this process; bytes are those of the files (extraction) and of the
//! canonical text (tokens, passages).

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use corpus::Limits;
use corpus::extract::extract_bytes;
use corpus::passages::{MAX_TOKENS, passages};
use corpus::tokens::Tokenizer;
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let (Some(folder), Some(model)) = (args.next(), args.next()) else {
        return Err("usage: measure FOLDER MODEL".into());
    };
    let started = Instant::now();
    let tokenizer = Tokenizer::from_model(&weights::Model::open(Path::new(&model))?)?;
    let load_s = started.elapsed().as_secs_f64();
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    files.sort();
    let mut total = Spent::default();
    let mut documents = Vec::new();
    for path in files.iter().filter(|path| path.is_file()) {
        let spent = measure(path, &tokenizer)?;
        documents.push(
            json!({ "document": path.file_name().map(|name| name.to_string_lossy()), "spent": spent.json() }),
        );
        total.add(&spent);
    }
    let report = json!({ "tokenizer_load_s": load_s, "documents": documents, "total": total.json() });
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

/// Work and seconds of each stage.
#[derive(Default)]
struct Spent {
    file_bytes: u64,
    text_bytes: u64,
    tokens: u64,
    passages: u64,
    extract_s: f64,
    encode_s: f64,
    passages_s: f64,
}

impl Spent {
    fn add(&mut self, other: &Self) {
        self.file_bytes += other.file_bytes;
        self.text_bytes += other.text_bytes;
        self.tokens += other.tokens;
        self.passages += other.passages;
        self.extract_s += other.extract_s;
        self.encode_s += other.encode_s;
        self.passages_s += other.passages_s;
    }

    fn json(&self) -> Value {
        json!({
            "file_bytes": self.file_bytes,
            "text_bytes": self.text_bytes,
            "tokens": self.tokens,
            "passages": self.passages,
            "extract_mb_per_s": self.file_bytes as f64 / 1e6 / self.extract_s,
            "encode_tokens_per_s": self.tokens as f64 / self.encode_s,
            "passages_tokens_per_s": self.tokens as f64 / self.passages_s,
            "all_tokens_per_s": self.tokens as f64 / (self.extract_s + self.encode_s + self.passages_s),
        })
    }
}

fn measure(path: &Path, tokenizer: &Tokenizer) -> Result<Spent, Box<dyn Error>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let file = File::open(path)?;
    let file_bytes = file.metadata()?.len();
    let started = Instant::now();
    let document = extract_bytes(file, &name, &Limits::default())?;
    let extract_s = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let stream = tokenizer.encode_document(&document.text)?;
    let encode_s = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let (_, found) = passages(&document, &stream, MAX_TOKENS);
    let passages_s = started.elapsed().as_secs_f64();
    Ok(Spent {
        file_bytes,
        text_bytes: document.text.len() as u64,
        tokens: stream.ids.len() as u64,
        passages: found.len() as u64,
        extract_s,
        encode_s,
        passages_s,
    })
}
