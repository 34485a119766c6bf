// An answer's text cut into runs that can be drawn: where chips stand, which citations cover a run, what is unsupported.
import { isRemoved, type Citation, type KeptCitation, type Span } from "../api/types";
import { CodePointText } from "../text/code_points";

export interface Run {
  text: string;
  unsupported: boolean;
  /** Numbers of the citations whose answer span covers this run. */
  covered: number[];
  /** Citations whose chip stands right after this run, by number. */
  chips: KeptCitation[];
}

/** A quote that was not found in the source is no proof and never gets a numbered chip. */
export function isShown(citation: KeptCitation): boolean {
  return isRemoved(citation) || citation.verification.status !== "not_found";
}

export function shownCitations(citations: KeptCitation[]): KeptCitation[] {
  return citations.filter(isShown).sort((a, b) => a.number - b.number);
}

/** Those whose source can be opened. */
export function openableCitations(citations: KeptCitation[]): Citation[] {
  return shownCitations(citations).filter((citation): citation is Citation => !isRemoved(citation));
}

/** The span inside the text, without white space at its end, so that a chip follows the full stop and not the blank. */
function fit(span: Span, indexed: CodePointText): Span | null {
  const start = Math.max(0, Math.min(span.start, indexed.length));
  const end = Math.max(start, Math.min(span.end, indexed.length));
  const length = Array.from(indexed.slice(start, end).trimEnd()).length;
  return length === 0 ? null : { start, end: start + length };
}

/** Text may still be growing: spans that reach past its end are cut to it, those wholly past it wait. */
export function answerRuns(text: string, citations: KeptCitation[], unsupported: Span[]): Run[] {
  const indexed = new CodePointText(text);
  const placed = shownCitations(citations).flatMap((citation) => {
    const span = fit(citation.answer_span, indexed);
    return span ? [{ citation, span }] : [];
  });
  const doubts = unsupported.flatMap((span) => fit(span, indexed) ?? []);
  const cuts = new Set([0, indexed.length]);
  for (const { start, end } of [...placed.map(({ span }) => span), ...doubts]) cuts.add(start).add(end);
  const borders = [...cuts].sort((a, b) => a - b);
  const runs: Run[] = [];
  for (let i = 0; i + 1 < borders.length; i++) {
    const start = borders[i]!;
    const end = borders[i + 1]!;
    runs.push({
      text: indexed.slice(start, end),
      unsupported: doubts.some((span) => span.start <= start && end <= span.end),
      covered: placed.filter(({ span }) => span.start <= start && end <= span.end).map(({ citation }) => citation.number),
      chips: placed.filter(({ span }) => span.end === end).map(({ citation }) => citation),
    });
  }
  return runs;
}

/** Longer than this, a last word may break anywhere: it must not push the page sideways together with its chips. */
const LONGEST_TAIL = 24;

/** A run's text and its last word, which stays on one line with the chips after it. */
export function splitTail(text: string): [head: string, tail: string] {
  const at = text.search(/\S+\s*$/);
  return at < 0 || text.length - at > LONGEST_TAIL ? [text, ""] : [text.slice(0, at), text.slice(at)];
}
