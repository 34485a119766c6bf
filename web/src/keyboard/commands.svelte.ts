// Turns key presses into commands and hands them to whoever listens: the screen that is shown registers what it can do.
import { isTyping, ShortcutReader, type Command } from "./shortcuts";

const SETTING = "ibid.single_keys";

class Commands {
  singleKeys = $state(localStorage.getItem(SETTING) !== "off");
  #handlers: Partial<Record<Command, () => void>>[] = [];
  #reader = new ShortcutReader();

  constructor() {
    document.addEventListener("keydown", (event) => this.#onKey(event));
  }

  setSingleKeys(on: boolean): void {
    this.singleKeys = on;
    localStorage.setItem(SETTING, on ? "on" : "off");
  }

  /** The latest registration wins. Returns what takes it back. */
  register(handlers: Partial<Record<Command, () => void>>): () => void {
    this.#handlers.push(handlers);
    return () => {
      this.#handlers = this.#handlers.filter((other) => other !== handlers);
    };
  }

  #onKey(event: KeyboardEvent): void {
    // An open dialog owns the keyboard; the browser closes it on Escape.
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    const command = this.#reader.read(
      {
        key: event.key,
        modified: event.ctrlKey || event.altKey || event.metaKey,
        typing: isTyping(event.target),
        time: event.timeStamp,
      },
      this.singleKeys,
    );
    const run = command && this.#handlers.findLast((handlers) => handlers[command])?.[command];
    if (!run) return;
    event.preventDefault();
    run();
  }
}

export const commands = new Commands();
