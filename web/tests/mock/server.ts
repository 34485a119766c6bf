// A small server that speaks the REST contract from memory: for developing the page (`npm run mock`) and for its tests.
// It serves the built page too, under the same content security policy as the real server.
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { route } from "./routes.ts";
import { newState, type MockState } from "./state.ts";

export interface MockOptions {
  /** Start without any corpus. */
  empty?: boolean;
  /** Ask for this key. */
  key?: string;
  /** Milliseconds between words of an answer, and between steps of a job. */
  tokenMs?: number;
  tickMs?: number;
  /** Folder of the built page. */
  dist?: string;
}

export interface Mock {
  state: MockState;
  options: Required<Omit<MockOptions, "key" | "dist">> & MockOptions;
  handle: (request: IncomingMessage, response: ServerResponse) => void;
  listen: () => Promise<string>;
  close: () => Promise<void>;
}

export const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const TYPES: Record<string, string> = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

async function serveFile(dist: string, path: string, response: ServerResponse): Promise<void> {
  const file = normalize(path === "/" ? "/index.html" : path);
  try {
    const content = await readFile(join(dist, file));
    response.writeHead(200, {
      "Content-Type": TYPES[extname(file)] ?? "application/octet-stream",
      "Content-Security-Policy": CONTENT_SECURITY_POLICY,
      "X-Content-Type-Options": "nosniff",
    });
    response.end(content);
  } catch {
    response.writeHead(404).end();
  }
}

export function createMock(options: MockOptions = {}): Mock {
  const full = { empty: false, tokenMs: 40, tickMs: 250, ...options };
  const state = newState(full.empty);
  let server: Server | null = null;
  const mock: Mock = {
    state,
    options: full,
    handle: (request, response) => {
      const path = new URL(request.url ?? "/", "http://mock").pathname;
      if (path.startsWith("/v1/")) void route(mock, request, response);
      else if (full.dist) void serveFile(full.dist, path, response);
      else response.writeHead(404).end();
    },
    listen: async () => {
      server = createServer(mock.handle);
      await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    },
    close: async () => {
      for (const timer of state.timers) clearInterval(timer);
      server?.closeAllConnections();
      await new Promise((resolve) => (server ? server.close(resolve) : resolve(null)));
    },
  };
  return mock;
}
