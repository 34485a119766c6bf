// One document in the list: its name shown safely, its state in words.
// @vitest-environment jsdom
import { render, screen } from "@testing-library/svelte";
import { expect, it, vi } from "vitest";
import type { CorpusDocument } from "../api/types";
import DocumentRow from "./DocumentRow.svelte";

const DOCUMENT: CorpusDocument = {
  object: "document",
  id: "doc_1",
  corpus_id: "corp_1",
  file_id: "file_1",
  path: "a/<script>alert(1)</script>\u202Efdp.exe",
  title: "",
  media_type: "text/plain",
  sha256: "",
  bytes: 10,
  state: "ready",
  version: 1,
  pages: 0,
  characters: 10,
  tokens: 3,
  text_blake3: null,
  warnings: [{ code: "hidden_text", page: 3, characters: 212, detail: "" }],
  error: null,
  created_at: "2026-11-25T10:00:00Z",
};

function show(fields: Partial<CorpusDocument>) {
  return render(DocumentRow, {
    document: { ...DOCUMENT, ...fields },
    inScope: false,
    onscope: vi.fn(),
    onopen: vi.fn(),
    ondelete: vi.fn(),
  });
}

it("shows a hostile name as text, its override visible", () => {
  const { container } = show({});
  expect(container.querySelector("script")).toBeNull();
  expect(screen.getByTitle("a/<script>alert(1)</script>⟨U+202E⟩fdp.exe")).toBeTruthy();
  expect(screen.getByText("Hidden text was left out, page 3, 212 characters")).toBeTruthy();
});

it("offers no scope and no text for a document that cannot be read, and says what to do", () => {
  show({ path: "scan.pdf", state: "needs_ocr", warnings: [] });
  expect(screen.getByText("No text layer")).toBeTruthy();
  expect(screen.getByText(/Its pages are pictures/)).toBeTruthy();
  expect(screen.getByRole<HTMLInputElement>("checkbox").disabled).toBe(true);
});
