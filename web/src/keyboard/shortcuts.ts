// Which key means what, apart from the DOM: a small machine that remembers a first `g` for a second.

export type Command =
  | "ask"
  | "next_citation"
  | "previous_citation"
  | "open_citation"
  | "stop"
  | "go_documents"
  | "go_jobs"
  | "go_corpora"
  | "list_shortcuts";

export interface KeyPress {
  key: string;
  /** Ctrl, Alt or Meta: those combinations belong to the browser. */
  modified: boolean;
  /** The focus is in a field where letters are text. */
  typing: boolean;
  time: number;
}

const SINGLE: Record<string, Command> = {
  "/": "ask",
  j: "next_citation",
  k: "previous_citation",
  o: "open_citation",
  "?": "list_shortcuts",
};
const AFTER_G: Record<string, Command> = { d: "go_documents", j: "go_jobs", c: "go_corpora" };
const SEQUENCE_MS = 1000;

export class ShortcutReader {
  #gPressedAt = Number.NEGATIVE_INFINITY;

  /** `singleKeys` false turns off every shortcut that is a bare character (WCAG 2.1.4); Escape stays. */
  read(press: KeyPress, singleKeys: boolean): Command | null {
    if (press.key === "Escape") return "stop";
    if (!singleKeys || press.modified || press.typing) return null;
    const second = press.time - this.#gPressedAt < SEQUENCE_MS;
    this.#gPressedAt = Number.NEGATIVE_INFINITY;
    if (second && AFTER_G[press.key]) return AFTER_G[press.key]!;
    if (press.key === "g") {
      this.#gPressedAt = press.time;
      return null;
    }
    return SINGLE[press.key] ?? null;
  }
}

export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "button", "range"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable === true;
}
