// Keys to commands.
// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { isTyping, ShortcutReader, type Command } from "./shortcuts";

function press(keys: string[], { typing = false, modified = false, gap = 100, singleKeys = true } = {}): (Command | null)[] {
  const reader = new ShortcutReader();
  return keys.map((key, i) => reader.read({ key, modified, typing, time: i * gap }, singleKeys));
}

describe("ShortcutReader", () => {
  it("reads single keys", () => {
    expect(press(["/", "j", "k", "o", "?", "x"])).toEqual([
      "ask",
      "next_citation",
      "previous_citation",
      "open_citation",
      "list_shortcuts",
      null,
    ]);
  });
  it("reads g and a second key", () => {
    expect(press(["g", "d", "g", "j", "g", "c"])).toEqual([null, "go_documents", null, "go_jobs", null, "go_corpora"]);
  });
  it("forgets g after a second, and after another key", () => {
    expect(press(["g", "j"], { gap: 1500 })).toEqual([null, "next_citation"]);
    expect(press(["g", "x", "j"])).toEqual([null, null, "next_citation"]);
  });
  it("leaves typing and the browser's own keys alone, but Escape stops", () => {
    expect(press(["j", "/", "Escape"], { typing: true })).toEqual([null, null, "stop"]);
    expect(press(["j"], { modified: true })).toEqual([null]);
  });
  it("can be turned off", () => {
    expect(press(["j", "g", "d", "Escape"], { singleKeys: false })).toEqual([null, null, null, "stop"]);
  });
});

it("knows where letters are text", () => {
  const box = document.createElement("input");
  box.type = "checkbox";
  expect(isTyping(document.createElement("textarea"))).toBe(true);
  expect(isTyping(document.createElement("input"))).toBe(true);
  expect(isTyping(box)).toBe(false);
  expect(isTyping(document.createElement("button"))).toBe(false);
  expect(isTyping(null)).toBe(false);
});
