// Pictures for the documentation in a palette of 256 colours: a third of the bytes, and no eye sees the difference on a
// page of text. Reads and writes the PNG of a screenshot (8 bits a channel, no interlace), nothing more.
import { crc32, deflateSync, inflateSync } from "node:zlib";

const COLOURS = 256;
/** Of them taken by frequency alone: the colours that the page is painted in, and the greys of its letters. */
const FREQUENT = 96;

interface Pixels {
  width: number;
  height: number;
  channels: number;
  data: Buffer;
}

function paeth(left: number, up: number, corner: number): number {
  const estimate = left + up - corner;
  const [a, b, c] = [Math.abs(estimate - left), Math.abs(estimate - up), Math.abs(estimate - corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

/** PNG (third edition), 9: each line is stored as differences to its neighbours. */
function unfilter(stored: Buffer, width: number, height: number, channels: number): Buffer {
  const stride = width * channels;
  const data = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = stored[y * (stride + 1)]!;
    for (let x = 0; x < stride; x++) {
      const at = y * stride + x;
      const left = x >= channels ? data[at - channels]! : 0;
      const up = y > 0 ? data[at - stride]! : 0;
      const corner = x >= channels && y > 0 ? data[at - stride - channels]! : 0;
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter]!;
      data[at] = stored[y * (stride + 1) + 1 + x]! + guess;
    }
  }
  return data;
}

function read(png: Buffer): Pixels {
  const parts: Buffer[] = [];
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    if (png.toString("latin1", at + 4, at + 8) === "IDAT") parts.push(png.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  const [width, height, channels] = [png.readUInt32BE(16), png.readUInt32BE(20), png[25] === 6 ? 4 : 3];
  return { width, height, channels, data: unfilter(inflateSync(Buffer.concat(parts)), width, height, channels) };
}

/** The most frequent colours, then one from every other neighbourhood, so that a small spot keeps its hue. */
function choosePalette(counts: Map<number, number>): number[] {
  const frequent = [...counts].sort((a, b) => b[1] - a[1]).map(([colour]) => colour);
  const palette = frequent.slice(0, FREQUENT);
  const neighbourhood = (colour: number) => colour & 0xf0f0f0;
  const seen = new Set(palette.map(neighbourhood));
  for (const colour of frequent.slice(FREQUENT)) {
    if (palette.length === COLOURS) break;
    if (seen.has(neighbourhood(colour))) continue;
    seen.add(neighbourhood(colour));
    palette.push(colour);
  }
  return palette;
}

function reduce({ width, height, channels, data }: Pixels): { palette: number[]; indices: Buffer } {
  const counts = new Map<number, number>();
  const colourAt = (pixel: number) => data.readUIntBE(pixel * channels, 3);
  for (let pixel = 0; pixel < width * height; pixel++) counts.set(colourAt(pixel), (counts.get(colourAt(pixel)) ?? 0) + 1);
  const palette = choosePalette(counts);
  const distance = (a: number, b: number) => [16, 8, 0].reduce((sum, bit) => sum + (((a >> bit) & 255) - ((b >> bit) & 255)) ** 2, 0);
  const nearest = new Map(palette.map((colour, index) => [colour, index]));
  const indexOf = (colour: number) => {
    const known = nearest.get(colour);
    if (known !== undefined) return known;
    const index = palette.reduce((best, other, i) => (distance(other, colour) < distance(palette[best]!, colour) ? i : best), 0);
    nearest.set(colour, index);
    return index;
  };
  return { palette, indices: Buffer.from(Array.from({ length: width * height }, (_, pixel) => indexOf(colourAt(pixel)))) };
}

function chunk(kind: string, content: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(kind, "latin1"), content]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(content.length);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}

export function toPalette(png: Buffer): Buffer {
  const pixels = read(png);
  const { palette, indices } = reduce(pixels);
  const lines = Array.from({ length: pixels.height }, (_, y) =>
    Buffer.concat([Buffer.from([0]), indices.subarray(y * pixels.width, (y + 1) * pixels.width)]),
  );
  const head = Buffer.from(png.subarray(16, 29));
  head[9] = 3;
  return Buffer.concat([
    png.subarray(0, 8),
    chunk("IHDR", head),
    chunk("PLTE", Buffer.from(palette.flatMap((colour) => [colour >> 16, (colour >> 8) & 255, colour & 255]))),
    chunk("IDAT", deflateSync(Buffer.concat(lines), { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}
