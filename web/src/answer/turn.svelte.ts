// One question and its answer while it is written: the stream, the stop button, and what is read aloud.
import * as api from "../api/endpoints";
import { asProblem } from "../api/request";
import { readEvents, type StreamEvent } from "../api/event_stream";
import type { Answer, AnswerRequest, Problem } from "../api/types";
import { notices } from "../components/notices.svelte";
import { messages } from "../messages";
import { takeSentences } from "../text/sentences";
import { applyEvent, emptyAnswer, liveAnswer, type LiveAnswer } from "./apply_event";
import { follow } from "./follow";
import { forgetRunning, rememberRunning } from "./running";

let lastKey = 0;

export class Turn {
  /** For keyed lists: an answer has no id of the server until its first event. */
  readonly key = ++lastKey;
  live = $state.raw<LiveAnswer>()!;
  reconnecting = $state(false);
  stopping = $state(false);
  /** The question was refused, or the stream could not be taken up again. */
  problem = $state.raw<Problem | null>(null);
  #announced = 0;
  #abort = new AbortController();

  constructor(answer: Answer) {
    const over = answer.status !== "queued" && answer.status !== "running";
    this.live = { ...liveAnswer(answer), finished: over };
  }

  static asking(corpusId: string, question: string, conversationId: string | null): Turn {
    return new Turn(emptyAnswer(corpusId, question, conversationId));
  }

  get answer(): Answer {
    return this.live.answer;
  }

  /** Its events tell more than the stored answer: what was written before it ended early, and what is near a question that
   * the documents do not answer. */
  get toldMore(): boolean {
    const { status, text, grounding, related } = this.answer;
    if (status === "completed") return grounding === "not_in_corpus" && related.length === 0;
    return !this.running && text === "";
  }

  get running(): boolean {
    return !this.live.finished && this.problem === null;
  }

  ask(request: AnswerRequest): Promise<void> {
    notices.announce(messages.answer.announce.started);
    return this.#follow(async () => {
      const response = await api.askStreaming(this.answer.corpus_id, request, this.#abort.signal);
      // Its first event comes when its turn does: until then the reply's head tells which answer it is.
      const id = response.headers.get("location")?.split("/").pop();
      if (id) this.#known(id);
      return response;
    });
  }

  /** Takes up the stream of an answer that is being written. Its events are replayed from the first. */
  resume(): Promise<void> {
    const { answer } = this;
    this.live = liveAnswer({ ...answer, text: "", citations: [] });
    return this.#follow(() => api.answerEvents(answer.id, null, this.#abort.signal));
  }

  /** Once more through the events of an answer that is over; nothing is shown before all of them have come. */
  async recall(): Promise<void> {
    let told = liveAnswer({ ...this.answer, text: "" });
    try {
      const response = await api.answerEvents(this.answer.id, null, this.#abort.signal);
      await readEvents(response, (event) => (told = applyEvent(told, event)));
      if (told.finished) this.live = told;
    } catch {
      // What is stored is shown already.
    }
  }

  async stop(): Promise<void> {
    if (!this.running || this.stopping || this.answer.id === "") return;
    this.stopping = true;
    try {
      await api.cancelAnswer(this.answer.id);
    } catch (error) {
      this.stopping = false;
      notices.add("bad", asProblem(error).title);
    }
  }

  /** Leaves the stream; the answer goes on at the server. */
  leave(): void {
    this.#abort.abort();
  }

  async #follow(open: () => Promise<Response>): Promise<void> {
    try {
      await follow({
        open,
        reopen: () =>
          this.answer.id === "" ? null : api.answerEvents(this.answer.id, this.live.lastEventId, this.#abort.signal),
        onEvent: (event) => this.#onEvent(event),
        onConnection: (state) => (this.reconnecting = state === "reconnecting"),
        signal: this.#abort.signal,
      });
    } catch (error) {
      if (!this.#abort.signal.aborted) this.problem = asProblem(error);
      if (this.answer.id !== "") forgetRunning(this.answer.id);
    }
  }

  #known(id: string): void {
    this.live = { ...this.live, answer: { ...this.live.answer, id } };
    rememberRunning({ corpusId: this.answer.corpus_id, answerId: id });
  }

  #onEvent(event: StreamEvent): boolean {
    this.live = applyEvent(this.live, event);
    const { answer, finished } = this.live;
    if (event.event === "answer.created") this.#known(answer.id);
    const { announce, next } = takeSentences(answer.text, this.#announced, finished);
    this.#announced = next;
    notices.announce(announce);
    if (finished) {
      this.stopping = false;
      forgetRunning(answer.id);
      const { done, failed } = messages.answer.announce;
      notices.announce(answer.status === "failed" ? failed : done);
    }
    return finished;
  }
}
