//! Answers over three stored documents on a disk that goes bad, or a caller that gives up, at a chosen moment.

use super::*;
use base::IdKind;
use catalog::{Digest, File, Part, Version, VersionId};
use kv::{
    Store, StoredFile,
    testing::{Access, OverDisk},
};
use scout::{Engine, Numerics, Sampling};
use std::{
    io,
    ops::ControlFlow,
    path::Path,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// What becomes of the files of a disk.
#[derive(Default)]
struct Watched {
    opened: AtomicU64,
    /// By segments' file names.
    reads: std::sync::Mutex<BTreeMap<String, u64>>,
    /// From this read of this file on, every byte is wrong.
    bad: std::sync::Mutex<Option<(String, u64)>>,
    /// What is cancelled by the opening of that number.
    cancels: std::sync::Mutex<Option<(u64, Cancel)>>,
}

struct WatchedFile {
    file: Box<dyn StoredFile>,
    name: String,
    disk: Arc<Watched>,
}

impl Watched {
    fn reads_of(&self, name: &str) -> u64 {
        self.reads.lock().unwrap().get(name).copied().unwrap_or(0)
    }

    fn file(self: &Arc<Self>, access: Access, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        let file = access.on_disk(path)?;
        if access == Access::Create {
            return Ok(file);
        }
        let number = self.opened.fetch_add(1, Relaxed) + 1;
        if let Some((at, cancel)) = &*self.cancels.lock().unwrap()
            && *at == number
        {
            cancel.cancel();
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        Ok(Box::new(WatchedFile { file, name, disk: self.clone() }))
    }
}

impl WatchedFile {
    /// Counts a read, and says whether it is bad.
    fn is_bad(&self) -> bool {
        let mut reads = self.disk.reads.lock().unwrap();
        let count = reads.entry(self.name.clone()).or_default();
        *count += 1;
        matches!(&*self.disk.bad.lock().unwrap(), Some((name, from)) if *name == self.name && *count >= *from)
    }
}

fn spoil(bytes: &mut [u8]) {
    bytes.iter_mut().for_each(|byte| *byte ^= 1);
}

impl StoredFile for WatchedFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(offset, buf)?;
        if self.is_bad() {
            spoil(&mut buf[..read]);
        }
        Ok(read)
    }

    fn read_parts_at(&self, offset: u64, bufs: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        let read = self.file.read_parts_at(offset, bufs)?;
        if self.is_bad() {
            bufs.iter_mut().for_each(|buf| spoil(buf));
        }
        Ok(read)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let cache = tempfile::tempdir().unwrap();
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/recall");
        Engine::open(&model, Numerics::Fast, cache.path(), &mut |_| ()).unwrap()
    })
}

struct Bench {
    _folder: tempfile::TempDir,
    disk: Arc<Watched>,
    store: Store,
    context: Context,
    segments: Vec<SegmentId>,
}

impl Bench {
    /// Documents of one part each, without a cache of their pages.
    fn new() -> Self {
        let (folder, disk) = (tempfile::tempdir().unwrap(), Arc::<Watched>::default());
        let over = OverDisk({
            let disk = disk.clone();
            move |access: Access, path: &Path| disk.file(access, path)
        });
        let store = Store::open(Arc::new(over), &folder.path().join("kv"), 0).unwrap();
        let mut context = Context { documents: Vec::new(), parts: Vec::new(), owners: HashMap::new() };
        let mut segments = Vec::new();
        for n in 0..3 {
            let text = format!("Record {n} holds the value {}. ", n * 7919).repeat(8);
            let ids = engine().tokenizer().encode_document(&text).unwrap().ids;
            let tokens = TokenSpan::new(0, ids.len() as u64);
            let segment = write_segment(&store, ids);
            let part = Part { idx: 0, tokens, segment: Digest(segment.0), ready: true };
            context.owners.insert(segment, (n, 0));
            context.documents.push(document(n, tokens.len()));
            context.parts.push(vec![part]);
            segments.push(segment);
        }
        Self { _folder: folder, disk, store, context, segments }
    }

    fn name(&self, at: usize) -> String {
        format!("{}.kv", self.segments[at])
    }

    /// One attempt: what it gave, and what it said of the text, piece by piece.
    fn ask(
        &self,
        heard: &mut Heard,
        sampling: Sampling,
    ) -> (Result<std::result::Result<String, DamagedPart>>, Vec<String>) {
        let request = AskRequest { sampling, max_output_tokens: 12, ..AskRequest::new("What?", Mode::Free) };
        let tail = crate::read::question_tail(engine(), "What does record 2 hold?", &[]).unwrap();
        let mut pieces = Vec::new();
        let mut said = |said: Said<'_>| {
            if let Said::Text(text) = said {
                pieces.push(text.to_owned());
            }
        };
        let question = engine().question("local");
        let got = respond(&question, &self.store, &self.context, &tail, &request, heard, &mut said);
        (got.map(|got| got.map(|(response, _)| response.text)), pieces)
    }
}

fn write_segment(store: &Store, ids: Vec<u32>) -> SegmentId {
    let part = engine().prefill_part(&ids, &mut |_| ControlFlow::Continue(())).unwrap();
    let mut writer = store.create(engine().segment_spec(engine().part_context(""), ids)).unwrap();
    for (layer, pages) in engine().stored_layers().iter().zip(&part.pages) {
        for (page, rows) in (0..).zip(pages) {
            writer.push_page(*layer, page, rows).unwrap();
        }
    }
    writer.finish().unwrap()
}

fn document(n: usize, tokens: u64) -> Document {
    let id = |kind| Id::new(kind, 0, n as u128);
    let document = id(IdKind::Document);
    Document {
        id: document.clone(),
        corpus: id(IdKind::Corpus),
        path: format!("record-{n}.txt"),
        created_ms: 0,
        version: Version {
            id: VersionId(n as u64 + 1),
            document,
            file: File { id: id(IdKind::File), sha256: Digest([0; 32]), bytes: 0 },
            place: None,
            number: 1,
            title: String::new(),
            media_type: "text/plain".into(),
            state: State::Ready,
            stored: None,
            characters: 0,
            pages: 0,
            tokens,
            warnings: serde_json::Value::Null,
            error: None,
            visible_from: Some(1),
            visible_to: None,
            created_ms: 0,
        },
    }
}

#[test]
fn damage_while_an_answer_is_said_names_its_segment_and_nothing_is_said_twice() {
    let bench = Bench::new();
    let sampled = Sampling { temperature: 0.8, seed: 5, ..Sampling::default() };
    for sampling in [Sampling::default(), sampled] {
        let name = bench.name(1);
        let start = bench.disk.reads_of(&name);
        let (whole, pieces) = bench.ask(&mut Heard::default(), sampling);
        let whole = whole.unwrap().unwrap();
        let of_one_answer = bench.disk.reads_of(&name) - start;
        assert!(pieces.len() > 3 && pieces.concat() == whole, "{pieces:?}");

        // One segment turns bad when most of the answer has been said.
        let from = bench.disk.reads_of(&name) + of_one_answer * 3 / 4;
        *bench.disk.bad.lock().unwrap() = Some((name, from));
        let mut heard = Heard::default();
        let (damaged, before) = bench.ask(&mut heard, sampling);
        let damaged = damaged.unwrap().unwrap_err();
        assert_eq!((damaged.version, damaged.idx), (VersionId(2), 0), "{damaged:?}");
        assert!(!before.is_empty() && before.concat().len() < whole.len(), "{before:?} of {whole:?}");
        *bench.disk.bad.lock().unwrap() = None;

        let (again, after) = bench.ask(&mut heard, sampling);
        assert_eq!(again.unwrap().unwrap(), whole);
        assert_eq!([before, after].concat().concat(), whole);
    }
}

#[test]
fn damage_is_not_looked_for_in_other_segments() {
    let bench = Bench::new();
    bench.ask(&mut Heard::default(), Sampling::default()).0.unwrap().unwrap();
    let others = || bench.disk.reads_of(&bench.name(0)) + bench.disk.reads_of(&bench.name(2));
    let (of_bad, start) = (bench.disk.reads_of(&bench.name(1)), others());
    // The head of a segment is four reads; its first page is bad.
    *bench.disk.bad.lock().unwrap() = Some((bench.name(1), of_bad + 5));
    let got = bench.ask(&mut Heard::default(), Sampling::default()).0.unwrap();
    assert_eq!(got.unwrap_err().version, VersionId(2));
    // Each was opened, and its first layer read when the pages of one window were.
    assert!(others() - start <= 2 * (4 + 1), "{} reads of sound segments", others() - start);
}

#[test]
fn what_was_said_is_never_taken_back() {
    let mut pieces = Vec::new();
    let mut said = |said: Said<'_>| {
        if let Said::Text(text) = said {
            pieces.push(text.to_owned());
        }
    };
    let mut heard = Heard::default();
    for text in ["", "It", "It is", "", "It", "It is", "It is so"] {
        heard.say(text, &mut said).unwrap();
    }
    let other = heard.say("It was", &mut said).unwrap_err();
    assert!(matches!(other, Error::SaidOtherwise), "{other}");
    assert!(matches!(heard.end("It is", &mut said), Err(Error::SaidOtherwise)), "shorter than what was said");
    heard.end("It is so.", &mut said).unwrap();
    assert_eq!(pieces, ["It", " is", " so", "."]);
}

#[test]
fn a_cancelled_question_opens_no_further_segment() {
    let bench = Bench::new();
    let cancel = Cancel::default();
    let before = bench.disk.opened.load(Relaxed);
    *bench.disk.cancels.lock().unwrap() = Some((before + 2, cancel.clone()));
    let question = engine().question("local").cancelled_by(&cancel);
    let got = bench.context.segments(&question, &bench.store);
    assert!(matches!(got, Err(Error::Engine(scout::Error::Cancelled))));
    assert_eq!(bench.disk.opened.load(Relaxed) - before, 2);
}
