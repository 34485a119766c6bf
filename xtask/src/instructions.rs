//! `cargo xtask instructions`: how many instructions each kernel of `compute` takes on AVX2 and on scalar code, counted
//! by callgrind. Unlike a time, the count is the same on a busy machine: what it gains or loses from one commit to the
//! next is the kernel's doing. Callgrind knows no AVX-512.

use anyhow::{Context, Result, bail};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Instruction sets that are counted.
const SETS: [&str; 2] = ["avx2", "scalar"];

/// Prints a table; what this machine lacks is said in its place.
pub fn report(root: &Path) -> Result<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        bail!("valgrind is not installed (package valgrind)");
    }
    let program = build(root)?;
    let listed = Command::new(&program).output().context("cannot list the kernels")?;
    if !listed.status.success() || listed.stdout.is_empty() {
        bail!("the kernels are not listed: {}", String::from_utf8_lossy(&listed.stderr));
    }
    let listed = String::from_utf8(listed.stdout)?;
    println!("instructions of one call, 8 rows of SmolLM2-135M's shapes, attention over 512 tokens\n");
    println!("| kernel | operations | {} |", SETS.map(|set| format!("{set} | per operation")).join(" | "));
    println!("|---|{}", "---|".repeat(1 + 2 * SETS.len()));
    for line in listed.lines() {
        let (kernel, operations) = line.split_once('\t').context("a kernel and its operations")?;
        let operations: u64 = operations.parse()?;
        let cells: Vec<String> = SETS
            .iter()
            .map(|set| {
                Ok(match count(&program, kernel, set)? {
                    Some(n) => format!("{n} | {:.3}", n as f64 / operations as f64),
                    None => "not on this machine | ".to_owned(),
                })
            })
            .collect::<Result<_>>()?;
        println!("| {kernel} | {operations} | {} |", cells.join(" | "));
    }
    Ok(())
}

/// As the program that is shipped, but for link-time optimisation: with debug assertions the intrinsics are calls.
fn build(root: &Path) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = [
        "build",
        "--release",
        "--package",
        "compute",
        "--example",
        "one_call",
        "--message-format",
        "json-render-diagnostics",
    ];
    let output = Command::new(cargo)
        .args(build)
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .current_dir(root)
        .stderr(std::process::Stdio::inherit())
        .output()?;
    if !output.status.success() {
        bail!("the kernels do not build");
    }
    let messages = String::from_utf8(output.stdout)?;
    let executable = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let ours = message["target"]["name"] == "one_call";
        message["executable"].as_str().filter(|_| ours).map(PathBuf::from)
    });
    executable.context("cargo names no program")
}

/// `None` where the machine lacks the instruction set.
fn count(program: &Path, kernel: &str, set: &str) -> Result<Option<u64>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=*one_call*counted*")
        .arg(program)
        .args([kernel, set])
        .output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => {}
        Some(3) => return Ok(None),
        _ => bail!("{kernel} on {set} ended badly:\n{told}"),
    }
    let collected = told.lines().find_map(|line| line.split_once("Collected :")).map(|(_, n)| n.trim());
    let n: u64 = collected.context("callgrind tells no count")?.parse()?;
    if n == 0 {
        bail!("nothing of {kernel} on {set} was counted");
    }
    Ok(Some(n))
}
