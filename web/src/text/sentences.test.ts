// Sentence spans in code points, and what the live region says while text grows.
import { describe, expect, it } from "vitest";
import { CodePointText } from "./code_points";
import { sentences, takeSentences } from "./sentences";

describe("sentences", () => {
  it("cuts text with astral characters at the right code points", () => {
    const text = "𝒜 rose by 12 %.  It fell 👍 later.\nDone";
    const indexed = new CodePointText(text);
    expect(sentences(text).map(({ start, end }) => indexed.slice(start, end))).toEqual([
      "𝒜 rose by 12 %.",
      "It fell 👍 later.",
      "Done",
    ]);
  });
  it("has none in blank text", () => {
    expect(sentences(" \n ")).toEqual([]);
  });
});

describe("takeSentences", () => {
  it("announces each sentence once, and only when it has ended", () => {
    const said: string[] = [];
    let next = 0;
    const text = "Revenue rose. Costs fell. The rest";
    for (let length = 1; length <= text.length; length++) {
      const taken = takeSentences(text.slice(0, length), next, length === text.length);
      next = taken.next;
      if (taken.announce) said.push(taken.announce);
    }
    expect(said).toEqual(["Revenue rose.", "Costs fell.", "The rest"]);
  });
});
