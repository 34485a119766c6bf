// Server-sent events over fetch. EventSource cannot send a POST, cannot set Last-Event-ID after a reload, and hides the
// problem+json of a refused request, so the few lines of its parsing rules are here.

export interface StreamEvent {
  id: string | null;
  event: string;
  data: string;
}

/** Feed it text in any pieces; it calls back once per complete event. */
export class EventStreamParser {
  #rest = "";
  #afterCarriageReturn = false;
  #started = false;
  #data: string[] = [];
  #event = "";
  #lastId: string | null = null;
  readonly #onEvent: (event: StreamEvent) => void;

  constructor(onEvent: (event: StreamEvent) => void) {
    this.#onEvent = onEvent;
  }

  push(text: string): void {
    if (!this.#started && text.length > 0) {
      this.#started = true;
      if (text.startsWith("\uFEFF")) text = text.slice(1);
    }
    // A line may end in CR, LF or CR LF, and the two halves of CR LF may come in different pieces.
    if (this.#afterCarriageReturn && text.startsWith("\n")) {
      text = text.slice(1);
      this.#afterCarriageReturn = false;
    }
    if (text.length > 0) this.#afterCarriageReturn = text.endsWith("\r");
    const lines = (this.#rest + text).split(/\r\n|\r|\n/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    if (line === "") return this.#dispatch();
    if (line.startsWith(":")) return;
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#lastId = value;
  }

  #dispatch(): void {
    const event = this.#event;
    const data = this.#data;
    this.#event = "";
    this.#data = [];
    if (data.length === 0) return;
    this.#onEvent({ id: this.#lastId, event: event || "message", data: data.join("\n") });
  }
}

/** The server pings every ten seconds; three missed pings mean that the connection is dead without saying so. */
const SILENCE_MS = 30_000;

/** Reads events until the stream ends. Throws when the connection breaks or falls silent. */
export async function readEvents(
  response: Response,
  onEvent: (event: StreamEvent) => void,
  silenceMs: number = SILENCE_MS,
): Promise<void> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventStreamParser(onEvent);
  for (;;) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const silence = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("the event stream fell silent")), silenceMs);
    });
    try {
      const { done, value } = await Promise.race([reader.read(), silence]);
      if (done) return;
      parser.push(decoder.decode(value, { stream: true }));
    } catch (error) {
      void reader.cancel().catch(() => {});
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }
}
