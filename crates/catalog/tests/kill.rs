//! The process dies at random moments while it commits: everything it acknowledged is there afterwards, and the
//! database is sound. The test runs itself again as the process that is killed.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use catalog::{Catalog, LOCAL_OWNER};

const CHILD_PATH: &str = "CATALOG_KILL_TEST_PATH";
const ROUNDS: u64 = 24;

#[tokio::test]
async fn acknowledged_commits_survive_kill_9() {
    if let Some(path) = env::var_os(CHILD_PATH) {
        commit_forever(Path::new(&path)).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        // Spread over opening, the first commits and full speed; different each round, the same each run.
        let alive = Duration::from_millis((round * 37) % 150);
        acknowledged.extend(run_and_kill(&path, alive));
        let catalog = Catalog::open(&path).await.unwrap();
        catalog.check_integrity().await.unwrap();
        for name in &acknowledged {
            catalog.corpus(LOCAL_OWNER, name).await.unwrap();
        }
        catalog.close().await;
    }
    assert!(acknowledged.len() as u64 > ROUNDS, "only {} commits were acknowledged", acknowledged.len());
}

/// Runs this test as a child, waits for its first acknowledgement in two rounds of three, then kills it.
fn run_and_kill(path: &Path, alive: Duration) -> Vec<String> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "acknowledged_commits_survive_kill_9", "--nocapture"])
        .env(CHILD_PATH, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut names = Vec::new();
    let mut acknowledged = |line: String| {
        if let Some(name) = line.strip_prefix("committed ").and_then(|rest| rest.strip_suffix('.')) {
            names.push(name.to_owned());
        }
    };
    if !alive.as_millis().is_multiple_of(3) {
        for line in lines.by_ref().map_while(Result::ok) {
            let first = line.starts_with("committed ");
            acknowledged(line);
            if first {
                break;
            }
        }
    }
    thread::sleep(alive);
    child.kill().unwrap();
    child.wait().unwrap();
    lines.map_while(Result::ok).for_each(acknowledged);
    names
}

async fn commit_forever(path: &Path) -> ! {
    let catalog = Catalog::open(path).await.unwrap();
    let mut out = std::io::stdout();
    for n in 0_u64.. {
        let name = format!("{}-{n}", std::process::id());
        let corpus = catalog.create_corpus(LOCAL_OWNER, &name).await.unwrap();
        // The full stop shows that the line was written whole.
        writeln!(out, "\ncommitted {}.", corpus.name).unwrap();
        out.flush().unwrap();
    }
    unreachable!("the counter does not end");
}
