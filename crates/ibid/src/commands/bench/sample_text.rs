//! Real text of a wanted size from a folder of files, the same for the same folder, with nothing in it twice.

use super::stop_when_cancelled;
use crate::{
    event::{Meter, Out},
    problem::Failure,
};
use anyhow::{Context, Result};
use corpus::{Extracted, Limits, State, tokens::Tokenizer, worker::Worker};
use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

/// Bytes between two marks in a repeated text: more often than once in any part, so that no part is as before.
const MARK_EVERY: usize = 400;

/// What was made.
#[derive(Debug, Default)]
pub struct SampleText {
    pub tokens: u64,
    pub files: Vec<PathBuf>,
    pub bytes: u64,
    /// Tokens by media type.
    pub formats: BTreeMap<String, u64>,
}

pub struct Maker<'a> {
    pub tokenizer: &'a Tokenizer,
    pub worker: &'a Worker,
    pub limits: &'a Limits,
    pub out: &'a Out,
}

impl Maker<'_> {
    /// Files of `from` in order of path, as they are, until they hold `wanted` tokens; what no longer fits whole is
    /// cut and written as plain text. When the folder is used up its texts follow again, as plain text with marks.
    pub fn make(&self, from: &Path, wanted: u64, to: &Path) -> Result<SampleText> {
        let mut made = SampleText::default();
        let (mut texts, mut seen) = (Vec::new(), HashSet::new());
        let mut meter = Meter::new(self.out, "preparing", "tokens");
        for path in files_below(from)? {
            if made.tokens >= wanted {
                return Ok(made);
            }
            stop_when_cancelled(self.out)?;
            let Some(extracted) = self.extract(&path) else { continue };
            if !seen.insert(blake3::hash(extracted.text.as_bytes())) {
                continue;
            }
            let name = name(0, made.files.len(), &path);
            self.take(&mut made, &extracted, Some(&path), wanted, &to.join(name))?;
            texts.push((path, extracted.text));
            meter.report(made.tokens, wanted);
        }
        for round in 1.. {
            let before = made.tokens;
            for (path, text) in &texts {
                if made.tokens >= wanted {
                    return Ok(made);
                }
                stop_when_cancelled(self.out)?;
                let again = Extracted {
                    text: marked(text, round),
                    media_type: "text/plain".to_owned(),
                    ..Extracted::default()
                };
                let name = format!("{}.txt", name(round, made.files.len(), path));
                self.take(&mut made, &again, None, wanted, &to.join(name))?;
                meter.report(made.tokens, wanted);
            }
            if made.tokens == before {
                break;
            }
        }
        Err(nothing_found(from))
    }

    /// Token ids of `from`'s documents in order of path, `wanted` at most in all; fewer where the folder holds fewer.
    pub fn token_ids(&self, from: &Path, wanted: u64) -> Result<Vec<Vec<u32>>> {
        let (mut documents, mut left) = (Vec::new(), wanted as usize);
        for path in files_below(from)? {
            if left == 0 {
                break;
            }
            stop_when_cancelled(self.out)?;
            let Some(extracted) = self.extract(&path) else { continue };
            let mut ids = self.tokenizer.encode_document(&extracted.text)?.ids;
            ids.truncate(left);
            left -= ids.len();
            documents.push(ids);
        }
        if documents.iter().all(Vec::is_empty) {
            return Err(nothing_found(from));
        }
        Ok(documents)
    }

    /// `None`, with a note, for what has no text.
    fn extract(&self, path: &Path) -> Option<Extracted> {
        let reason = match corpus::extract::extract(path, self.limits, self.worker) {
            Ok(extracted) if extracted.state == State::Ready => return Some(extracted),
            Ok(extracted) => extracted.state.as_str().to_owned(),
            Err(error) => error.to_string(),
        };
        self.out.note(format!("{} is left out: {reason}", path.display()));
        None
    }

    /// Writes one document, a copy of `original` where there is one and it fits.
    fn take(
        &self,
        made: &mut SampleText,
        extracted: &Extracted,
        original: Option<&Path>,
        wanted: u64,
        to: &Path,
    ) -> Result<()> {
        let stream = self.tokenizer.encode_document(&extracted.text)?;
        let (n, room) = (stream.ids.len() as u64, wanted - made.tokens);
        let cannot = || format!("cannot write {}", to.display());
        let (path, tokens, media_type) = match original {
            Some(original) if n <= room => {
                fs::copy(original, to).with_context(cannot)?;
                (to.to_owned(), n, extracted.media_type.as_str())
            }
            _ => {
                let tokens = n.min(room);
                let end = stream.spans[..tokens as usize].last().map_or(0, |span| span.end as usize);
                let end = extracted.text.ceil_char_boundary(end);
                let path = to.with_extension("txt");
                fs::write(&path, &extracted.text[..end]).with_context(cannot)?;
                (path, tokens, "text/plain")
            }
        };
        made.tokens += tokens;
        made.bytes += fs::metadata(&path).with_context(cannot)?.len();
        *made.formats.entry(media_type.to_owned()).or_default() += tokens;
        made.files.push(path);
        Ok(())
    }
}

fn nothing_found(from: &Path) -> anyhow::Error {
    let detail = format!("{} holds no text to measure with; name another folder with --from", from.display());
    Failure::new(404, "nothing_found", detail).into()
}

/// The text with a mark of the round before a word every few hundred bytes.
fn marked(text: &str, round: u32) -> String {
    let mut marked = format!("[{round}] ");
    let mut since = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        if since >= MARK_EVERY {
            marked.push_str(&format!("[{round}] "));
            since = 0;
        }
        marked.push_str(word);
        since += word.len();
    }
    marked
}

/// Sorted by round and number, and told apart by both.
fn name(round: u32, number: usize, path: &Path) -> String {
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    format!("{round:03}-{number:05}-{file}")
}

/// All files that are not hidden, by path.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read {}; name a folder of documents with --from", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let kind = entry.file_type().with_context(cannot)?;
        if kind.is_dir() {
            found.extend(files_below(&entry.path())?);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_text_differs_everywhere_and_loses_nothing() {
        let text = "Æsir og vaner, ord for ord. ".repeat(100);
        let (first, second) = (marked(&text, 1), marked(&text, 2));
        for (at, window) in first.as_bytes().windows(MARK_EVERY + 40).enumerate() {
            assert!(window.windows(4).any(|four| four == b"[1] "), "no mark from byte {at} on");
        }
        assert_ne!(first, second);
        assert_eq!(first.replace("[1] ", ""), text);
    }

    #[test]
    fn files_come_in_order_of_path_without_hidden_ones() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        for name in ["c.txt", "b/z.txt", ".hidden", "a.txt"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let found = files_below(folder.path()).unwrap();
        let names: Vec<_> =
            found.iter().map(|path| path.strip_prefix(folder.path()).unwrap().to_owned()).collect();
        assert_eq!(names, ["a.txt", "b/z.txt", "c.txt"].map(PathBuf::from));
    }
}
