// Following an answer to its end through broken connections: the server goes on writing and keeps every event, so a client
// comes back with the last id it has seen.
import { ApiError, isAbort } from "../api/request";
import { readEvents, type StreamEvent } from "../api/event_stream";

export interface FollowOptions {
  /** The first request: a question, or the events of an answer that is already running. */
  open: () => Promise<Response>;
  /** Events after the last one seen; null while the answer has no id yet and cannot be found again. */
  reopen: () => Promise<Response> | null;
  /** Returns true when this event was the last one. */
  onEvent: (event: StreamEvent) => boolean;
  onConnection: (state: "open" | "reconnecting") => void;
  signal: AbortSignal;
  /** Waits between attempts; tests make it short. */
  pause?: (attempt: number) => Promise<void>;
}

function pauseBeforeRetry(attempt: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.min(500 * 2 ** attempt, 10_000)));
}

/** A refusal will be the same the next time; a missing or overloaded server may come back. */
function isFinal(error: unknown): boolean {
  return error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429;
}

export async function follow(options: FollowOptions): Promise<void> {
  const { open, reopen, onEvent, onConnection, signal, pause = pauseBeforeRetry } = options;
  let finished = false;
  let response: Response | null = await open();
  for (let attempt = 0; !signal.aborted; ) {
    try {
      response ??= await reopen();
      if (response === null) throw new ApiError({ title: "The answer was lost", status: 0, code: "answer_lost" });
      onConnection("open");
      await readEvents(response, (event) => {
        attempt = 0;
        finished ||= onEvent(event);
      });
      if (finished) return;
    } catch (error) {
      if (isAbort(error) || finished) return;
      if (isFinal(error) || (error instanceof ApiError && error.code === "answer_lost")) throw error;
    }
    response = null;
    onConnection("reconnecting");
    await pause(attempt++);
  }
}
