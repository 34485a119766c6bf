//! A model from a repository of the Hugging Face Hub, or of a server that speaks like it (`HF_ENDPOINT`).
//!
//! Files arrive in a hidden cache below the models folder, where an interrupted download goes on; a model takes its
//! place among the others in one step, after it was opened once. What the server says is a stranger's: only plain file
//! names are taken, files in the cache have names of our own, and files that the server names by their SHA-256 are held
//! against it.

use super::download::Downloader;
use crate::{
    cli::Fetch,
    event::{Meter, Out},
    problem::Failure,
    rest,
};
use anyhow::{Context, Result, bail};
use hf_hub::{
    Cache, Repo, RepoType,
    api::sync::{Api, ApiBuilder, ApiError, ApiRepo},
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
};

const ENDPOINT: &str = "https://huggingface.co";
const CACHE: &str = ".hub";
const INDEX: &str = "model.safetensors.index.json";
/// Most bytes of the index; those of the largest models have a few million.
const MAX_INDEX_BYTES: u64 = 64 << 20;
/// What a model folder cannot do without: of each group at least one.
const REQUIRED: [&[&str]; 2] = [&["config.json"], &["tokenizer.json", "tokenizer.model"]];
const OPTIONAL: [&str; 2] = ["tokenizer_config.json", "chat_template.jinja"];

/// `OWNER/NAME`, or `OWNER/NAME@REVISION`.
struct Source {
    id: String,
    name: String,
    revision: String,
}

impl Source {
    fn parse(text: &str) -> Result<Self, Failure> {
        let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
        let plain = |word: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            !word.is_empty() && !word.starts_with('.') && word.chars().all(known)
        };
        let revision_ok = !revision.is_empty() && revision.split('/').all(plain);
        match id.split_once('/') {
            Some((owner, name)) if plain(owner) && plain(name) && revision_ok => {
                Ok(Self { id: id.into(), name: name.into(), revision: revision.into() })
            }
            _ => Err(Failure::new(
                400,
                "bad_repository",
                format!("{text:?} names no repository; write OWNER/NAME or OWNER/NAME@REVISION"),
            )),
        }
    }
}

/// Fetches into `models`; the file or folder that can be given to `--model`.
pub async fn fetch(repository: &str, args: &Fetch, models: &Path, out: &Out) -> Result<PathBuf> {
    let source = Source::parse(repository)?;
    let file = args.file.clone();
    let target = models.join(file.as_deref().unwrap_or(&source.name));
    if file.as_deref().is_some_and(|file| !is_plain_name(file) || !file.ends_with(".gguf")) {
        bail!(Failure::new(400, "bad_file", "--file takes the plain name of a GGUF file of the repository"));
    }
    if target.exists() {
        let detail = format!("{} is there already; remove it to fetch it again", target.display());
        return Err(Failure::new(409, "model_exists", detail).into());
    }
    let (models, speaker) = (models.to_owned(), out.clone());
    let work = tokio::task::spawn_blocking(move || match file {
        Some(file) => fetch_file(&source, &file, &models, &target, &speaker),
        None => fetch_folder(&source, &models, &target, &speaker),
    });
    let cancelled = async {
        while !out.cancel.requested() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    // What was fetched stays in the cache; the thread ends with the process.
    tokio::select! {
        fetched = work => fetched?,
        () = cancelled => Err(Failure::cancelled().into()),
    }
}

/// A file to fetch, as the server describes it.
struct Chosen {
    name: String,
    /// Name of the content: the SHA-256 of large files, something else of small ones.
    etag: String,
    bytes: u64,
}

/// An open repository: where its files come from and lie meanwhile.
struct Hub<'a> {
    source: &'a Source,
    endpoint: String,
    server: Api,
    api: ApiRepo,
    downloader: Downloader,
    /// Of this repository alone.
    cache: PathBuf,
    out: &'a Out,
}

impl<'a> Hub<'a> {
    fn open(source: &'a Source, models: &Path, out: &'a Out) -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let cache = models.join(CACHE).join(format!("models--{}", source.id.replace('/', "--")));
        fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
        let token = variable("HF_TOKEN");
        let downloader = Downloader::new(token.as_deref());
        // The library asks for lists and sizes only; it writes nothing.
        let server = ApiBuilder::from_cache(Cache::new(cache.clone()))
            .with_endpoint(endpoint.clone())
            .with_token(token)
            .with_progress(false)
            .build()
            .context("cannot prepare the download")?;
        let repository = Repo::with_revision(source.id.clone(), RepoType::Model, source.revision.clone());
        let api = server.repo(repository);
        Ok(Self { source, endpoint, server, api, downloader, cache, out })
    }

    /// Plain names of the repository's files.
    fn files(&self) -> Result<BTreeSet<String>> {
        let info = self.api.info().map_err(|e| self.failure(e, "its list of files"))?;
        Ok(info.siblings.into_iter().map(|file| file.rfilename).filter(|name| is_plain_name(name)).collect())
    }

    /// The files that make a model folder, among those that are listed.
    fn choose(&self, listed: &BTreeSet<String>) -> Result<Vec<String>> {
        let id = &self.source.id;
        let ggufs: Vec<&str> =
            listed.iter().map(String::as_str).filter(|name| name.ends_with(".gguf")).collect();
        let tensors: Vec<String> = if listed.contains(INDEX) {
            let described = self.describe(&[INDEX.to_owned()])?;
            if let Some(index) = described.iter().find(|index| index.bytes > MAX_INDEX_BYTES) {
                let detail = format!(
                    "{INDEX} of {id} has {} bytes, the limit is {MAX_INDEX_BYTES}; nothing was taken",
                    index.bytes
                );
                return Err(Failure::new(422, "no_model", detail).into());
            }
            let index = self.get_all(&described)?;
            let path = index.get(INDEX).context("the index was fetched")?;
            shards(&fs::read(path)?, id)?
        } else if listed.contains("model.safetensors") {
            vec!["model.safetensors".to_owned()]
        } else {
            listed.iter().filter(|name| name.ends_with(".safetensors")).cloned().collect()
        };
        if tensors.is_empty() {
            let detail = match ggufs.is_empty() {
                true => format!("{id} holds neither safetensors nor GGUF files"),
                false => format!("{id} holds GGUF files; choose one with --file: {}", ggufs.join(", ")),
            };
            return Err(Failure::new(422, "no_model", detail).into());
        }
        if let Some(missing) = REQUIRED.iter().find(|names| !names.iter().any(|name| listed.contains(*name)))
        {
            let missing = missing.join(" and ");
            let detail = format!("{id} lacks {missing}; it is not a model that can be used here");
            return Err(Failure::new(422, "no_model", detail).into());
        }
        let required = REQUIRED.into_iter().flatten();
        let beside = required.chain(&OPTIONAL).chain([&INDEX]).map(|name| (*name).to_owned());
        Ok(beside.filter(|name| listed.contains(name)).chain(tensors).collect())
    }

    /// Sizes and names of content of the files, asked before anything is written. A server that hides a path in them
    /// is up to no good, though nothing here would follow it.
    fn describe(&self, names: &[String]) -> Result<Vec<Chosen>> {
        let describe = |name: &String| {
            let found = self.server.metadata(&self.api.url(name)).map_err(|e| self.failure(e, name))?;
            if !is_plain_name(found.etag()) || !is_plain_name(found.commit_hash()) {
                let detail =
                    format!("{} names {name} in a way that no hub does; nothing was taken", self.endpoint);
                return Err(Failure::new(502, "hub_failed", detail).into());
            }
            Ok(Chosen { name: name.clone(), etag: found.etag().to_owned(), bytes: found.size() as u64 })
        };
        names.iter().map(describe).collect()
    }

    /// The files in the cache, by name; those that the server names by their SHA-256 are checked.
    fn get_all(&self, chosen: &[Chosen]) -> Result<BTreeMap<String, PathBuf>> {
        let total = chosen.iter().try_fold(0_u64, |total, chosen| total.checked_add(chosen.bytes));
        let total = total.ok_or_else(|| {
            let detail = format!("{} names sizes that no files have; nothing was taken", self.endpoint);
            Failure::new(502, "hub_failed", detail)
        })?;
        if chosen.len() > 1 {
            self.out.note(format!(
                "fetching {} files of {} ({})",
                chosen.len(),
                self.source.id,
                rest::bytes(total)
            ));
        }
        chosen.iter().map(|chosen| Ok((chosen.name.clone(), self.get(chosen)?))).collect()
    }

    /// Where a file lies while and after it is fetched. Another content of the same name lies elsewhere, so that a
    /// download never goes on behind a part of something else.
    fn path_of(&self, Chosen { name, etag, bytes }: &Chosen) -> PathBuf {
        let content = format!("{} {} {name:?} {etag:?} {bytes}", self.endpoint, self.source.revision);
        let digest = Sha256::digest(content.as_bytes());
        self.cache.join(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    fn get(&self, chosen: &Chosen) -> Result<PathBuf> {
        let (Chosen { name, etag, bytes }, blob) = (chosen, self.path_of(chosen));
        let meter = Meter::new(self.out, name, "bytes");
        let fetched = self.downloader.download(&self.api.url(name), &blob, *bytes, meter, self.out);
        fetched.map_err(|e| self.failure(e, name))?;
        if self.out.cancel.requested() {
            return Err(Failure::cancelled().into());
        }
        let found = match is_digest(etag) {
            true => sha256(&blob, name, self.out)?,
            false => return Ok(blob),
        };
        if found == *etag {
            return Ok(blob);
        }
        self.forget();
        let detail = format!(
            "{name} of {} has SHA-256 {found}, the server promised {etag}; it was thrown away, repeat the command",
            self.source.id
        );
        Err(Failure::new(502, "wrong_hash", detail).into())
    }

    /// What was fetched is at its place: the cache of this repository is of no more use.
    fn forget(&self) {
        // What cannot be removed only takes room; the next fetch of the repository uses it.
        let _ = fs::remove_dir_all(&self.cache);
    }

    fn failure(&self, error: ApiError, what: &str) -> anyhow::Error {
        let Source { id, revision, .. } = self.source;
        let (status, code, detail) = match status_of(&error) {
            Some(404) => (
                404,
                "not_found",
                format!("{} has no {what} of {id} at revision {revision}; check the name", self.endpoint),
            ),
            Some(401 | 403) => (
                403,
                "no_access",
                format!(
                    "{} does not give out {what} of {id}: it does not exist, or it needs a token; accept its terms \
                     there and set HF_TOKEN",
                    self.endpoint
                ),
            ),
            // The server has nothing behind the part that is here: that part is of another file.
            Some(416) => {
                self.forget();
                (
                    502,
                    "hub_failed",
                    format!("what was fetched of {what} did not fit and was thrown away; repeat the command"),
                )
            }
            Some(status) => (
                502,
                "hub_failed",
                format!("{} answered {status} for {what} of {id}; repeat the command later", self.endpoint),
            ),
            None if is_disk_full(&error) => (
                507,
                "disk_full",
                format!("the disk is full while fetching {what} of {id}; free some and repeat"),
            ),
            None => (
                503,
                "no_network",
                format!(
                    "{} cannot be reached or broke off, for {what} of {id} ({error}); check the network and repeat the \
                     command, which goes on where it stopped, or get the files yourself and use --model PATH",
                    self.endpoint
                ),
            ),
        };
        Failure::new(status, code, detail).into()
    }
}

/// Files that an index of shards names, each once.
fn shards(index: &[u8], repository: &str) -> Result<Vec<String>> {
    let bad = |detail: String| Failure::new(422, "no_model", format!("{INDEX} of {repository}: {detail}"));
    let json: serde_json::Value = serde_json::from_slice(index).map_err(|e| bad(e.to_string()))?;
    let files = json["weight_map"].as_object().into_iter().flatten().map(|(_, file)| file.as_str());
    let names: BTreeSet<&str> =
        files.collect::<Option<_>>().ok_or_else(|| bad("it names no files".into()))?;
    match names.iter().find(|name| !is_plain_name(name)) {
        Some(name) => Err(bad(format!("{name:?} is no plain file name")).into()),
        None => Ok(names.into_iter().map(str::to_owned).collect()),
    }
}

fn fetch_file(source: &Source, file: &str, models: &Path, target: &Path, out: &Out) -> Result<PathBuf> {
    let hub = Hub::open(source, models, out)?;
    let chosen = hub.describe(&[file.to_owned()])?;
    let blobs = hub.get_all(&chosen)?;
    for blob in blobs.values() {
        weights::Model::open(blob)?;
        place(blob, target)?;
    }
    hub.forget();
    Ok(target.to_owned())
}

fn fetch_folder(source: &Source, models: &Path, target: &Path, out: &Out) -> Result<PathBuf> {
    let hub = Hub::open(source, models, out)?;
    let listed = hub.files()?;
    let chosen = hub.describe(&hub.choose(&listed)?)?;
    let blobs = hub.get_all(&chosen)?;
    let cannot = || format!("cannot write {}", target.display());
    let folder = tempfile::Builder::new().prefix(".fetch-").tempdir_in(models).with_context(cannot)?;
    for (name, blob) in &blobs {
        fs::hard_link(blob, folder.path().join(name)).with_context(cannot)?;
        File::open(blob)?.sync_all().with_context(cannot)?;
    }
    // A model that cannot be opened is refused before it takes a place among the others.
    weights::Model::open(folder.path())?;
    File::open(folder.path())?.sync_all().with_context(cannot)?;
    fs::rename(folder.path(), target).with_context(cannot)?;
    File::open(models)?.sync_all().with_context(cannot)?;
    hub.forget();
    Ok(target.to_owned())
}

/// Renames into place, durably.
fn place(blob: &Path, target: &Path) -> Result<()> {
    let cannot = || format!("cannot write {}", target.display());
    File::open(blob)?.sync_all().with_context(cannot)?;
    fs::rename(blob, target).with_context(cannot)?;
    File::open(target.parent().unwrap_or(Path::new(".")))?.sync_all().with_context(cannot)
}

/// A name that stays in the folder it is joined to.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn sha256(path: &Path, name: &str, out: &Out) -> Result<String> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let total = file.metadata()?.len();
    let meter = Meter::new(out, &format!("checking {name}"), "bytes");
    super::fetch::copy_hashing(file, &mut std::io::sink(), total, meter, out)
}

/// HTTP status that the server answered with.
fn status_of(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(error) => match **error {
            ureq::Error::StatusCode(status) => Some(status),
            _ => None,
        },
        ApiError::TooManyRetries(error) => status_of(error),
        _ => None,
    }
}

fn is_disk_full(error: &ApiError) -> bool {
    match error {
        ApiError::IoError(error) => error.kind() == std::io::ErrorKind::StorageFull,
        ApiError::TooManyRetries(error) => is_disk_full(error),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_owner_name_and_perhaps_revision() {
        let source = Source::parse("HuggingFaceTB/SmolLM2-360M-Instruct").ok().unwrap();
        assert_eq!((source.name.as_str(), source.revision.as_str()), ("SmolLM2-360M-Instruct", "main"));
        let source = Source::parse("a/b@refs/pr/1").ok().unwrap();
        assert_eq!((source.id.as_str(), source.revision.as_str()), ("a/b", "refs/pr/1"));
        for bad in ["", "a", "a/", "/b", "a/b/c", "../b", "a/..", "a/b@", "a/b@../x", "a/b c", "https://x/y"]
        {
            assert!(Source::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_names_that_stay_in_their_folder_are_plain() {
        assert!(is_plain_name("model-00001-of-00002.safetensors"));
        for bad in ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a\0"] {
            assert!(!is_plain_name(bad), "{bad:?}");
        }
    }
}
