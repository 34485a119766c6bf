// The page by keyboard alone.
import { afterAll, beforeAll, expect, it } from "vitest";
import { CorpusPage } from "../pages/corpus_page.ts";
import { HomePage } from "../pages/home_page.ts";
import { openBrowser, startMock, type Visitor } from "./browser.ts";
import type { Mock } from "../mock/server.ts";

let mock: Mock;
let visitor: Visitor;
let corpus: CorpusPage;
const press = async (...keys: string[]) => {
  for (const key of keys) await visitor.page.keyboard.press(key);
};
const focused = () => visitor.page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.id ?? "");

beforeAll(async () => {
  const started = await startMock();
  mock = started.mock;
  visitor = await openBrowser();
  corpus = new CorpusPage(visitor.page);
  const home = new HomePage(visitor.page, started.url);
  await home.open();
  await home.openCorpus("Harbour Authority reports");
  await visitor.page.getByPlaceholder("Ask about these documents").waitFor();
});
afterAll(async () => {
  expect(visitor.complaints).toEqual([]);
  await visitor.close();
  await mock.close();
});

it("asks with / and Enter", async () => {
  await press("/");
  expect(await focused()).toBe("question");
  await visitor.page.keyboard.type("How much did revenue grow? j/k");
  await press("Enter");
  await corpus.waitForAnswer();
});

it("walks citations with j and k, opens with o", async () => {
  await visitor.page.getByRole("heading", { level: 2, name: "How much did revenue grow?" }).click();
  await press("j", "j");
  expect(await focused()).toMatch(/^Citation 2,/);
  await press("k");
  expect(await focused()).toMatch(/^Citation 1,/);
  await press("o");
  await corpus.highlightBoxes.first().waitFor();
  await corpus.openQuote.getByText("Total revenue increased 12 %").waitFor();
});

it("goes places with g", async () => {
  await press("g", "d");
  await visitor.page.waitForFunction(() => document.activeElement?.getAttribute("aria-label") === "Search documents");
  await visitor.page.locator("main").focus();
  await press("g", "j");
  await visitor.page.getByRole("heading", { level: 1, name: "Jobs" }).waitFor();
  await press("g", "c");
  await visitor.page.getByRole("heading", { level: 1, name: "Corpora" }).waitFor();
});

it("lists the shortcuts with ?, and single keys can be turned off", async () => {
  await press("?");
  const dialog = visitor.page.getByRole("dialog", { name: "Keyboard shortcuts" });
  await dialog.waitFor();
  await dialog.getByRole("checkbox").uncheck();
  await press("Escape");
  await dialog.waitFor({ state: "detached" });
  await press("?", "g", "j");
  await visitor.page.waitForTimeout(200);
  expect(await dialog.count()).toBe(0);
  expect(visitor.page.url()).toMatch(/#\/$/);
});

it("resizes the source with the arrow keys and remembers it", async () => {
  await visitor.page.getByRole("link", { name: "Harbour Authority reports" }).click();
  const separator = visitor.page.getByRole("separator", { name: "Width of the source view" });
  await separator.focus();
  const before = Number(await separator.getAttribute("aria-valuenow"));
  await press("ArrowLeft", "ArrowLeft");
  expect(Number(await separator.getAttribute("aria-valuenow"))).toBe(before + 80);
  await visitor.page.reload();
  await separator.waitFor();
  expect(Number(await separator.getAttribute("aria-valuenow"))).toBe(before + 80);
});
