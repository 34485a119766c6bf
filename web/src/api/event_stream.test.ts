// The event stream parser: any cut of the bytes gives the same events.
import { describe, expect, it } from "vitest";
import { EventStreamParser, readEvents, type StreamEvent } from "./event_stream";

function parse(pieces: string[]): StreamEvent[] {
  const events: StreamEvent[] = [];
  const parser = new EventStreamParser((event) => events.push(event));
  for (const piece of pieces) parser.push(piece);
  return events;
}

const STREAM =
  'id: 0\nevent: answer.created\ndata: {"answer_id":"ans_1"}\n\n: ping\n\nid: 1\nevent: text.delta\ndata: {"text":"𝒜 rose"}\n\n';

describe("EventStreamParser", () => {
  it("reads id, event and data", () => {
    expect(parse([STREAM])).toEqual([
      { id: "0", event: "answer.created", data: '{"answer_id":"ans_1"}' },
      { id: "1", event: "text.delta", data: '{"text":"𝒜 rose"}' },
    ]);
  });

  it("gives the same events however the text is cut and whatever ends its lines", () => {
    for (const ending of ["\n", "\r\n", "\r"]) {
      const text = STREAM.replaceAll("\n", ending);
      // A lone CR at the very end is only known to be a line end by what follows it.
      for (let cut = 0; cut <= text.length; cut++) {
        expect(parse([text.slice(0, cut), text.slice(cut), ": end\n"])).toHaveLength(2);
      }
      expect(parse([...text, ": end\n"])).toHaveLength(2);
    }
  });

  it("joins several data lines, skips comments and unknown fields, drops a byte order mark", () => {
    expect(parse(["\uFEFFdata: a\ndata:b\n:note\nretry: 10\nwhatever\n\n"])).toEqual([
      { id: null, event: "message", data: "a\nb" },
    ]);
  });

  it("does not dispatch an event without data or one that is not finished", () => {
    expect(parse(["event: x\n\n", "data: half"])).toEqual([]);
  });

  it("keeps the last id for events that carry none", () => {
    expect(parse(["id: 7\ndata: a\n\ndata: b\n\n"]).map((event) => event.id)).toEqual(["7", "7"]);
  });
});

describe("readEvents", () => {
  it("joins a character that was split between two pieces of the body", async () => {
    const bytes = new TextEncoder().encode("data: 𝒜\n\n");
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(bytes.slice(0, 8));
        controller.enqueue(bytes.slice(8));
        controller.close();
      },
    });
    const events: StreamEvent[] = [];
    await readEvents(new Response(body), (event) => events.push(event));
    expect(events.map((event) => event.data)).toEqual(["𝒜"]);
  });

  it("gives up on a stream that says nothing, not even a ping", async () => {
    const silent = new Response(new ReadableStream({}));
    await expect(readEvents(silent, () => {}, 20)).rejects.toThrow("silent");
  });
});
