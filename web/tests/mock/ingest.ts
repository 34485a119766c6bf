// Pretended reading of documents: a job that ticks. Names choose what goes wrong: "stall" falls silent in the middle,
// "crash" fails the job, "broken" fails its one document.
import type { Job } from "../../src/api/types.ts";
import { newId, now, refreshCorpus, type MockState } from "./state.ts";

const TICKS = 20;

export function startIngest(state: MockState, corpusId: string, documentIds: string[], tickMs: number): Job {
  const job: Job = {
    object: "job",
    id: newId("job"),
    kind: "ingest",
    state: "queued",
    corpus_id: corpusId,
    progress: { stage: "", done: 0, total: 0, unit: "", rate: 0, eta_s: null, kv_bytes: null },
    error: null,
    created_at: now(),
    heartbeat_at: now(),
    finished_at: null,
  };
  state.jobs.set(job.id, job);
  runIngest(state, job, documentIds, tickMs);
  return job;
}

function entries(state: MockState, ids: string[]) {
  return ids.flatMap((id) => state.documents.get(id)?.document ?? []);
}

function finish(state: MockState, job: Job, jobState: Job["state"], error: Job["error"] = null): void {
  job.state = jobState;
  job.error = error;
  job.finished_at = now();
  refresh(state, job);
}

function refresh(state: MockState, job: Job): void {
  const corpus = state.corpora.get(job.corpus_id!);
  if (corpus) refreshCorpus(state, corpus);
}

export function runIngest(state: MockState, job: Job, documentIds: string[], tickMs: number): void {
  let tick = 0;
  const names = entries(state, documentIds).map(({ path }) => path).join(" ");
  job.state = "running";
  job.error = null;
  job.finished_at = null;
  const timer = setInterval(() => {
    const documents = entries(state, documentIds);
    const over = () => {
      clearInterval(timer);
      state.timers.delete(timer);
    };
    if (job.state !== "running") {
      for (const document of documents) if (document.state !== "ready") state.documents.delete(document.id);
      refresh(state, job);
      return over();
    }
    tick += 1;
    const total = documents.reduce((sum, { tokens }) => sum + tokens, 0);
    const done = Math.round(total * Math.min(1, Math.max(0, tick - 4) / (TICKS - 4)));
    if (names.includes("stall") && tick > 12) {
      // Silent for a while already: tests do not wait ten seconds to see it.
      job.heartbeat_at = new Date(Date.now() - 15_000).toISOString();
      refresh(state, job);
      return over();
    }
    job.heartbeat_at = now();
    if (names.includes("crash") && tick > 10) {
      for (const document of documents) document.state = "failed";
      finish(state, job, "failed", { code: "disk_full", message: "The disk filled up while state was written." });
      return over();
    }
    advance(job, documents, tick, done, total);
    refresh(state, job);
    if (tick < TICKS) return;
    finish(state, job, "succeeded");
    over();
  }, tickMs);
  state.timers.add(timer);
}

function advance(job: Job, documents: ReturnType<typeof entries>, tick: number, done: number, total: number): void {
  if (tick <= 4) {
    for (const document of documents) document.state = "extracting";
    job.progress = { stage: "extract", done: Math.round((documents.length * tick) / 4), total: documents.length, unit: "documents", rate: 1.8, eta_s: 1, kv_bytes: null };
    return;
  }
  let before = 0;
  for (const document of documents) {
    before += document.tokens;
    const broken = document.path.includes("broken");
    if (broken) document.error = { code: "malformed", message: "The file ends in the middle of a table." };
    document.state = broken ? "failed" : before <= done ? "ready" : "prefilling";
  }
  job.progress = {
    stage: "prefill",
    done,
    total,
    unit: "tokens",
    rate: 412.5 + 30 * Math.sin(tick),
    eta_s: Math.round((total - done) / 412.5),
    kv_bytes: done * 11_776,
  };
}
