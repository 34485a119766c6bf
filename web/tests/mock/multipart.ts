// Just enough of multipart/form-data for the browser's own uploads.
export interface MockPart {
  name: string;
  content: Buffer;
}

export function parseMultipart(body: Buffer, contentType: string): MockPart[] {
  const boundary = /boundary=(.+)$/.exec(contentType)?.[1];
  if (!boundary) return [];
  const separator = Buffer.from(`\r\n--${boundary}`);
  const whole = Buffer.concat([Buffer.from("\r\n"), body]);
  const parts: MockPart[] = [];
  for (let at = whole.indexOf(separator); at >= 0; ) {
    const next = whole.indexOf(separator, at + separator.length);
    if (next < 0) break;
    const part = whole.subarray(at + separator.length + 2, next);
    const headEnd = part.indexOf("\r\n\r\n");
    const name = /filename="((?:[^"\\]|\\.)*)"/.exec(part.subarray(0, headEnd).toString("utf8"))?.[1];
    if (name !== undefined) parts.push({ name: name.replaceAll("%22", '"').replaceAll("%0A", "\n"), content: part.subarray(headEnd + 4) });
    at = next;
  }
  return parts;
}
