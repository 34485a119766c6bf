// Words of a quote drawn as lines.
import { expect, it } from "vitest";
import { lineBoxes, widthOf } from "./line_boxes";

const box = (x0: number, y0: number, x1: number, y1 = y0 + 0.02, page = 1) => ({ page, x0, y0, x1, y1 });

it("joins the words of a line and begins another with the next line, column or page", () => {
  const words = [box(0.1, 0.5, 0.2), box(0.21, 0.502, 0.3), box(0.1, 0.53, 0.15), box(0.6, 0.53, 0.7), box(0.71, 0.53, 0.8, 0.55, 2)];
  expect(lineBoxes(words)).toEqual([box(0.1, 0.5, 0.3, 0.522), words[2], words[3], words[4]]);
});

it("measures how wide a quote is", () => {
  expect(widthOf([box(0.1, 0.5, 0.3), box(0.05, 0.53, 0.2)])).toBeCloseTo(0.25);
  expect(widthOf([])).toBe(1);
});

it("leaves out what is no place on a page", () => {
  expect(lineBoxes([box(Number.NaN, 0.5, 0.2), box(0.1, 0.5, 0.2)])).toHaveLength(1);
  expect(lineBoxes([])).toEqual([]);
});
