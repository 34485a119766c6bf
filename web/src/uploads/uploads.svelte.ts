// All uploads of this page, whichever screen started them: they go on while people look at something else.
import { asProblem, isAbort } from "../api/request";
import type { Problem, UploadResult } from "../api/types";
import { sendFiles, type OutgoingFile } from "./send";

/** `failed`: it may be sent again. `refused`: the same file would be refused again. */
export type UploadState = "waiting" | "sending" | "checking" | "done" | "failed" | "refused" | "cancelled";

export interface UploadItem {
  id: number;
  corpusId: string;
  name: string;
  sent: number;
  total: number;
  state: UploadState;
  result: UploadResult | null;
  problem: Problem | null;
}

/** One request carries few enough files that a broken connection costs little, and enough that a folder is not a thousand jobs. */
const BATCH_FILES = 32;
const BATCH_BYTES = 256_000_000;

/** Too long, not a document, nothing in it: said of the request itself where it carries one file only. */
const REFUSALS = new Set([413, 415, 422]);

let lastId = 0;

class Uploads {
  items = $state<UploadItem[]>([]);
  #files = new Map<number, OutgoingFile>();
  #current: AbortController | null = null;
  #working = false;

  of(corpusId: string): UploadItem[] {
    return this.items.filter((item) => item.corpusId === corpusId);
  }

  get active(): boolean {
    return this.items.some(({ state }) => state === "waiting" || state === "sending" || state === "checking");
  }

  add(corpusId: string, files: OutgoingFile[]): void {
    for (const outgoing of files) {
      const id = ++lastId;
      this.#files.set(id, outgoing);
      const total = outgoing.file.size;
      this.items.push({ id, corpusId, name: outgoing.name, sent: 0, total, state: "waiting", result: null, problem: null });
    }
    void this.#work();
  }

  retry(id: number): void {
    const item = this.items.find((other) => other.id === id);
    if (!item || !this.#files.has(id)) return;
    Object.assign(item, { state: "waiting", sent: 0, problem: null, result: null });
    void this.#work();
  }

  /** Files share a request, so cancelling one that is being sent sends its neighbours again without it. */
  cancel(id: number): void {
    const item = this.items.find((other) => other.id === id);
    if (!item || item.state === "done") return;
    const sending = item.state === "sending" || item.state === "checking";
    item.state = "cancelled";
    if (sending) this.#current?.abort();
  }

  clear(corpusId: string): void {
    const over = (item: UploadItem) =>
      item.corpusId === corpusId && ["done", "failed", "refused", "cancelled"].includes(item.state);
    for (const item of this.items) if (over(item)) this.#files.delete(item.id);
    this.items = this.items.filter((item) => !over(item));
  }

  #nextBatch(): UploadItem[] {
    const waiting = this.items.filter(({ state }) => state === "waiting");
    const batch: UploadItem[] = [];
    let bytes = 0;
    for (const item of waiting) {
      if (item.corpusId !== waiting[0]!.corpusId || batch.length === BATCH_FILES) break;
      if (batch.length > 0 && bytes + item.total > BATCH_BYTES) break;
      bytes += item.total;
      batch.push(item);
    }
    return batch;
  }

  async #work(): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    for (let batch = this.#nextBatch(); batch.length > 0; batch = this.#nextBatch()) await this.#send(batch);
    this.#working = false;
  }

  async #send(batch: UploadItem[]): Promise<void> {
    for (const item of batch) item.state = "sending";
    this.#current = new AbortController();
    const files = batch.map(({ id }) => this.#files.get(id)!);
    const onSent = (sent: number[]) =>
      batch.forEach((item, i) => {
        if (item.state !== "sending") return;
        item.sent = sent[i]!;
        if (item.sent >= item.total) item.state = "checking";
      });
    try {
      const upload = await sendFiles(batch[0]!.corpusId, files, onSent, this.#current.signal);
      batch.forEach((item, i) => {
        item.state = "done";
        item.sent = item.total;
        item.result = upload.results[i] ?? null;
        this.#files.delete(item.id);
      });
    } catch (error) {
      for (const item of batch) {
        if (item.state === "cancelled") continue;
        item.sent = 0;
        if (isAbort(error)) item.state = "waiting";
        else {
          item.problem = asProblem(error);
          item.state = batch.length === 1 && REFUSALS.has(item.problem.status) ? "refused" : "failed";
        }
      }
    } finally {
      this.#current = null;
    }
  }
}

export const uploads = new Uploads();
