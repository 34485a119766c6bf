// Streams that break in the middle and come back.
import { expect, it } from "vitest";
import { ApiError } from "../api/request";
import { follow } from "./follow";

function body(text: string, thenBreak = false): Response {
  const stream = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(text));
      if (thenBreak) setTimeout(() => controller.error(new TypeError("network")), 5);
      else controller.close();
    },
  });
  return new Response(stream);
}

async function run(open: () => Promise<Response>, reopen: (seen: string[]) => Promise<Response> | null) {
  const seen: string[] = [];
  const connection: string[] = [];
  await follow({
    open,
    reopen: () => reopen(seen),
    onEvent: ({ id, data }) => {
      seen.push(id!);
      return data === "end";
    },
    onConnection: (state) => connection.push(state),
    signal: new AbortController().signal,
    pause: async () => {},
  });
  return { seen, connection };
}

it("comes back after the connection broke and misses nothing", async () => {
  const { seen, connection } = await run(
    async () => body("id: 0\ndata: a\n\nid: 1\ndata: b\n\nid: 2\nda", true),
    async (already) => body(`id: ${already.length}\ndata: c\n\nid: 3\ndata: end\n\n`),
  );
  expect(seen).toEqual(["0", "1", "2", "3"]);
  expect(connection).toEqual(["open", "reconnecting", "open"]);
});

it("keeps trying while the server is away", async () => {
  let attempts = 0;
  const { seen } = await run(
    async () => body("id: 0\ndata: a\n\n"),
    async () => {
      attempts += 1;
      if (attempts < 3) throw new ApiError({ title: "away", status: attempts === 1 ? 0 : 503, code: "away" });
      return body("id: 1\ndata: end\n\n");
    },
  );
  expect(seen).toEqual(["0", "1"]);
  expect(attempts).toBe(3);
});

it("gives up when the answer is gone", async () => {
  const gone = new ApiError({ title: "Not found", status: 404, code: "not_found" });
  await expect(run(async () => body(""), () => Promise.reject(gone))).rejects.toBe(gone);
  await expect(run(async () => body(""), () => null)).rejects.toMatchObject({ code: "answer_lost" });
});

it("hands on the refusal of a question", async () => {
  const refused = new ApiError({ title: "Too long", status: 422, code: "question_too_long" });
  await expect(run(() => Promise.reject(refused), () => null)).rejects.toBe(refused);
});
