// Files out of a drop or a file field; dropped folders are walked, hidden files inside them are left out.
import type { OutgoingFile } from "./send";

function entryFile(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** readEntries hands out at most a hundred at a time and an empty list at the end. */
async function entriesOf(directory: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = directory.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
  }
}

async function walk(entry: FileSystemEntry, files: OutgoingFile[]): Promise<void> {
  const inside = entry.fullPath.replace(/^\//, "");
  if (inside.includes("/") && entry.name.startsWith(".")) return;
  if (entry.isFile) files.push({ name: inside, file: await entryFile(entry as FileSystemFileEntry) });
  else if (entry.isDirectory) {
    for (const child of await entriesOf(entry as FileSystemDirectoryEntry)) await walk(child, files);
  }
}

export async function droppedFiles(transfer: DataTransfer): Promise<OutgoingFile[]> {
  // The entries must be taken before the first await: the browser empties the transfer after the event.
  const entries = [...transfer.items].map((item) => (item.kind === "file" ? item.webkitGetAsEntry() : null));
  const plain = [...transfer.files];
  const files: OutgoingFile[] = [];
  for (const entry of entries) if (entry) await walk(entry, files);
  return files.length > 0 ? files : plain.map((file) => ({ name: file.name, file }));
}

export function chosenFiles(list: FileList | null): OutgoingFile[] {
  return [...(list ?? [])].map((file) => ({ name: file.webkitRelativePath || file.name, file }));
}

/** A name for the corpus that these files make: their folder, or the first file without its ending. */
export function corpusNameFor(files: OutgoingFile[]): string {
  const first = files[0]?.name ?? "";
  const folder = first.includes("/") ? first.split("/")[0]! : "";
  const name = folder || first.replace(/\.[^.]{1,8}$/, "") || first;
  // Names of corpora are one line and cannot pass for an id.
  const line = name.replace(/[\p{Cc}\u2028\u2029]+/gu, " ").replace(/^(corp_)+/, "").trim();
  return Array.from(line || "Documents").slice(0, 80).join("");
}
