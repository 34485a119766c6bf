// The routes of the mock server, in the order of the REST contract.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Answer, AnswerRequest, PlanRequest, UploadResult } from "../../src/api/types.ts";
import { startAnswer } from "./answering.ts";
import { runIngest, startIngest } from "./ingest.ts";
import { parseMultipart } from "./multipart.ts";
import { pageImage } from "./page_image.ts";
import { plan } from "./planning.ts";
import type { Mock } from "./server.ts";
import { documentsOf, newCorpus, newDocument, newId, now, refreshCorpus, type StoredAnswer, type StoredEvent } from "./state.ts";

interface Call {
  mock: Mock;
  request: IncomingMessage;
  response: ServerResponse;
  url: URL;
  body: Buffer;
  ids: string[];
}

type Handler = (call: Call) => unknown;

class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, title: string) {
    super(title);
    this.status = status;
    this.code = code;
  }
}

const notFound = () => new Refusal(404, "not_found", "Not found");
const json = (call: Call) => JSON.parse(call.body.toString() || "{}") as Record<string, unknown>;

function found<T>(value: T | undefined): T {
  if (value === undefined) throw notFound();
  return value;
}

function list<T>(call: Call, data: T[], idOf = (item: T) => (item as { id?: string }).id ?? ""): unknown {
  const limit = Number(call.url.searchParams.get("limit") ?? 20);
  const after = call.url.searchParams.get("after");
  const from = after ? data.findIndex((item) => idOf(item) === after) + 1 : 0;
  const page = data.slice(from, from + limit);
  return {
    object: "list",
    data: page,
    first_id: page[0] ? idOf(page[0]) : null,
    last_id: page.at(-1) ? idOf(page.at(-1)!) : null,
    has_more: from + limit < data.length,
  };
}

function upload(call: Call): unknown {
  const { state, options } = call.mock;
  const corpus = found(state.corpora.get(call.ids[0]!));
  const accepted: string[] = [];
  const results = parseMultipart(call.body, call.request.headers["content-type"] ?? "").map(({ name, content }): UploadResult => {
    const bytes = content.length;
    const refuse = (code: string, message: string): UploadResult => ({ name, status: "refused", document_id: null, bytes, sha256: null, deduplicated: false, error: { code, message } });
    if (bytes === 0) return refuse("empty_file", "The file is empty.");
    if (name.endsWith(".exe")) return refuse("unsupported_type", "Programs are not documents.");
    const same = documentsOf(state, corpus.id).find(({ path }) => path === name);
    if (same) return { name, status: "unchanged", document_id: same.id, bytes, sha256: same.sha256, deduplicated: true, error: null };
    const document = newDocument(state, corpus.id, name, "queued", content.toString());
    accepted.push(document.id);
    return { name, status: "accepted", document_id: document.id, bytes, sha256: document.sha256, deduplicated: false, error: null };
  });
  const job = accepted.length > 0 ? startIngest(state, corpus.id, accepted, options.tickMs) : null;
  refreshCorpus(state, corpus);
  call.response.statusCode = 202;
  return { object: "upload", corpus_id: corpus.id, job_id: job?.id ?? null, results };
}

function addSample(call: Call): unknown {
  const { state, options } = call.mock;
  const corpus = newCorpus(state, "Sample corpus", { sample: true });
  const names = ["book-design.pdf", "tex-overview.pdf", "debian-constitution.md", "us-states-2009.csv"];
  const ids = names.map((name) => newDocument(state, corpus.id, name, "queued").id);
  const job = startIngest(state, corpus.id, ids, options.tickMs);
  refreshCorpus(state, corpus);
  call.response.statusCode = 202;
  return { object: "upload", corpus_id: corpus.id, job_id: job.id, results: [] };
}

function stream(call: Call, stored: StoredAnswer, after: number): void {
  const { response } = call;
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  let sent = 0;
  const send = ({ id, event, data }: StoredEvent) => {
    if (id <= after) return;
    response.write(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    sent += 1;
    if (stored.dropAfter !== null && sent >= stored.dropAfter) {
      stored.dropAfter = null;
      stored.listeners.delete(send);
      response.destroy();
    } else if (event === "answer.completed" || event === "error") {
      stored.listeners.delete(send);
      response.end();
    }
  };
  for (const event of stored.events) send(event);
  stored.listeners.add(send);
  response.on("close", () => stored.listeners.delete(send));
}

function ask(call: Call): unknown {
  const corpus = found(call.mock.state.corpora.get(call.ids[0]!));
  const request = json(call) as unknown as AnswerRequest & { stream?: boolean };
  call.mock.state.requests.push({ method: "POST", path: call.url.pathname, body: request });
  if (request.question.length > 4000) throw new Refusal(422, "question_too_long", "The question is longer than 4,000 characters.");
  if (corpus.counts.ready === 0) throw new Refusal(409, "corpus_not_ready", "No document is ready yet.");
  stream(call, startAnswer(call.mock.state, corpus.id, request, call.mock.options.tokenMs), -1);
  return undefined;
}

/** As the server leaves it: the words that rested on the document are blacked out, its quotes are gone. */
function removeSource(answer: Answer, documentId: string): void {
  answer.citations = answer.citations.map((citation) => {
    if (!("source" in citation) || citation.source.document_id !== documentId) return citation;
    const { id, number, answer_span } = citation;
    const points = Array.from(answer.text);
    answer.text = points.map((c, i) => (answer_span.start <= i && i < answer_span.end && c !== " " ? "█" : c)).join("");
    answer.source_removed = true;
    return { id, number, answer_span, source_removed: true };
  });
}

function removeDocument(call: Call): unknown {
  const { state } = call.mock;
  const { document } = found(state.documents.get(call.ids[0]!));
  state.documents.delete(document.id);
  refreshCorpus(state, found(state.corpora.get(document.corpus_id)));
  for (const { answer } of state.answers.values()) removeSource(answer, document.id);
  return { object: "document.deleted", id: document.id, deleted: true, freed_bytes: document.tokens * 11_776 + document.bytes, freed_files: 3 };
}

function removeCorpus(call: Call): unknown {
  const { state } = call.mock;
  const corpus = found(state.corpora.get(call.ids[0]!));
  const { kv_bytes, source_bytes, text_bytes } = corpus.storage;
  state.corpora.delete(corpus.id);
  for (const { id } of documentsOf(state, corpus.id)) state.documents.delete(id);
  return { object: "corpus.deleted", id: corpus.id, deleted: true, freed_bytes: kv_bytes + source_bytes + text_bytes, freed_files: 14 };
}

function text(call: Call): unknown {
  const entry = found(call.mock.state.documents.get(call.ids[0]!));
  const points = Array.from(entry.text.text);
  const start = Math.min(Number(call.url.searchParams.get("start") ?? 0), points.length);
  const end = Math.min(Number(call.url.searchParams.get("end") ?? points.length), points.length);
  return { object: "text", document_id: entry.document.id, offsets: "code_point", start, end, total: points.length, text: points.slice(start, end).join("") };
}

function image(call: Call): void {
  const entry = found(call.mock.state.documents.get(call.ids[0]!));
  const page = Number(call.ids[1]);
  if (!entry.text.pages?.[page - 1]) throw notFound();
  call.response.writeHead(200, { "Content-Type": "image/png" });
  call.response.end(pageImage(entry.text, page, Number(call.url.searchParams.get("scale") ?? 1)));
}

function retry(call: Call): unknown {
  const { state, options } = call.mock;
  const job = found(state.jobs.get(call.ids[0]!));
  const ids = documentsOf(state, job.corpus_id!).filter(({ state: s }) => s !== "ready").map(({ id }) => id);
  for (const id of ids) {
    const { document } = state.documents.get(id)!;
    document.path = document.path.replace("crash", "retried");
    document.state = "queued";
  }
  runIngest(state, job, ids, options.tickMs);
  return job;
}

function conversation(call: Call): unknown {
  const { state } = call.mock;
  const found_ = found(state.conversations.get(call.ids[0]!));
  const answers = [...state.answers.values()].map(({ answer }) => answer).filter((answer) => answer.conversation_id === found_.id);
  return { ...found_, answers };
}

function startConversation(call: Call): unknown {
  const { corpus_id, title } = json(call) as { corpus_id: string; title?: string };
  const created = { object: "conversation" as const, id: newId("conv"), corpus_id, title: title ?? "", created_at: now(), updated_at: now() };
  call.mock.state.conversations.set(created.id, created);
  call.response.statusCode = 201;
  return created;
}

function cancelAnswer(call: Call): unknown {
  const stored = found(call.mock.state.answers.get(call.ids[0]!));
  stored.cancelled = true;
  return stored.answer;
}

function cancelJob(call: Call): unknown {
  const job = found(call.mock.state.jobs.get(call.ids[0]!));
  Object.assign(job, { state: "cancelled", finished_at: now() });
  const corpus = call.mock.state.corpora.get(job.corpus_id!);
  if (corpus) refreshCorpus(call.mock.state, corpus);
  return job;
}

const ROUTES: [string, RegExp, Handler][] = [
  ["GET", /^\/v1\/session$/, (call) => ({ object: "session", owner: call.mock.options.key ? "ana" : "local", open: !call.mock.options.key, scopes: ["read", "ask", "write"], corpora: null, expires_at: null })],
  ["DELETE", /^\/v1\/session$/, (call) => void call.response.writeHead(204, { "Set-Cookie": "ibid_session=; Max-Age=0; Path=/" }).end()],
  ["GET", /^\/v1\/corpora$/, (call) => list(call, [...call.mock.state.corpora.values()].reverse())],
  ["POST", /^\/v1\/corpora$/, (call) => ((call.response.statusCode = 201), newCorpus(call.mock.state, String(json(call).name)))],
  ["POST", /^\/v1\/corpora\/sample$/, addSample],
  ["GET", /^\/v1\/corpora\/([^/]+)$/, (call) => found(call.mock.state.corpora.get(call.ids[0]!))],
  ["DELETE", /^\/v1\/corpora\/([^/]+)$/, removeCorpus],
  ["GET", /^\/v1\/corpora\/([^/]+)\/documents$/, (call) => list(call, documentsOf(call.mock.state, found(call.mock.state.corpora.get(call.ids[0]!)).id))],
  ["POST", /^\/v1\/corpora\/([^/]+)\/documents$/, upload],
  ["GET", /^\/v1\/documents\/([^/]+)$/, (call) => found(call.mock.state.documents.get(call.ids[0]!)).document],
  ["DELETE", /^\/v1\/documents\/([^/]+)$/, removeDocument],
  ["GET", /^\/v1\/documents\/([^/]+)\/text$/, text],
  ["GET", /^\/v1\/documents\/([^/]+)\/pages$/, (call) => list(call, (found(call.mock.state.documents.get(call.ids[0]!)).text.pages ?? []).map((page, i) => ({ page: i + 1, label: page.label, width: 612, height: 792, start_char: page.start, end_char: page.end })), (page) => String(page.page))],
  ["GET", /^\/v1\/documents\/([^/]+)\/pages\/(\d+)\.png$/, image],
  ["GET", /^\/v1\/files\/([^/]+)\/content$/, (call) => void call.response.writeHead(200, { "Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff" }).end("original")],
  ["POST", /^\/v1\/corpora\/([^/]+)\/answers$/, ask],
  ["GET", /^\/v1\/corpora\/([^/]+)\/answers$/, (call) => list(call, [...call.mock.state.answers.values()].map(({ answer }) => answer).filter((answer) => answer.corpus_id === call.ids[0]).reverse())],
  ["GET", /^\/v1\/answers\/([^/]+)$/, (call) => found(call.mock.state.answers.get(call.ids[0]!)).answer],
  ["DELETE", /^\/v1\/answers\/([^/]+)$/, (call) => (call.mock.state.answers.delete(call.ids[0]!), { object: "answer.deleted", id: call.ids[0], deleted: true, freed_bytes: 900, freed_files: 0 })],
  ["POST", /^\/v1\/answers\/([^/]+)\/cancel$/, cancelAnswer],
  ["POST", /^\/v1\/answers\/([^/]+)\/replay$/, (call) => ({ object: "replay", identical: true, answer: found(call.mock.state.answers.get(call.ids[0]!)).answer })],
  ["GET", /^\/v1\/answers\/([^/]+)\/events$/, (call) => stream(call, found(call.mock.state.answers.get(call.ids[0]!)), Number(call.request.headers["last-event-id"] ?? -1))],
  ["GET", /^\/v1\/jobs$/, (call) => list(call, [...call.mock.state.jobs.values()].reverse())],
  ["GET", /^\/v1\/jobs\/([^/]+)$/, (call) => found(call.mock.state.jobs.get(call.ids[0]!))],
  ["POST", /^\/v1\/jobs\/([^/]+)\/cancel$/, cancelJob],
  ["POST", /^\/v1\/jobs\/([^/]+)\/retry$/, retry],
  ["GET", /^\/v1\/conversations$/, (call) => list(call, [...call.mock.state.conversations.values()].filter(({ corpus_id }) => corpus_id === call.url.searchParams.get("corpus_id")).reverse())],
  ["POST", /^\/v1\/conversations$/, startConversation],
  ["GET", /^\/v1\/conversations\/([^/]+)$/, conversation],
  ["DELETE", /^\/v1\/conversations\/([^/]+)$/, (call) => (call.mock.state.conversations.delete(call.ids[0]!), { object: "conversation.deleted", id: call.ids[0], deleted: true, freed_bytes: 900, freed_files: 0 })],
  ["POST", /^\/v1\/models\/plan$/, (call) => plan(json(call) as unknown as PlanRequest)],
];

function refuse(response: ServerResponse, refusal: Refusal): void {
  response.writeHead(refusal.status, { "Content-Type": "application/problem+json" });
  response.end(JSON.stringify({ type: "about:blank", title: refusal.message, status: refusal.status, code: refusal.code, detail: refusal.message, request_id: "req_mock" }));
}

function checkKey(call: Call): void {
  const { key } = call.mock.options;
  if (!key) return;
  if (call.request.method === "POST" && call.url.pathname === "/v1/session") {
    if (json(call).key !== key) throw new Refusal(401, "unauthenticated", "Unknown key");
    call.response.writeHead(204, { "Set-Cookie": "ibid_session=s; HttpOnly; SameSite=Strict; Path=/" }).end();
  } else if (!(call.request.headers.cookie ?? "").includes("ibid_session=s")) {
    throw new Refusal(401, "unauthenticated", "A key is needed");
  }
}

export async function route(mock: Mock, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const url = new URL(request.url ?? "/", "http://mock");
  const call: Call = { mock, request, response, url, body: Buffer.concat(chunks), ids: [] };
  try {
    checkKey(call);
    if (response.writableEnded) return;
    for (const [method, pattern, handler] of ROUTES) {
      const match = request.method === method ? pattern.exec(url.pathname) : null;
      if (!match) continue;
      call.ids = match.slice(1).map(decodeURIComponent);
      const result = handler(call);
      if (response.headersSent || result === undefined) return;
      response.setHeader("Content-Type", "application/json");
      response.end(JSON.stringify(result));
      return;
    }
    throw notFound();
  } catch (error) {
    refuse(response, error instanceof Refusal ? error : new Refusal(500, "internal", String(error)));
  }
}
