// One upload request: several files in one multipart body over XMLHttpRequest, because fetch reports no upload progress.
import { problemOf } from "../api/request";
import { ApiError, UNREACHABLE } from "../api/request";
import type { Upload } from "../api/types";

export interface OutgoingFile {
  /** Path inside a dropped folder, or the file's name. */
  name: string;
  file: File;
}

/** Bytes sent of each file, from the bytes sent of the whole body: a browser sends the files one after the other. */
export function distribute(sent: number, sizes: number[]): number[] {
  let rest = sent;
  return sizes.map((size) => {
    const part = Math.max(0, Math.min(size, rest));
    rest -= size;
    return part;
  });
}

export function sendFiles(
  corpusId: string,
  files: OutgoingFile[],
  onSent: (sentPerFile: number[]) => void,
  signal: AbortSignal,
): Promise<Upload> {
  const sizes = files.map(({ file }) => file.size);
  const sum = sizes.reduce((a, b) => a + b, 0);
  const body = new FormData();
  for (const { name, file } of files) body.append("files", file, name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/v1/corpora/${encodeURIComponent(corpusId)}/documents`);
    request.upload.onprogress = ({ loaded, total }) => {
      // The multipart borders belong to no file: scale them away.
      onSent(distribute(total > 0 ? (loaded / total) * sum : 0, sizes));
    };
    request.upload.onload = () => onSent(sizes);
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) {
        try {
          resolve(JSON.parse(request.responseText) as Upload);
          return;
        } catch {
          // Falls through: a reply that is not JSON is no reply.
        }
      }
      reject(new ApiError(problemOf(request.status, request.statusText, request.responseText)));
    };
    request.onerror = () =>
      reject(new ApiError({ title: "The connection broke", status: 0, code: UNREACHABLE }));
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(body);
  });
}
