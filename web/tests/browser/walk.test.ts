// The main path: drop files on Home, watch them being read, ask, follow a chip to the highlighted source.
import { afterAll, beforeAll, expect, it } from "vitest";
import { CorpusPage } from "../pages/corpus_page.ts";
import { HomePage } from "../pages/home_page.ts";
import { openBrowser, startMock, type Visitor } from "./browser.ts";
import { pdfFile, textFile } from "./files.ts";
import { inkUnderBoxes } from "./ink.ts";
import type { Mock } from "../mock/server.ts";

let mock: Mock;
let visitor: Visitor;
let home: HomePage;
let corpus: CorpusPage;

beforeAll(async () => {
  const started = await startMock({ empty: true, tickMs: 100 });
  mock = started.mock;
  visitor = await openBrowser();
  home = new HomePage(visitor.page, started.url);
  corpus = new CorpusPage(visitor.page);
});
afterAll(async () => {
  expect(visitor.complaints).toEqual([]);
  await visitor.close();
  await mock.close();
});

it("makes a corpus from files and shows how far it is", async () => {
  await home.open();
  await visitor.page.getByText("Nothing has been read yet").waitFor();
  await home.chooseFiles([pdfFile("report.pdf"), textFile("notes.txt", "The invoice was paid on 3 March.")]);
  await visitor.page.getByRole("heading", { level: 1, name: "report" }).waitFor();
  await corpus.uploads.getByText("2 of 2 files sent").waitFor();
  await corpus.progress.getByText(/tokens, \d+ tokens\/s/).waitFor();
  await corpus.progress.getByText(/of state written/).waitFor();
  await corpus.progress.getByText(/about \d+ (s|min)/).waitFor();
});

it("answers with chips, proof, where the model looked, and a footer", async () => {
  await corpus.ask("How much did revenue grow?");
  await corpus.waitForAnswer();
  const text = await corpus.answerText.innerText();
  expect(text).toContain("Revenue rose by 12 % to $4.1 billion 📈.");
  expect(await corpus.chip(1).count()).toBe(1);
  expect(await corpus.chip(3).count()).toBe(1);
  // The quote that was not found has no chip, and its sentence says so.
  expect(await corpus.chip(4).count()).toBe(0);
  await corpus.lastAnswer.getByText("1 quote was not found in the source").waitFor();
  await corpus.lastAnswer.getByRole("img", { name: /exact quote: 2, normalised quote: 1, no citation: 1, quote not found: 1/ }).waitFor();
  await corpus.lastAnswer.getByRole("img", { name: /corpus as one band of/ }).waitFor();
  expect(await corpus.footer.innerText()).toContain("0 tokens re-read, first token 0.71 s, 3/4 quotes verified");
});

it("shows the quote and its verification when a chip has the pointer or the focus", async () => {
  const tooltip = visitor.page.getByRole("tooltip");
  await corpus.chip(1).hover();
  await tooltip.getByText("Quote found word for word").waitFor();
  await tooltip.hover();
  await visitor.page.waitForTimeout(300);
  expect(await tooltip.count()).toBe(1);
  await visitor.page.mouse.move(2, 2);
  await tooltip.waitFor({ state: "detached" });
  await corpus.chip(2).focus();
  await tooltip.getByText(/apart from spaces, hyphens or ligatures/).waitFor();
  await visitor.page.keyboard.press("Escape");
  await tooltip.waitFor({ state: "detached" });
});

it("opens a PDF at the page, highlighted where the ink is, and keeps the place over a reload", async () => {
  await corpus.chip(1).click();
  await corpus.highlightBoxes.first().waitFor();
  await visitor.page.getByText("Sheet 4 of 12, printed page 2").waitFor();
  await corpus.openQuote.getByText("page 2 (sheet 4)").waitFor();
  const ink = await inkUnderBoxes(visitor.page);
  expect(Math.min(...ink.boxes)).toBeGreaterThan(0.1);
  expect(ink.margin).toBe(0);
  await visitor.page.reload();
  await corpus.highlightBoxes.first().waitFor();
  await corpus.waitForAnswer();
  await corpus.openQuote.getByText("Total revenue increased 12 %").waitFor();
});

it("walks the citations of the answer with the arrows, copies, and offers the original", async () => {
  await visitor.page.getByRole("button", { name: "Next citation" }).click();
  await corpus.openQuote.getByText("The increase came mainly").waitFor();
  await visitor.page.getByRole("button", { name: "Copy quote with reference" }).click();
  const copied = await visitor.page.evaluate(() => navigator.clipboard.readText());
  expect(copied).toContain("“The increase came mainly from container handling");
  expect(copied).toContain("report.pdf, page 2 (sheet 4)");
  const original = visitor.page.getByRole("link", { name: "Open original" });
  expect(await original.getAttribute("href")).toMatch(/^\/v1\/files\/file_.*\/content$/);
});

it("shows the same span in the text, counted in code points", async () => {
  await corpus.ask("What does growth stand for?");
  await corpus.waitForAnswer();
  await corpus.chip(1).click();
  await visitor.page.getByRole("button", { name: "Text", exact: true }).click();
  const { text, inView } = await corpus.markedText();
  expect(text.replaceAll("\n", " ")).toBe("The symbol 𝒢 stands for growth 📈, and 𝒢 was 0.12 for the harbour as a whole.");
  expect(inView).toBe(true);
});

it("asks ticked documents only", async () => {
  await visitor.page.getByRole("checkbox", { name: /Ask only notes.txt/ }).check();
  await visitor.page.getByText("Questions go to 1 ticked document only").waitFor();
  await corpus.ask("When was the invoice paid?");
  await corpus.waitForAnswer();
  const asked = mock.state.requests.at(-1)!.body as { documents: string[]; conversation_id: string };
  expect(asked.documents).toHaveLength(1);
  expect(asked.conversation_id).toMatch(/^conv_/);
});

it("opens a place of the strip map", async () => {
  const strip = corpus.answers.first().getByRole("img", { name: /corpus as one band/ });
  await strip.scrollIntoViewIfNeeded();
  const box = (await strip.boundingBox())!;
  await visitor.page.mouse.click(box.x + box.width * 0.5, box.y + 40);
  await visitor.page.waitForFunction(() => /document=doc_[^&]+&start=\d+$/.test(location.hash));
});

it("keeps conversations", async () => {
  await visitor.page.getByRole("link", { name: "New conversation" }).click();
  await visitor.page.getByText("Ask for a fact").waitFor();
  await visitor.page.getByRole("button", { name: "History" }).click();
  await visitor.page.getByRole("region", { name: "Earlier conversations" }).getByRole("link", { name: /How much did revenue grow/ }).click();
  await corpus.answers.nth(2).waitFor();
  expect(await corpus.answers.count()).toBe(3);
});
