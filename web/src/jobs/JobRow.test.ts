// What a job says: numbers while it runs, silence when it stalls, the reason when it failed.
// @vitest-environment jsdom
import { render, screen } from "@testing-library/svelte";
import { expect, it } from "vitest";
import type { Job } from "../api/types";
import JobRow from "./JobRow.svelte";

function job(fields: Partial<Job>): Job {
  const time = new Date().toISOString();
  return {
    object: "job",
    id: "job_1",
    kind: "ingest",
    state: "running",
    corpus_id: "corp_1",
    progress: { stage: "prefill", done: 1_200_128, total: 2_410_332, unit: "tokens", rate: 412.5, eta_s: 2934, kv_bytes: 88_340_000_000 },
    error: null,
    created_at: time,
    heartbeat_at: time,
    finished_at: null,
    ...fields,
  };
}

it("shows stage, done of total, rate, time left and state written", () => {
  render(JobRow, { job: job({}), corpusName: "Reports" });
  for (const text of ["Running", "Reading", "1,200,128 of 2,410,332 tokens, 49.7 %", "413 tokens/s", "48 min", "88.3 GB"]) {
    expect(screen.getByText(text)).toBeTruthy();
  }
  expect(screen.getByRole("progressbar").getAttribute("aria-valuetext")).toBe("49.7 %");
  expect(screen.getByRole("button", { name: "Cancel: Reading documents, Reports" })).toBeTruthy();
});

it("says how long it has been silent instead of a rate that is no longer true", () => {
  render(JobRow, { job: job({ heartbeat_at: new Date(Date.now() - 75_000).toISOString() }), corpusName: "Reports" });
  expect(screen.getByText("Stalled")).toBeTruthy();
  expect(screen.getByText(/No sign of life for 1 min 1\d s/)).toBeTruthy();
  expect(screen.queryByText("413 tokens/s")).toBeNull();
});

it("shows why it failed and offers a retry", () => {
  render(JobRow, { job: job({ state: "failed", error: { code: "disk_full", message: "The disk is full." } }), corpusName: null });
  expect(screen.getByText(/The disk is full\./)).toBeTruthy();
  expect(screen.getByRole("button", { name: /^Retry/ })).toBeTruthy();
  expect(screen.queryByRole("button", { name: /^Cancel/ })).toBeNull();
});
