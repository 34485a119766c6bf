// What a hostile file name looks like on the page.
import { describe, expect, it } from "vitest";
import { escapeName, escapeText } from "./escape_controls";

describe("escapeName", () => {
  it("shows a right-to-left override", () => {
    expect(escapeName("report\u202Efdp.exe")).toBe("report⟨U+202E⟩fdp.exe");
  });
  it("shows line ends, NUL, zero-width space and isolates", () => {
    expect(escapeName("a\nb\0c\u200Bd\u2066e")).toBe("a⟨U+000A⟩b⟨U+0000⟩c⟨U+200B⟩d⟨U+2066⟩e");
  });
  it("leaves ordinary names of any script alone", () => {
    for (const name of ["10-K.pdf", "Учебник.txt", "تقرير.docx", "می‌خواهم.md", "👩‍🚀.txt"]) expect(escapeName(name)).toBe(name);
  });
  it("shows half a character", () => {
    expect(escapeName("a\ud800b")).toBe("a⟨U+D800⟩b");
  });
});

describe("escapeText", () => {
  it("keeps lines and tabs, shows overrides", () => {
    expect(escapeText("a\r\n\tb \u202Eevil\u202C")).toBe("a\n\tb ⟨U+202E⟩evil⟨U+202C⟩");
  });
});
