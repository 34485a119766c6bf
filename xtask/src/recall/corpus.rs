//! Documents of filler and records, and questions about them, in the format of `models/recall/README.md`. Every document
//! is different, and everything follows from the seed.

use crate::random::Random;
use std::collections::HashSet;

/// Attention chunk of the model: a record lies within one, counted from the first byte of the document's title.
pub const CHUNK: usize = 128;
const RECORD_BYTES: usize = 20;

/// One record and the document that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub key: u32,
    pub value: u32,
    pub document: usize,
}

impl Record {
    /// As it stands in its document.
    pub fn text(&self) -> String {
        format!("key {:06x} = {:06x}", self.key, self.value)
    }

    pub fn question(&self) -> String {
        format!("What is the value for key {:06x}?", self.key)
    }
}

/// Keys that were not given out yet: half of them one digit away from one that was.
struct Keys {
    random: Random,
    taken: HashSet<u32>,
    last: u32,
}

impl Keys {
    fn next(&mut self) -> u32 {
        loop {
            let near = !self.taken.is_empty() && self.random.below(2) == 0;
            let key = match near {
                true => self.last ^ (1 + self.random.below(15) as u32) << (4 * self.random.below(6)),
                false => self.random.below(1 << 24) as u32,
            };
            if self.taken.insert(key) {
                self.last = key;
                return key;
            }
        }
    }
}

/// The documents of a corpus, one after the other.
pub struct Documents {
    random: Random,
    keys: Keys,
    n_documents: usize,
}

/// File name without its extension, which is the title of the document too.
pub fn title(document: usize) -> String {
    format!("doc-{document:06}")
}

/// File name. The program takes such a file as lines, each a unit that can be cited.
pub fn file_name(document: usize) -> String {
    format!("{}.toml", title(document))
}

impl Documents {
    pub fn new(seed: u64) -> Self {
        let keys = Keys { random: Random::new(seed ^ 0x6b65_7973), taken: HashSet::new(), last: 0 };
        Self { random: Random::new(seed), keys, n_documents: 0 }
    }

    /// The next document, of `tokens` tokens with its title, and its records.
    pub fn next_document(&mut self, tokens: usize) -> (String, Vec<Record>) {
        let document = self.n_documents;
        self.n_documents += 1;
        let before = title(document).len() + 1;
        let (mut text, mut records) = (String::new(), Vec::new());
        // A third of the pieces are records; a piece of filler is about as long as one.
        while before + text.len() < tokens {
            let at = before + text.len();
            let left = CHUNK - at % CHUNK;
            let at_line_start = text.is_empty() || text.ends_with('\n');
            if self.random.below(3) == 0 && left > RECORD_BYTES && at + RECORD_BYTES < tokens {
                if !at_line_start {
                    text.push('\n');
                }
                let record =
                    Record { key: self.keys.next(), value: self.random.below(1 << 24) as u32, document };
                text.push_str(&record.text());
                text.push('\n');
                records.push(record);
            } else {
                text.push_str(&self.filler());
            }
        }
        text.truncate(tokens - before);
        (text, records)
    }

    fn filler(&mut self) -> String {
        let random = &mut self.random;
        let mut words = String::new();
        match random.below(8) {
            0 => {
                let digits = 4 + 2 * random.below(5);
                (0..digits).for_each(|_| words.push_str(random.pick(&HEX)));
            }
            1 => words.push_str(&random.below(10_000_000).to_string()),
            _ => {
                for _ in 0..1 + random.below(5) {
                    (0..1 + random.below(3)).for_each(|_| words.push_str(random.pick(&SYLLABLES)));
                    words.push(' ');
                }
                words.push_str(random.pick(&WORDS));
            }
        }
        words.push_str(random.pick(&ENDS));
        words
    }
}

const HEX: [&str; 16] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];
const SYLLABLES: [&str; 20] = [
    "ar", "bel", "cor", "den", "el", "fin", "gra", "hol", "is", "jun", "kal", "lor", "mi", "nor", "os",
    "pra", "rin", "sul", "tor", "ven",
];
const WORDS: [&str; 8] = ["the", "of", "and", "note", "value", "list", "see", "record"];
const ENDS: [&str; 8] = [" ", ". ", ".\n", ", ", "\n", "? ", "; ", "\n"];

/// `n` records, evenly spread over all of them.
pub fn spread(records: &[Record], n: usize) -> Vec<&Record> {
    (0..n.min(records.len())).map(|i| &records[i * records.len() / n.min(records.len())]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_lie_within_chunks_and_keys_are_distinct() {
        let mut documents = Documents::new(1);
        let (mut keys, mut texts) = (HashSet::new(), HashSet::new());
        for document in 0..20 {
            let (text, records) = documents.next_document(3_000);
            assert_eq!(title(document).len() + 1 + text.len(), 3_000);
            assert!(records.len() > 20, "{} records", records.len());
            for record in &records {
                let line = record.text() + "\n";
                let at = title(document).len() + 1 + text.find(&line).unwrap();
                assert_eq!(at / CHUNK, (at + RECORD_BYTES - 1) / CHUNK, "{line} at {at}");
                assert!(keys.insert(record.key));
            }
            assert!(texts.insert(text));
        }
        let near = keys.iter().filter(|key| {
            (0..6).any(|slot| (1..16).any(|digit| keys.contains(&(*key ^ digit << (4 * slot)))))
        });
        assert!(near.count() * 3 > keys.len(), "many keys have a neighbour");
    }
}
