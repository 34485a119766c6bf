// One request to the server: JSON in, JSON out, every failure an ApiError that carries the server's problem+json.
import type { Problem } from "./types";

export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail ?? problem.title);
    this.name = "ApiError";
    this.problem = problem;
  }

  get status(): number {
    return this.problem.status;
  }

  get code(): string {
    return this.problem.code;
  }
}

/** What the page says when there was no answer from the server at all. */
export const UNREACHABLE = "unreachable";

let onUnauthenticated: () => void = () => {};

/** The app shows the sign-in card whenever any request is refused for lack of a session. */
export function whenUnauthenticated(callback: () => void): void {
  onUnauthenticated = callback;
}

function isProblem(value: unknown): value is Problem {
  return typeof value === "object" && value !== null && typeof (value as Problem).code === "string";
}

export function problemOf(status: number, statusText: string, body: string): Problem {
  try {
    const parsed: unknown = JSON.parse(body);
    if (isProblem(parsed)) return { ...parsed, status: parsed.status ?? status };
  } catch {
    // A proxy in between answers in HTML; the status is then all there is to say.
  }
  return { title: statusText || `HTTP ${status}`, status, code: `http_${status}` };
}

export async function errorOf(response: Response): Promise<ApiError> {
  const problem = problemOf(response.status, response.statusText, await response.text().catch(() => ""));
  if (problem.status === 401) onUnauthenticated();
  return new ApiError(problem);
}

/** fetch that throws ApiError for everything but a 2xx reply. An abort stays an AbortError. */
export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError({ title: "The server does not answer", status: 0, code: UNREACHABLE });
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await send(path, { headers: { Accept: "application/json" }, signal: signal ?? null });
  return (await response.json()) as T;
}

export function jsonBody(body: unknown): RequestInit {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

export async function postJson<T>(path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const init = body === undefined ? { method: "POST" } : jsonBody(body);
  const response = await send(path, { ...init, signal: signal ?? null });
  return (response.status === 204 ? undefined : await response.json()) as T;
}

export async function deleteJson<T>(path: string): Promise<T> {
  const response = await send(path, { method: "DELETE" });
  return (response.status === 204 ? undefined : await response.json()) as T;
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

export function asProblem(error: unknown): Problem {
  if (error instanceof ApiError) return error.problem;
  return { title: error instanceof Error ? error.message : String(error), status: 0, code: "page_error" };
}
