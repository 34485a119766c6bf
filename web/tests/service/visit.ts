// What the tests of the real service share: a visitor at a fresh service, questions asked beside the page, pictures for
// docs/screenshots.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { findings } from "../browser/axe.ts";
import { openBrowser, type Visitor } from "../browser/browser.ts";
import { CorpusPage } from "../pages/corpus_page.ts";
import { HomePage } from "../pages/home_page.ts";
import { toPalette } from "./palette.ts";
import { Service } from "./service.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const PICTURES = join(ROOT, "docs/screenshots");

export interface Visit {
  service: Service;
  visitor: Visitor;
  home: HomePage;
  corpus: CorpusPage;
}

/** A service without any corpus and a visitor; complaints of the browser, the content security policy's among them, fail. */
export function visitEmptyService(): Visit {
  const visit = {} as Visit;
  beforeAll(async () => {
    visit.service = await Service.start();
    visit.visitor = await openBrowser({ width: 1280, height: 800 });
    visit.home = new HomePage(visit.visitor.page, visit.service.url);
    visit.corpus = new CorpusPage(visit.visitor.page);
  });
  afterAll(async () => {
    const complaints = visit.visitor?.complaints;
    await visit.visitor?.close();
    await visit.service?.close();
    expect(complaints ?? []).toEqual([]);
  });
  return visit;
}

/** A file of the sample corpus. */
export async function sampleFile(name: string, mimeType: string) {
  return { name, mimeType, buffer: await readFile(join(ROOT, "examples/corpus", name)) };
}

/** No finding of axe-core, and nothing that makes the page scroll sideways. */
export async function expectAccessible({ page }: Visitor): Promise<void> {
  await page.waitForTimeout(350);
  expect(await findings(page)).toEqual([]);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  expect(over, "the page scrolls sideways").toBeLessThanOrEqual(0);
}

/** Goes into docs/screenshots where IBID_SCREENSHOTS asks for it: elsewhere tests leave the tree as it is. */
export async function picture({ page }: Visitor, name: string): Promise<void> {
  if (process.env.IBID_SCREENSHOTS !== "1") return;
  await mkdir(PICTURES, { recursive: true });
  await page.mouse.move(2, 2);
  await page.waitForTimeout(400);
  const png = await page.screenshot({ animations: "disabled", caret: "hide" });
  await writeFile(join(PICTURES, `${name}.png`), toPalette(png));
}

/** Long questions beside the page: they share its decode steps, so that an answer takes long enough to be met in its middle. */
export async function keepBusy(url: string, corpusId: string, questions: number): Promise<() => Promise<void>> {
  const headers = { "Content-Type": "application/json", Prefer: "respond-async" };
  const asked = Array.from({ length: questions }, async (_, n) => {
    const body = JSON.stringify({ question: `Describe in detail the powers of the Technical Committee and of person ${n}.`, mode: "free", max_output_tokens: 800, temperature: 1, seed: n });
    const reply = await fetch(`${url}/v1/corpora/${corpusId}/answers`, { method: "POST", headers, body });
    return ((await reply.json()) as { id: string }).id;
  });
  const ids = await Promise.all(asked);
  return async () => {
    await Promise.all(ids.map((id) => fetch(`${url}/v1/answers/${id}/cancel`, { method: "POST" })));
  };
}

export const corpusIdOf = ({ page }: Visitor) => /corpora\/(corp_\w+)/.exec(page.url())![1]!;
