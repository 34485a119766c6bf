// Chips stand at code points of the answer, whatever characters come before them.
import { describe, expect, it } from "vitest";
import { answerRuns, splitTail, type Run } from "./runs";
import { citation } from "./testing";

/** One line that shows where chips stand and what is doubted: "rose[1] ~fell~". */
function draw(runs: Run[]): string {
  return runs
    .map((run) => {
      const text = run.unsupported ? `~${run.text}~` : run.text;
      return text + run.chips.map((chip) => `[${chip.number}]`).join("");
    })
    .join("");
}

describe("answerRuns", () => {
  it("places chips after their spans", () => {
    expect(draw(answerRuns("Rose. Fell.", [citation(1, 0, 5), citation(2, 6, 11)], []))).toBe("Rose.[1] Fell.[2]");
  });

  it("counts code points, not UTF-16 units", () => {
    const text = "𝒜👍 rose. Fell.";
    expect(draw(answerRuns(text, [citation(1, 0, 8), citation(2, 9, 14)], []))).toBe("𝒜👍 rose.[1] Fell.[2]");
    expect(answerRuns(text, [citation(1, 0, 8)], []).map((run) => run.covered)).toEqual([[1], []]);
  });

  it("puts several citations of one sentence in order, before the white space", () => {
    expect(draw(answerRuns("Rose. Fell.", [citation(2, 0, 6), citation(1, 0, 6)], []))).toBe("Rose.[1][2] Fell.");
  });

  it("marks unsupported spans and overlaps", () => {
    const runs = answerRuns("One two three.", [citation(1, 0, 7)], [{ start: 4, end: 14 }]);
    expect(draw(runs)).toBe("One ~two~[1]~ three.~");
  });

  it("never shows a chip for a quote that was not found", () => {
    expect(draw(answerRuns("Rose.", [citation(1, 0, 5, "not_found")], []))).toBe("Rose.");
  });

  it("waits for text that has not come yet", () => {
    expect(draw(answerRuns("Rose", [citation(1, 0, 5), citation(2, 6, 11)], []))).toBe("Rose[1]");
    expect(answerRuns("", [citation(1, 0, 5)], [])).toEqual([]);
  });

  it("loses no character", () => {
    const text = "a𝒜 b. c👍 d.\n e";
    const runs = answerRuns(text, [citation(1, 0, 5), citation(2, 3, 9), citation(3, 1, 99)], [{ start: 2, end: 7 }]);
    expect(runs.map((run) => run.text).join("")).toBe(text);
  });
});

it("splits off the last word, unless it is very long", () => {
  expect(splitTail("It rose 👍.")).toEqual(["It rose ", "👍."]);
  expect(splitTail("rose.")).toEqual(["", "rose."]);
  expect(splitTail(`see ${"x".repeat(40)}`)).toEqual([`see ${"x".repeat(40)}`, ""]);
  expect(splitTail(" ")).toEqual([" ", ""]);
});
