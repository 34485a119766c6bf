// Offsets of the server count Unicode code points; JavaScript strings count UTF-16 units. This index converts between the
// two, so that a character outside the basic plane (an emoji, a mathematical letter) does not move every later highlight.

export class CodePointText {
  readonly text: string;
  /** UTF-16 offset of each astral code point, ascending. Most texts hold none, so this costs nothing for them. */
  readonly #astral: number[] = [];

  constructor(text: string) {
    this.text = text;
    for (let at = 0; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      if (unit < 0xd800 || unit > 0xdbff) continue;
      const next = text.charCodeAt(at + 1);
      if (next >= 0xdc00 && next <= 0xdfff) this.#astral.push(at++);
    }
  }

  get length(): number {
    return this.text.length - this.#astral.length;
  }

  /** UTF-16 offset of a code point offset, clamped to the text. */
  toUtf16(codePoint: number): number {
    if (!(codePoint > 0)) return 0;
    if (codePoint >= this.length) return this.text.length;
    // The i-th astral character starts at code point #astral[i] - i: count those that start before the place asked for.
    let low = 0;
    let high = this.#astral.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#astral[middle]! - middle < codePoint) low = middle + 1;
      else high = middle;
    }
    return codePoint + low;
  }

  /** Code point offset of a UTF-16 offset; the middle of a pair counts as its start. */
  fromUtf16(offset: number): number {
    const clamped = Math.max(0, Math.min(offset, this.text.length));
    let low = 0;
    let high = this.#astral.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#astral[middle]! + 1 < clamped) low = middle + 1;
      else high = middle;
    }
    const inside = low < this.#astral.length && this.#astral[low]! + 1 === clamped;
    return clamped - low - (inside ? 1 : 0);
  }

  slice(start: number, end: number): string {
    return this.text.slice(this.toUtf16(start), this.toUtf16(end));
  }
}
