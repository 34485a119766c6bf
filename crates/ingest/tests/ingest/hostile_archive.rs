//! Archives that nobody exported: each is refused by name, and nothing of it stays.

use std::{fs, io::Read as _, path::PathBuf};

use catalog::LOCAL_OWNER;
use ingest::{Error, ImportOptions};
use serde_json::{Value, json};
use tar::{EntryType, Header};

use crate::{
    archive::{export, filled, import, named},
    workplace::{Workplace, go_on},
};

/// One entry of an archive, as its writer wants it.
#[derive(Clone)]
struct Entry {
    kind: EntryType,
    name: String,
    content: Vec<u8>,
}

impl Entry {
    fn file(name: &str, content: &[u8]) -> Self {
        Self { kind: EntryType::Regular, name: name.into(), content: content.into() }
    }
}

fn read(archive: &std::path::Path) -> Vec<Entry> {
    let mut tar = tar::Archive::new(fs::File::open(archive).unwrap());
    let entries = tar.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        Entry::file(&entry.path().unwrap().display().to_string(), &content)
    });
    entries.collect()
}

/// Names are written as they are, past every check of the tar library.
fn write(place: &Workplace, entries: &[Entry]) -> PathBuf {
    let mut tar = tar::Builder::new(Vec::new());
    for Entry { kind, name, content } in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        if kind.is_symlink() {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_cksum();
        tar.append(&header, &content[..]).unwrap();
    }
    let path = place.temp.path().join("hostile.ibid");
    fs::write(&path, tar.into_inner().unwrap()).unwrap();
    path
}

fn change_manifest(entries: &mut [Entry], change: impl Fn(&mut Value)) {
    let mut manifest: Value = serde_json::from_slice(&entries[0].content).unwrap();
    change(&mut manifest);
    entries[0].content = serde_json::to_vec(&manifest).unwrap();
}

fn at(entries: &[Entry], folder: &str) -> usize {
    entries.iter().position(|entry| entry.name.starts_with(folder)).unwrap()
}

/// The import fails with all of `words` in its message and leaves no file and no corpus.
async fn refused(place: &Workplace, what: &str, archive: &std::path::Path, words: &[&str]) {
    let error = import(place, archive).await.unwrap_err();
    let said = error.to_string();
    assert!(words.iter().all(|word| said.contains(word)), "{what}: {said}");
    assert!(place.kept_files().is_empty(), "{what}: {:?}", place.kept_files().keys());
    let corpora = place.ingest.stores.catalog.corpora(LOCAL_OWNER).await.unwrap();
    assert!(corpora.iter().all(|corpus| corpus.name != "copy"), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_the_manifest_does_not_name_are_refused() {
    let original = filled().await;
    let (archive, _) = export(&original).await;
    let good = read(&archive);
    let place = Workplace::new().await;
    let extra = |entry: Entry| [good.clone(), vec![entry]].concat();
    let replaced = |folder: &str, change: fn(&mut Entry)| {
        let mut entries = good.clone();
        change(&mut entries[at(&good, folder)]);
        entries
    };
    let link = Entry { kind: EntryType::Symlink, ..Entry::file("text/link", b"") };
    let cases: [(&str, Vec<Entry>, &[&str]); 12] = [
        (
            "a traversal",
            extra(Entry::file("../../etc/cron.d/x", b"x")),
            &["../../etc/cron.d/x", "not in its manifest"],
        ),
        ("an absolute name", extra(Entry::file("/etc/cron.d/x", b"x")), &["/etc/cron.d/x"]),
        ("a link", extra(link), &["text/link", "Symlink", "regular files"]),
        (
            "a link as a member",
            replaced("original", |e| {
                e.kind = EntryType::Symlink;
                e.content.clear();
            }),
            &["Symlink"],
        ),
        ("a hard link", replaced("original", |e| e.kind = EntryType::Link), &["Link"]),
        (
            "a long-name header",
            extra(Entry { kind: EntryType::GNULongName, ..Entry::file("x", b"y") }),
            &["GNULongName"],
        ),
        ("the same member twice", extra(good[1].clone()), &["twice"]),
        ("a member too few", good[..good.len() - 1].to_vec(), &["1 members are missing"]),
        (
            "an original of other bytes",
            replaced("original", |e| e.content[0] ^= 1),
            &["original/", "hashes to"],
        ),
        ("a text of other bytes", replaced("text", |e| e.content[0] ^= 1), &["text/", "hashes to"]),
        ("a longer member", replaced("text", |e| e.content.push(b'x')), &["its manifest says"]),
        ("no manifest", good[1..].to_vec(), &["manifest.json"]),
    ];
    for (what, entries, words) in cases {
        refused(&place, what, &write(&place, &entries), words).await;
    }
    import(&place, &write(&place, &good)).await.expect("rewritten without a change it is good");
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_that_promise_too_much_are_refused() {
    let original = filled().await;
    let (archive, _) = export(&original).await;
    let good = read(&archive);
    let place = Workplace::new().await;
    type Change = fn(&mut Value);
    let cases: [(&str, Change, &[&str]); 6] = [
        ("a newer version", |m| *m = json!({"format": m["format"], "version": 99}), &["version 99"]),
        ("a path out of the corpus", |m| m["documents"][0]["path"] = json!("../../x"), &["../../x"]),
        ("a huge original", |m| m["documents"][0]["original"]["bytes"] = json!(u64::MAX), &["input_bytes"]),
        ("a digest that is a path", |m| m["documents"][0]["original"]["digest"] = json!("../x"), &["64"]),
        (
            "a text that is no UTF-8 of its own",
            |m| m["documents"][0]["text"]["text"] = m["documents"][0]["text"]["pages"].clone(),
            &["missing"],
        ),
        (
            "pages of a longer text",
            |m| {
                let pages = m["documents"][0]["text"]["pages"].clone();
                m["documents"][1]["text"]["pages"] = pages;
            },
            &["span", "is not in the text"],
        ),
    ];
    for (what, change, words) in cases {
        let mut entries = good.clone();
        change_manifest(&mut entries, change);
        let manifest = String::from_utf8(entries[0].content.clone()).unwrap();
        entries.retain(|entry| {
            manifest.contains(entry.name.rsplit('/').next().unwrap()) || entry.name == "manifest.json"
        });
        refused(&place, what, &write(&place, &entries), words).await;
    }
}

/// Texts of the corpus `copy`, in order of path.
async fn texts(place: &Workplace) -> Vec<String> {
    let stores = &place.ingest.stores;
    let corpus = stores.catalog.corpus(LOCAL_OWNER, "copy").await.unwrap();
    let documents = stores.catalog.documents(&corpus.id, u64::MAX).await.unwrap();
    let stored = documents.iter().filter_map(|document| document.version.stored);
    stored.map(|stored| stores.library.document_text(&stored).unwrap().text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kv_a_text_that_is_not_the_originals_is_not_taken() {
    let original = filled().await;
    let mut entries = read(&export(&original).await.0);
    // All digests agree; only the original knows of no MILL.
    let text = at(&entries, "text/");
    let forged = String::from_utf8(entries[text].content.clone()).unwrap().replace("mill", "MILL");
    let (old, new) =
        (entries[text].name["text/".len()..].to_owned(), blake3::hash(forged.as_bytes()).to_string());
    entries[text] = Entry::file(&format!("text/{new}"), forged.as_bytes());
    let manifest = String::from_utf8(entries[0].content.clone()).unwrap();
    entries[0].content = manifest.replace(&old, &new).into_bytes();

    let place = Workplace::new().await;
    let archive = write(&place, &entries);
    import(&place, &archive).await.unwrap();
    assert!(texts(&place).await.iter().any(|text| text.contains("MILL")), "it is believed otherwise");

    let place = Workplace::new().await;
    let archive = write(&place, &entries);
    let options = ImportOptions { without_kv: true, ..named("copy") };
    place.ingest.import(&archive, &options, &go_on).await.unwrap();
    let texts = texts(&place).await;
    assert!(texts.len() == 2 && texts.iter().all(|text| text.contains("mill") && !text.contains("MILL")));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_archive_and_cut_ones_are_refused() {
    let original = filled().await;
    let (archive, _) = export(&original).await;
    let whole = fs::read(&archive).unwrap();
    let place = Workplace::new().await;
    let path = place.temp.path().join("file.ibid");
    for (what, bytes) in [("nothing", &b""[..]), ("a PDF", b"%PDF-1.7\n"), ("zeros", &[0; 4096])] {
        fs::write(&path, bytes).unwrap();
        refused(&place, what, &path, &["file.ibid", "no archive"]).await;
    }
    for part in 1..8 {
        fs::write(&path, &whole[..whole.len() * part / 8]).unwrap();
        refused(&place, &format!("{part} eighths"), &path, &["file.ibid"]).await;
    }
    let folder = import(&place, place.temp.path()).await.unwrap_err();
    assert!(matches!(folder, Error::Archive { .. }), "{folder}");
    let nowhere = import(&place, &place.temp.path().join("nowhere")).await.unwrap_err();
    assert!(matches!(nowhere, Error::Input { .. }), "{nowhere}");
}
