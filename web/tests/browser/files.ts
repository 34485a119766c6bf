// Files that tests upload.
export function textFile(name: string, content: string) {
  return { name, mimeType: "text/plain", buffer: Buffer.from(content) };
}

export function pdfFile(name: string) {
  return { name, mimeType: "application/pdf", buffer: Buffer.from("%PDF-1.7 the mock does not read it") };
}
