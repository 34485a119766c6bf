// Where sentences end: for the proof bar, and for the live region, which speaks whole sentences and never tokens.
import type { Span } from "../api/types";
import { CodePointText } from "./code_points";

const segmenter = new Intl.Segmenter("en", { granularity: "sentence" });

/** Sentences of a text as code point spans without the white space between them. */
export function sentences(text: string): Span[] {
  const indexed = new CodePointText(text);
  const spans: Span[] = [];
  for (const { segment, index } of segmenter.segment(text)) {
    const trimmed = segment.trimEnd();
    const lead = trimmed.length - trimmed.trimStart().length;
    if (trimmed.length === lead) continue;
    spans.push({ start: indexed.fromUtf16(index + lead), end: indexed.fromUtf16(index + trimmed.length) });
  }
  return spans;
}

/** Splits growing text into what can be announced now and the rest, which may still go on. `from` is a UTF-16 offset. */
export function takeSentences(text: string, from: number, finished: boolean): { announce: string; next: number } {
  if (finished) return { announce: text.slice(from).trim(), next: text.length };
  const pending = text.slice(from);
  // The last segment is never taken: only what follows it shows that it has ended.
  let complete = 0;
  for (const { index } of segmenter.segment(pending)) complete = index;
  return { announce: pending.slice(0, complete).trim(), next: from + complete };
}
