// The slider reaches both ends and gives round numbers.
import { expect, it } from "vitest";
import { SLIDER_STEPS, sliderOf, tokensAt } from "./token_slider";

it("runs from ten thousand to ten million in round numbers", () => {
  expect(tokensAt(0)).toBe(10_000);
  expect(tokensAt(SLIDER_STEPS)).toBe(10_000_000);
  expect(tokensAt(sliderOf(1_000_000))).toBe(1_000_000);
  for (let step = 1; step <= SLIDER_STEPS; step++) {
    expect(tokensAt(step)).toBeGreaterThanOrEqual(tokensAt(step - 1));
    expect(String(tokensAt(step)).replace(/0+$/, "").length).toBeLessThanOrEqual(2);
  }
});
