// Decoding of the attention map: little-endian floats, the bitmap, and places along the band.
import { describe, expect, it } from "vitest";
import type { AttentionMap } from "../api/types";
import { decodeStrip, placeAt, spreadPins } from "./strip";
import { citation } from "./testing";

function encode(values: number[], composed: number[]): Pick<AttentionMap, "buckets" | "values_b64" | "composed_b64"> {
  const floats = new DataView(new ArrayBuffer(values.length * 4));
  values.forEach((value, i) => floats.setFloat32(4 * i, value, true));
  const bits = new Uint8Array(Math.ceil(values.length / 8));
  for (const i of composed) bits[i >> 3]! |= 1 << (i & 7);
  const base64 = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes));
  return { buckets: values.length, values_b64: base64(new Uint8Array(floats.buffer)), composed_b64: base64(bits) };
}

const VALUES = [0, 0.25, 0, 0, 0, 0, 0, 0, 0, 0.5, 0.25, 0, 0, 0, 0, 0];
const MAP: AttentionMap = {
  ...encode(VALUES, [1, 2, 9, 10]),
  documents: [
    { id: "doc_0", token_start: 0, token_end: 800 },
    { id: "doc_1", token_start: 800, token_end: 1600 },
  ],
  tokens_total: 1600,
};
const characters = (id: string) => (id === "doc_1" ? 1000 : 4000);

describe("decodeStrip", () => {
  const strip = decodeStrip(MAP, [citation(1, 0, 5), citation(2, 6, 9, "not_found")], characters)!;

  it("reads shares and heat", () => {
    expect(strip.buckets.map(({ share }) => share)).toEqual(VALUES);
    expect(strip.buckets[9]!.heat).toBe(1);
    expect(strip.buckets[1]!.heat).toBeCloseTo(Math.SQRT1_2);
  });

  it("tells zero from not looked at", () => {
    expect(strip.buckets[2]).toEqual({ share: 0, heat: 0, composed: true });
    expect(strip.buckets[3]).toEqual({ share: 0, heat: 0, composed: false });
  });

  it("sums shares per document", () => {
    expect(strip.documents.map(({ share }) => share)).toEqual([0.25, 0.75]);
  });

  it("pins found citations at their place in the document", () => {
    expect(strip.pins).toHaveLength(1);
    expect(strip.pins[0]!.at).toBeCloseTo(0.55);
  });

  it("refuses a map that does not add up", () => {
    expect(decodeStrip(null, [], characters)).toBeNull();
    expect(decodeStrip({ ...MAP, tokens_total: 0 }, [], characters)).toBeNull();
    expect(decodeStrip({ ...MAP, values_b64: "%%%" }, [], characters)).toBeNull();
  });

  it("treats missing values, NaN and negatives as zero", () => {
    const broken = { ...MAP, ...encode([Number.NaN, -1, Infinity, 1], [0, 1, 2, 3]), buckets: 6 };
    expect(decodeStrip(broken, [], characters)!.buckets.map(({ share }) => share)).toEqual([0, 0, 0, 1, 0, 0]);
  });
});

describe("placeAt", () => {
  const strip = decodeStrip(MAP, [], characters)!;
  it("finds document and character", () => {
    expect(placeAt(strip, 0.25, characters)).toEqual({ documentId: "doc_0", character: 2000 });
    expect(placeAt(strip, 0.75, characters)).toEqual({ documentId: "doc_1", character: 500 });
    expect(placeAt(strip, 1, characters)).toEqual({ documentId: "doc_1", character: 1000 });
  });
});

describe("spreadPins", () => {
  it("leaves pins alone that have room", () => {
    expect(spreadPins([20, 300, 100], 600, 16)).toEqual([20, 300, 100]);
  });
  it("moves pins apart and keeps them on the band", () => {
    expect(spreadPins([100, 100, 104], 600, 16)).toEqual([100, 116, 132]);
    expect(spreadPins([0, 600, 599], 600, 16)).toEqual([8, 592, 576]);
  });
  it("squeezes when there is no room for all", () => {
    const drawn = spreadPins(Array.from({ length: 100 }, () => 50), 200, 16);
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...drawn)).toBeLessThanOrEqual(200);
    expect(new Set(drawn).size).toBe(100);
  });
});
