// Code point offsets against the slow, obvious way: Array.from.
import { describe, expect, it } from "vitest";
import { CodePointText } from "./code_points";

const TEXTS = ["", "plain", "𝒜", "a𝒜b👩‍🚀c", "👍👍👍", "é e\u0301 𝄞x", "lone \ud800 half", "\udc00\ud83d", "x".repeat(50) + "𝒜".repeat(50)];

describe("CodePointText", () => {
  it.each(TEXTS)("slices like Array.from: %j", (text) => {
    const points = Array.from(text);
    const indexed = new CodePointText(text);
    expect(indexed.length).toBe(points.length);
    for (let start = 0; start <= points.length; start++) {
      expect(indexed.toUtf16(start)).toBe(points.slice(0, start).join("").length);
      expect(indexed.fromUtf16(indexed.toUtf16(start))).toBe(start);
      for (let end = start; end <= points.length; end += 7) {
        expect(indexed.slice(start, end)).toBe(points.slice(start, end).join(""));
      }
    }
  });

  it("clamps offsets outside the text", () => {
    const indexed = new CodePointText("a𝒜");
    expect(indexed.toUtf16(-1)).toBe(0);
    expect(indexed.toUtf16(Number.NaN)).toBe(0);
    expect(indexed.toUtf16(99)).toBe(3);
    expect(indexed.fromUtf16(99)).toBe(2);
    expect(indexed.slice(1, 99)).toBe("𝒜");
  });

  it("counts the middle of a pair as its start", () => {
    expect(new CodePointText("𝒜b").fromUtf16(1)).toBe(0);
    expect(new CodePointText("𝒜b").fromUtf16(2)).toBe(1);
  });
});
