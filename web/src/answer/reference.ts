// Where a source stands, in words: page label and index, or line; and a quote with its reference for the clipboard.
import type { Citation, Source } from "../api/types";
import { messages as m } from "../messages";
import { escapeName } from "../text/escape_controls";

export function placeInSource(source: Source): string {
  if (source.page_start !== null) return m.citation.page(source.page_start, source.page_label);
  return m.citation.line(source.line);
}

export function sourceName(source: Pick<Source, "title" | "path">): string {
  return escapeName(source.title || source.path);
}

export function quoteWithReference(citation: Citation): string {
  return m.viewer.reference(sourceName(citation.source), placeInSource(citation.source), citation.quote);
}

export function whereabouts(citation: Citation): string {
  return `${sourceName(citation.source)}, ${placeInSource(citation.source)}`;
}
