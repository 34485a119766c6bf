// What each sentence is worth.
import { expect, it } from "vitest";
import { countProofs, proveSentences, verifiedQuotes } from "./proof";
import { citation } from "./testing";

const TEXT = "𝒜 rose. It fell. It slept. It left.";
const CITATIONS = [
  citation(1, 0, 7, "normalised"),
  citation(2, 0, 7, "exact"),
  citation(3, 8, 16, "normalised"),
  citation(4, 17, 26, "not_found"),
];

it("takes the best quote of each sentence", () => {
  const proven = proveSentences(TEXT, CITATIONS, []);
  expect(proven.map(({ proof }) => proof)).toEqual(["exact", "normalised", "not_found", "none"]);
  expect(proven.map(({ text }) => text)).toEqual(["𝒜 rose.", "It fell.", "It slept.", "It left."]);
  expect(countProofs(proven)).toMatchObject({ exact: 1, normalised: 1, not_found: 1, none: 1, removed: 0 });
});

it("believes the server when it says that a sentence has nothing to stand on", () => {
  expect(proveSentences("It rose.", [citation(1, 0, 8)], [{ start: 0, end: 8 }])[0]?.proof).toBe("none");
});

it("tells a sentence whose source was removed from one that never had any", () => {
  const gone = { id: "cit_1", number: 1, answer_span: { start: 0, end: 7 }, source_removed: true };
  expect(proveSentences(TEXT, [gone], []).map(({ proof }) => proof)).toEqual(["removed", "none", "none", "none"]);
  expect(verifiedQuotes([gone])).toEqual({ verified: 0, total: 0 });
});

it("counts verified quotes", () => {
  expect(verifiedQuotes(CITATIONS)).toEqual({ verified: 3, total: 4 });
});
