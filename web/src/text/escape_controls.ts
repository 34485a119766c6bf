// Names and texts come from strangers. A right-to-left override can make "gpj.exe" read "exe.jpg", and a zero-width space
// can make two names look alike, so such characters are shown as what they are. Escaping is for display only: cut first.

// Controls, soft hyphen, the bidirectional marks and overrides, zero-width space and no-break space, and line separators.
// The zero-width joiners stay: Persian, Indic scripts and emoji need them.
const HIDDEN = "\\u0000-\\u001F\\u007F-\\u009F\\u00AD\\u061C\\u180E\\u200B\\u200E\\u200F\\u2028-\\u202E\\u2060-\\u206F\\uFEFF\\uFFF9-\\uFFFB";
const IN_NAMES = new RegExp(`[${HIDDEN}]`, "gu");
// In running text a soft hyphen or a byte order mark is common and harmless; the bidirectional overrides are not.
const IN_TEXT = /[\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]/gu;
const LONE_SURROGATE = /\p{Surrogate}/gu;

function visible(character: string): string {
  return `⟨U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}⟩`;
}

/** A file name or title, safe to show inside any sentence of the page. */
export function escapeName(name: string): string {
  return name.replace(IN_NAMES, visible).replace(LONE_SURROGATE, visible);
}

/** A piece of document or answer text; line ends and tabs stay. */
export function escapeText(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(IN_TEXT, visible);
}
