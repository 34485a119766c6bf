// The proof bar: for every sentence of an answer, what its citations are worth.
import { isRemoved, type Citation, type KeptCitation, type Span } from "../api/types";
import { CodePointText } from "../text/code_points";
import { sentences } from "../text/sentences";

export type Proof = "exact" | "normalised" | "removed" | "none" | "not_found";

export interface ProvenSentence extends Span {
  text: string;
  proof: Proof;
}

function overlaps(a: Span, b: Span): boolean {
  return a.start < b.end && b.start < a.end;
}

/** The best quote counts: a sentence stands if one of its quotes does. */
function proofOf(statuses: Set<string>): Proof {
  if (statuses.has("exact")) return "exact";
  if (statuses.has("normalised")) return "normalised";
  if (statuses.has("removed")) return "removed";
  return statuses.has("not_found") ? "not_found" : "none";
}

export function proveSentences(text: string, citations: KeptCitation[], unsupported: Span[]): ProvenSentence[] {
  const indexed = new CodePointText(text);
  return sentences(text).map((sentence) => {
    const cited = citations.filter((citation) => overlaps(citation.answer_span, sentence));
    const statuses = new Set(cited.map((citation) => (isRemoved(citation) ? "removed" : citation.verification.status)));
    const found = proofOf(statuses);
    // The server says that nothing stands behind these words; a quote for a neighbour must not cover them.
    const doubted = unsupported.some((span) => span.start <= sentence.start && sentence.end <= span.end);
    const proof = doubted && found !== "not_found" ? "none" : found;
    return { ...sentence, text: indexed.slice(sentence.start, sentence.end), proof };
  });
}

export function countProofs(proven: ProvenSentence[]): Record<Proof, number> {
  const counts: Record<Proof, number> = { exact: 0, normalised: 0, removed: 0, none: 0, not_found: 0 };
  for (const { proof } of proven) counts[proof] += 1;
  return counts;
}

/** Quotes verified of quotes claimed, for the footer. */
export function verifiedQuotes(citations: KeptCitation[]): { verified: number; total: number } {
  const claimed = citations.filter((citation): citation is Citation => !isRemoved(citation));
  return { verified: claimed.filter(({ verification: { status } }) => status !== "not_found").length, total: claimed.length };
}
