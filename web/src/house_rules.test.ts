// Rules that hold for every file of the page, checked so that nobody has to remember them.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..");
const files = ["src", "tests"].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
);
const sources = files.filter((name) => /\.(ts|svelte|css)$/.test(name));
const read = (name: string) => readFileSync(join(ROOT, name), "utf8");
const which = (bad: (text: string, name: string) => boolean) => sources.filter((name) => bad(read(name), name));

describe("house rules", () => {
  it("finds the sources", () => {
    expect(sources.length).toBeGreaterThan(60);
  });
  it("opens every file with a comment that says what lives there", () => {
    expect(which((text) => !/^(\/\/|\/\*|<!--)/.test(text))).toEqual([]);
  });
  it("keeps files under 500 lines", () => {
    // One is generated and read by nobody.
    expect(which((text, name) => text.split("\n").length > 500 && !name.endsWith("schema.ts"))).toEqual([]);
  });
  it("never puts a string into the page as markup", () => {
    const markup = ["{" + "@html", "inner" + "HTML", "outer" + "HTML", "insertAdjacent" + "HTML", "document." + "write"];
    expect(which((text) => markup.some((word) => text.includes(word)))).toEqual([]);
  });
  it("writes no style or handler attribute into markup, which the content security policy would refuse", () => {
    const attribute = /<[a-z][^>]*\s(style|on[a-z]+)=["'][^{]/;
    expect(which((text, name) => name.endsWith(".svelte") && attribute.test(text))).toEqual([]);
  });
  it("talks to its own server only", () => {
    const address = /https?:\/\/(?!127\.0\.0\.1|mock|www\.w3\.org)/;
    expect(which((text, name) => name.startsWith("src") && !name.endsWith(".test.ts") && address.test(text))).toEqual([]);
  });
  it("names no package registry in the lock file but the public one", () => {
    const resolved = [...read("package-lock.json").matchAll(/"resolved": "([^"]*)"/g)].map((match) => match[1]!);
    expect(resolved.filter((address) => !address.startsWith("https://registry.npmjs.org/"))).toEqual([]);
  });
});
