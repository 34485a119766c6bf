// Every call the page makes, one function each; the paths of the REST interface appear nowhere else (but in upload.ts).
import { deleteJson, getJson, jsonBody, postJson, send } from "./request";
import type {
  Answer,
  AnswerRequest,
  Conversation,
  Corpus,
  CorpusDocument,
  Deleted,
  Job,
  List,
  Page,
  Plan,
  PlanRequest,
  Replay,
  Session,
  TextWindow,
  Upload,
} from "./types";

const id = encodeURIComponent;

export const getSession = () => getJson<Session>("/v1/session");
export const signIn = (key: string) => postJson<void>("/v1/session", { key });
export const signOut = () => deleteJson<void>("/v1/session");

export const listCorpora = (after?: string) =>
  getJson<List<Corpus>>(`/v1/corpora?limit=100&order=desc${after ? `&after=${id(after)}` : ""}`);
export const getCorpus = (corpusId: string, signal?: AbortSignal) =>
  getJson<Corpus>(`/v1/corpora/${id(corpusId)}`, signal);
export const createCorpus = (name: string) => postJson<Corpus>("/v1/corpora", { name });
export const addSampleCorpus = () => postJson<Upload>("/v1/corpora/sample");
export const deleteCorpus = (corpusId: string) => deleteJson<Deleted>(`/v1/corpora/${id(corpusId)}`);

/** More documents than this are not loaded into the page; the list then says so. */
export const DOCUMENT_LIST_LIMIT = 5000;

export async function listDocuments(corpusId: string): Promise<{ documents: CorpusDocument[]; complete: boolean }> {
  const documents: CorpusDocument[] = [];
  let after = "";
  for (;;) {
    const page = await getJson<List<CorpusDocument>>(
      `/v1/corpora/${id(corpusId)}/documents?limit=1000&order=asc${after}`,
    );
    documents.push(...page.data);
    if (!page.has_more || page.last_id === null) return { documents, complete: true };
    if (documents.length >= DOCUMENT_LIST_LIMIT) return { documents, complete: false };
    after = `&after=${id(page.last_id)}`;
  }
}

export const getDocument = (documentId: string) => getJson<CorpusDocument>(`/v1/documents/${id(documentId)}`);
export const deleteDocument = (documentId: string) => deleteJson<Deleted>(`/v1/documents/${id(documentId)}`);
export const getText = (documentId: string, start: number, end: number) =>
  getJson<TextWindow>(`/v1/documents/${id(documentId)}/text?start=${start}&end=${end}&offsets=code_point`);

export async function listPages(documentId: string): Promise<Page[]> {
  const pages: Page[] = [];
  let after = "";
  for (;;) {
    const list = await getJson<List<Page>>(`/v1/documents/${id(documentId)}/pages?limit=1000${after}`);
    pages.push(...list.data);
    if (!list.has_more || list.last_id === null) return pages;
    after = `&after=${id(list.last_id)}`;
  }
}

export const pageImagePath = (documentId: string, page: number, scale: number) =>
  `/v1/documents/${id(documentId)}/pages/${page}.png?scale=${scale}`;
export const originalPath = (fileId: string) => `/v1/files/${id(fileId)}/content`;

export const askStreaming = (corpusId: string, request: AnswerRequest, signal: AbortSignal) =>
  send(`/v1/corpora/${id(corpusId)}/answers`, {
    ...jsonBody({ ...request, stream: true }),
    headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
    signal,
  });
export const answerEvents = (answerId: string, lastEventId: string | null, signal: AbortSignal) =>
  send(`/v1/answers/${id(answerId)}/events`, {
    headers: { Accept: "text/event-stream", ...(lastEventId === null ? {} : { "Last-Event-ID": lastEventId }) },
    signal,
  });
export const listAnswers = (corpusId: string) =>
  getJson<List<Answer>>(`/v1/corpora/${id(corpusId)}/answers?limit=100`);
export const getAnswer = (answerId: string) => getJson<Answer>(`/v1/answers/${id(answerId)}`);
export const deleteAnswer = (answerId: string) => deleteJson<Deleted>(`/v1/answers/${id(answerId)}`);
export const cancelAnswer = (answerId: string) => postJson<Answer>(`/v1/answers/${id(answerId)}/cancel`);
export const replayAnswer = (answerId: string) => postJson<Replay>(`/v1/answers/${id(answerId)}/replay`);

export const listConversations = (corpusId: string) =>
  getJson<List<Conversation>>(`/v1/conversations?corpus_id=${id(corpusId)}&limit=100&order=desc`);
export const createConversation = (corpusId: string, title: string) =>
  postJson<Conversation>("/v1/conversations", { corpus_id: corpusId, title });
export const getConversation = (conversationId: string) =>
  getJson<Conversation>(`/v1/conversations/${id(conversationId)}`);
export const deleteConversation = (conversationId: string) =>
  deleteJson<Deleted>(`/v1/conversations/${id(conversationId)}`);

export const listJobs = () => getJson<List<Job>>("/v1/jobs?limit=100&order=desc");
export const getJob = (jobId: string) => getJson<Job>(`/v1/jobs/${id(jobId)}`);
export const cancelJob = (jobId: string) => postJson<Job>(`/v1/jobs/${id(jobId)}/cancel`);
export const retryJob = (jobId: string) => postJson<Job>(`/v1/jobs/${id(jobId)}/retry`);

export const planModel = (request: PlanRequest, signal: AbortSignal) =>
  postJson<Plan>("/v1/models/plan", request, signal);
