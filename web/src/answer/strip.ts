// The strip map: an answer's attention map decoded and laid along the corpus, documents as segments of one band.
import type { AttentionMap, Citation, KeptCitation } from "../api/types";
import { openableCitations } from "./runs";

export interface StripBucket {
  /** Share of the attention, 0 to 1. */
  share: number;
  /** Share relative to the strongest bucket, on a square-root scale: small shares stay visible. */
  heat: number;
  /** False where the model did not look at all, which is not the same as looking and finding nothing. */
  composed: boolean;
}

export interface StripDocument {
  id: string;
  /** Fractions of the band. */
  start: number;
  end: number;
  share: number;
  composed: boolean;
}

export interface StripPin {
  citation: Citation;
  at: number;
}

export interface Strip {
  buckets: StripBucket[];
  documents: StripDocument[];
  pins: StripPin[];
  tokensTotal: number;
}

function bytesOf(base64: string): Uint8Array {
  const text = atob(base64);
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function decodeBuckets(map: AttentionMap): StripBucket[] {
  const values = bytesOf(map.values_b64);
  const composed = bytesOf(map.composed_b64);
  const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
  const shares = Array.from({ length: map.buckets }, (_, i) => {
    const value = 4 * i + 4 <= values.byteLength ? view.getFloat32(4 * i, true) : 0;
    return Number.isFinite(value) && value > 0 ? value : 0;
  });
  const strongest = Math.max(...shares, 0);
  return shares.map((share, i) => ({
    share,
    heat: strongest > 0 ? Math.sqrt(share / strongest) : 0,
    composed: (((composed[i >> 3] ?? 0) >> (i & 7)) & 1) === 1,
  }));
}

/** Attention of the buckets under a stretch of the band; a bucket on a border counts with the part that lies inside. */
function shareBetween(buckets: StripBucket[], start: number, end: number): { share: number; composed: boolean } {
  let share = 0;
  let composed = false;
  const first = Math.max(0, Math.floor(start * buckets.length));
  const last = Math.min(buckets.length, Math.ceil(end * buckets.length));
  for (let i = first; i < last; i++) {
    const inside = Math.min(end * buckets.length, i + 1) - Math.max(start * buckets.length, i);
    if (inside <= 0) continue;
    share += buckets[i]!.share * inside;
    // A bucket on a border belongs to the document that has the most of it: the other may never have been looked at.
    composed ||= buckets[i]!.composed && inside >= Math.min(0.5, (end - start) * buckets.length);
  }
  return { share, composed };
}

/** Null where the map is missing or does not add up; the page then says nothing rather than something wrong. */
export function decodeStrip(
  map: AttentionMap | null,
  citations: KeptCitation[],
  charactersOf: (documentId: string) => number | undefined,
): Strip | null {
  if (map === null || !(map.tokens_total > 0) || !(map.buckets > 0) || map.buckets > 4096) return null;
  let buckets: StripBucket[];
  try {
    buckets = decodeBuckets(map);
  } catch {
    return null;
  }
  const documents = map.documents.map(({ id, token_start, token_end }) => {
    const start = token_start / map.tokens_total;
    const end = token_end / map.tokens_total;
    return { id, start, end, ...shareBetween(buckets, start, end) };
  });
  const pins = openableCitations(citations).flatMap((citation) => {
    const document = documents.find(({ id }) => id === citation.source.document_id);
    if (!document) return [];
    // Tokens and characters run nearly in step inside one document; without its length the pin stands at its start.
    const characters = charactersOf(document.id);
    const within = characters ? Math.min(1, citation.source.start_char / characters) : 0;
    return [{ citation, at: document.start + within * (document.end - document.start) }];
  });
  return { buckets, documents, pins, tokensTotal: map.tokens_total };
}

/** Where pins are drawn so that none hides another: in order, at least `gap` apart, as near to their places as that allows. */
export function spreadPins(places: number[], width: number, gap: number): number[] {
  const room = Math.min(gap, places.length > 1 ? width / places.length : gap);
  const order = places.map((_, i) => i).sort((a, b) => places[a]! - places[b]! || a - b);
  const drawn = new Array<number>(places.length).fill(0);
  let left = 0;
  for (const i of order) {
    drawn[i] = Math.max(places[i]!, left + room / 2);
    left = drawn[i]! + room / 2;
  }
  let right = width;
  for (const i of order.toReversed()) {
    drawn[i] = Math.min(drawn[i]!, right - room / 2);
    right = drawn[i]! - room / 2;
  }
  return drawn;
}

/** The document under a place of the band and the character there, as nearly as tokens tell. */
export function placeAt(
  strip: Strip,
  fraction: number,
  charactersOf: (documentId: string) => number | undefined,
): { documentId: string; character: number } | null {
  const document = strip.documents.find(({ start, end }) => start <= fraction && fraction < end) ?? strip.documents.at(-1);
  if (!document) return null;
  const width = document.end - document.start;
  const within = width > 0 ? Math.max(0, Math.min(1, (fraction - document.start) / width)) : 0;
  return { documentId: document.id, character: Math.floor(within * (charactersOf(document.id) ?? 0)) };
}
