// Page images of the mock: a grey PNG with a dark bar where each word of the page stands, made without any library.
import { deflateSync } from "node:zlib";
import { LINES_PER_PAGE, LINE_LENGTH, type MockText } from "./texts.ts";

const TOP = 0.08;
const LEFT = 0.1;
const LINE_HEIGHT = 0.84 / LINES_PER_PAGE;
const CHARACTER_WIDTH = 0.8 / LINE_LENGTH;

export interface MockBox {
  page: number;
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

/** Boxes of a span of the text, one per printed line, as fractions of the page. */
export function boxesOf({ pages }: MockText, start: number, end: number): MockBox[] {
  return (pages ?? []).flatMap((page, index) =>
    page.lines.flatMap((line, row) => {
      const from = Math.max(start, line.start);
      const to = Math.min(end, line.end);
      if (from >= to) return [];
      const y0 = TOP + row * LINE_HEIGHT;
      return [
        {
          page: index + 1,
          x0: LEFT + (from - line.start) * CHARACTER_WIDTH,
          x1: LEFT + (to - line.start) * CHARACTER_WIDTH,
          y0,
          y1: y0 + LINE_HEIGHT * 0.8,
        },
      ];
    }),
  );
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  let crc = 0xffffffff;
  for (const byte of body) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE((crc ^ 0xffffffff) >>> 0, 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}

export function pageImage(document: MockText, page: number, scale: number): Buffer {
  const [width, height] = [612 * scale, 792 * scale];
  const pixels = Buffer.alloc((width + 1) * height, 0xfc);
  for (let y = 0; y < height; y++) pixels[y * (width + 1)] = 0;
  const points = Array.from(document.text);
  document.pages![page - 1]!.lines.forEach((line, row) => {
    const y0 = Math.round((TOP + (row + 0.2) * LINE_HEIGHT) * height);
    const y1 = Math.round((TOP + (row + 0.62) * LINE_HEIGHT) * height);
    for (let at = line.start; at < line.end; at++) {
      if (points[at] === " ") continue;
      const x0 = Math.round((LEFT + (at - line.start + 0.08) * CHARACTER_WIDTH) * width);
      const x1 = Math.round((LEFT + (at - line.start + 0.92) * CHARACTER_WIDTH) * width);
      for (let y = y0; y < y1; y++) pixels.fill(0x4a, y * (width + 1) + 1 + x0, y * (width + 1) + 1 + x1);
    }
  });
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 0, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", deflateSync(pixels)), chunk("IEND", Buffer.alloc(0))]);
}
