// Events of a stream, applied one after the other.
import { describe, expect, it } from "vitest";
import { applyEvent, emptyAnswer, liveAnswer, type LiveAnswer } from "./apply_event";
import { answer, citation } from "./testing";

function play(events: [string, unknown][]): LiveAnswer {
  return events.reduce(
    (live, [event, data], id) => applyEvent(live, { id: String(id), event, data: JSON.stringify(data) }),
    liveAnswer(emptyAnswer("corp_1", "How much?", null)),
  );
}

const START: [string, unknown][] = [
  ["answer.created", { answer_id: "ans_9", corpus_version: 4 }],
  ["corpus.loading", { kv_bytes_done: 1, kv_bytes_total: 4 }],
];

describe("applyEvent", () => {
  it("opens stored state, then writes", () => {
    expect(play(START)).toMatchObject({ loading: { done: 1, total: 4 }, answer: { id: "ans_9", status: "running" } });
    const writing = play([...START, ["text.delta", { text: "𝒜 " }], ["text.delta", { text: "rose." }]]);
    expect(writing).toMatchObject({ loading: null, lastEventId: "3", answer: { text: "𝒜 rose." } });
  });

  it("takes a citation that comes twice only once, and what its verification says", () => {
    const first = citation(1, 0, 5, "normalised");
    const live = play([
      ...START,
      ["citation.added", { citation: first }],
      ["citation.added", { citation: first }],
      ["citation.verified", { id: "cit_1", verification: { status: "exact", method: "text_compare", score: 1 } }],
    ]);
    expect(live.answer.citations).toMatchObject([{ id: "cit_1", verification: { status: "exact", score: 1 } }]);
  });

  it("ends with the whole answer of the server", () => {
    const whole = answer({ id: "ans_9", text: "All of it." });
    expect(play([...START, ["text.delta", { text: "half" }], ["answer.completed", whole]])).toMatchObject({
      finished: true,
      answer: whole,
    });
  });

  it("keeps the text that had come when it is stopped", () => {
    const stopped = answer({ id: "ans_9", status: "cancelled", grounding: null });
    expect(play([...START, ["text.delta", { text: "Half" }], ["answer.completed", stopped]])).toMatchObject({
      finished: true,
      answer: { status: "cancelled", text: "Half" },
    });
  });

  it("keeps the text that had come when an error ends the stream", () => {
    const problem = { title: "Out of memory", status: 503, code: "engine_failed" };
    expect(play([...START, ["text.delta", { text: "Half" }], ["error", problem]])).toMatchObject({
      finished: true,
      answer: { status: "failed", text: "Half" },
      problem,
    });
  });

  it("ignores events it does not know", () => {
    expect(play([...START, ["later.invention", {}]]).lastEventId).toBe("2");
  });
});
