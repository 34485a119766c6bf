// The mark stands at code points of the document, wherever the window starts.
import { expect, it } from "vitest";
import { splitAtSpan } from "./text_window";

const loaded = { start: 100, end: 112, total: 500, text: "𝒜👍 rose. 𝒢x" };

it("splits at code points", () => {
  expect(splitAtSpan(loaded, 100, 108)).toEqual(["", "𝒜👍 rose.", " 𝒢x"]);
  expect(splitAtSpan(loaded, 109, 110)).toEqual(["𝒜👍 rose. ", "𝒢", "x"]);
});

it("cuts a span that reaches out of the window, and marks nothing without a span", () => {
  expect(splitAtSpan(loaded, 50, 102)).toEqual(["", "𝒜👍", " rose. 𝒢x"]);
  expect(splitAtSpan(loaded, null, null)).toEqual([loaded.text, "", ""]);
  expect(splitAtSpan(loaded, 105, 105)).toEqual([loaded.text, "", ""]);
});
