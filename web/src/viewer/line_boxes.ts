// The server gives a box for every run of characters, usually a word; a quote is read in lines.
import type { Box } from "../api/types";

/** Fraction of the page's width: wider than any gap between words, narrower than what parts two columns or cells. */
const WORD_GAP = 0.04;

function goesOn(line: Box, box: Box): boolean {
  const overlap = Math.min(line.y1, box.y1) - Math.max(line.y0, box.y0);
  const lower = Math.min(line.y1 - line.y0, box.y1 - box.y0);
  const gap = box.x0 - line.x1;
  return line.page === box.page && overlap >= lower / 2 && Math.abs(gap) <= WORD_GAP;
}

/** Fraction of the page's width that the boxes take; 1 where there are none. */
export function widthOf(boxes: Box[]): number {
  if (boxes.length === 0) return 1;
  return Math.max(...boxes.map(({ x1 }) => x1)) - Math.min(...boxes.map(({ x0 }) => x0));
}

/** Neighbours on one line become one box. Boxes that are no numbers (a page without a size) are left out. */
export function lineBoxes(boxes: Box[]): Box[] {
  const lines: Box[] = [];
  for (const box of boxes) {
    if (![box.x0, box.y0, box.x1, box.y1].every(Number.isFinite)) continue;
    const line = lines.at(-1);
    if (!line || !goesOn(line, box)) {
      lines.push({ ...box });
      continue;
    }
    line.x0 = Math.min(line.x0, box.x0);
    line.x1 = Math.max(line.x1, box.x1);
    line.y0 = Math.min(line.y0, box.y0);
    line.y1 = Math.max(line.y1, box.y1);
  }
  return lines;
}
