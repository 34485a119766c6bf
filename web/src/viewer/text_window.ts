// Canonical text is fetched in windows: around the quote first, then more to either side as it is wanted.
import * as api from "../api/endpoints";
import { CodePointText } from "../text/code_points";

/** Code points fetched before and after the place that is shown first, and per step later. */
export const WINDOW = 6000;

export interface LoadedText {
  start: number;
  end: number;
  total: number;
  text: string;
}

export async function loadAround(documentId: string, start: number, end: number): Promise<LoadedText> {
  const window = await api.getText(documentId, Math.max(0, start - WINDOW), Math.max(start, end) + WINDOW);
  return { start: window.start, end: window.end, total: window.total, text: window.text };
}

export async function loadEarlier(documentId: string, loaded: LoadedText): Promise<LoadedText> {
  const window = await api.getText(documentId, Math.max(0, loaded.start - WINDOW), loaded.start);
  return { ...loaded, start: window.start, text: window.text + loaded.text };
}

export async function loadLater(documentId: string, loaded: LoadedText): Promise<LoadedText> {
  const window = await api.getText(documentId, loaded.end, loaded.end + WINDOW);
  return { ...loaded, end: window.end, total: window.total, text: loaded.text + window.text };
}

/** The loaded text before, inside and after a span of the document. */
export function splitAtSpan(loaded: LoadedText, start: number | null, end: number | null): [string, string, string] {
  if (start === null || end === null || end <= start) return [loaded.text, "", ""];
  const indexed = new CodePointText(loaded.text);
  const from = start - loaded.start;
  const to = end - loaded.start;
  return [indexed.slice(0, from), indexed.slice(from, to), indexed.slice(to, indexed.length)];
}
