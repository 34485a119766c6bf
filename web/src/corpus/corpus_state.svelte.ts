// What the corpus screen knows about its corpus: the corpus itself, its documents, and the scope of the next question.
import * as api from "../api/endpoints";
import { asProblem } from "../api/request";
import { poll } from "../api/polling";
import type { Corpus, CorpusDocument, Problem } from "../api/types";
import { uploads } from "../uploads/uploads.svelte";

const BUSY_MS = 1000;
const IDLE_MS = 15_000;

/** As a file manager sorts: the server's order is that of arrival, which means nothing for files dropped at once. */
const byName = new Intl.Collator(undefined, { numeric: true });

export function isUnfinished(document: CorpusDocument): boolean {
  return ["queued", "extracting", "prefilling", "deleting"].includes(document.state);
}

export class CorpusState {
  readonly id: string;
  corpus = $state.raw<Corpus | null>(null);
  documents = $state.raw<CorpusDocument[]>([]);
  /** False where the corpus has more documents than the page loads. */
  complete = $state(true);
  loaded = $state(false);
  problem = $state.raw<Problem | null>(null);
  /** Ticked documents; none ticked means all. */
  scope = $state.raw<ReadonlySet<string>>(new Set());
  #polling: ReturnType<typeof poll> | null = null;

  constructor(id: string) {
    this.id = id;
  }

  readonly ready = $derived(this.documents.filter(({ state }) => state === "ready"));
  readonly byId = $derived(new Map(this.documents.map((document) => [document.id, document])));

  /** Asking needs one ready document, no more: the others may still be read. */
  get canAsk(): boolean {
    return this.ready.length > 0;
  }

  start(): () => void {
    this.#polling = poll(() => this.#load());
    return () => this.#polling?.stop();
  }

  refresh(): void {
    this.#polling?.now();
  }

  setInScope(documentId: string, inScope: boolean): void {
    const scope = new Set(this.scope);
    if (inScope) scope.add(documentId);
    else scope.delete(documentId);
    this.scope = scope;
  }

  clearScope(): void {
    this.scope = new Set();
  }

  async #load(): Promise<number> {
    try {
      const [corpus, { documents, complete }] = await Promise.all([api.getCorpus(this.id), api.listDocuments(this.id)]);
      this.corpus = corpus;
      this.documents = documents.toSorted((a, b) => byName.compare(a.path, b.path));
      this.complete = complete;
      this.problem = null;
      const here = new Set(documents.map(({ id }) => id));
      if ([...this.scope].some((id) => !here.has(id))) this.scope = new Set([...this.scope].filter((id) => here.has(id)));
      this.loaded = true;
    } catch (error) {
      this.problem = asProblem(error);
      if (this.problem.status === 404) return IDLE_MS;
      return 3000;
    }
    const busy = this.corpus.prefill !== null || this.documents.some(isUnfinished) || uploads.active;
    // A list of thousands is asked for less often than one of ten.
    return busy ? Math.max(BUSY_MS, 3 * this.documents.length) : IDLE_MS;
  }
}
