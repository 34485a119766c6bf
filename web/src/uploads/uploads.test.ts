// Names of corpora, and bytes of one body spread over its files.
import { describe, expect, it } from "vitest";
import { corpusNameFor } from "./dropped";
import { distribute } from "./send";

const outgoing = (name: string) => ({ name, file: new File(["x"], name) });

describe("distribute", () => {
  it("fills the files one after the other", () => {
    expect(distribute(0, [10, 20])).toEqual([0, 0]);
    expect(distribute(15, [10, 20])).toEqual([10, 5]);
    expect(distribute(99, [10, 0, 20])).toEqual([10, 0, 20]);
  });
});

describe("corpusNameFor", () => {
  it("takes the folder, else the first file", () => {
    expect(corpusNameFor([outgoing("reports/2023/a.pdf"), outgoing("reports/b.pdf")])).toBe("reports");
    expect(corpusNameFor([outgoing("10-K.pdf"), outgoing("b.pdf")])).toBe("10-K");
    expect(corpusNameFor([outgoing(".env")])).toBe(".env");
    expect(corpusNameFor([])).toBe("Documents");
  });
  it("makes a name that the server takes", () => {
    expect(corpusNameFor([outgoing("a\nb\u0000.txt")])).toBe("a b");
    expect(corpusNameFor([outgoing("corp_1.txt")])).toBe("1");
    expect(corpusNameFor([outgoing(" .txt")])).toBe("Documents");
  });
});
