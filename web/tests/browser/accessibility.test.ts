// WCAG 2.2 AA as far as axe-core sees it, on every screen and state, in light, dark and high contrast, wide and at 400 px.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CorpusPage } from "../pages/corpus_page.ts";
import { HomePage } from "../pages/home_page.ts";
import { findings } from "./axe.ts";
import { openBrowser, startMock, type Visitor, type VisitorOptions } from "./browser.ts";
import { textFile } from "./files.ts";
import type { Mock } from "../mock/server.ts";

const HARBOUR = "Harbour Authority reports";
const LOOKS: [string, VisitorOptions][] = [
  ["light", {}],
  ["dark", { dark: true }],
  ["high contrast", { contrast: "more" }],
  ["dark, high contrast", { dark: true, contrast: "more" }],
  ["400 px", { width: 400, height: 800, touch: true }],
];

describe.each(LOOKS)("%s", (_, options) => {
  let mock: Mock;
  let url: string;
  let visitor: Visitor;
  let home: HomePage;
  let corpus: CorpusPage;
  const narrow = options.width === 400;

  async function check() {
    await visitor.page.waitForTimeout(350);
    expect(await findings(visitor.page)).toEqual([]);
    const width = await visitor.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    expect(width, "the page scrolls sideways").toBeLessThanOrEqual(0);
  }

  beforeAll(async () => {
    ({ mock, url } = await startMock());
    visitor = await openBrowser(options);
    home = new HomePage(visitor.page, url);
    corpus = new CorpusPage(visitor.page);
  });
  afterAll(async () => {
    expect(visitor.complaints).toEqual([]);
    await visitor.close();
    await mock.close();
  });

  it("Home", async () => {
    await home.open();
    await home.corpus(HARBOUR).waitFor();
    await check();
    await visitor.page.getByRole("button", { name: `Delete corpus ${HARBOUR}` }).click();
    await check();
    await visitor.page.keyboard.press("Escape");
  });

  it("Corpus, before and after a question", async () => {
    await home.openCorpus(HARBOUR);
    await visitor.page.getByPlaceholder("Ask about these documents").waitFor();
    await check();
    await corpus.ask("How much did revenue grow?");
    await corpus.waitForAnswer();
    await check();
    await corpus.chip(1).focus();
    await visitor.page.getByRole("tooltip").waitFor();
    await check();
  });

  it("the source, as a page and as text", async () => {
    await corpus.chip(1).click();
    await corpus.highlightBoxes.first().waitFor();
    await check();
    await visitor.page.getByRole("button", { name: "Text", exact: true }).click();
    await corpus.sourceText.locator("mark").waitFor();
    await check();
    if (narrow) {
      const sheet = (await visitor.page.getByRole("dialog", { name: "Source" }).boundingBox())!;
      expect([sheet.width, sheet.height]).toEqual([400, 800]);
      await visitor.page.getByRole("button", { name: "Hide source" }).click();
    }
  });

  it("an answer that is not there, one that failed, and files that stall", async () => {
    await corpus.ask("What is the weather like?");
    await corpus.waitForAnswer();
    await corpus.ask("Please fail");
    await corpus.lastAnswer.getByRole("alert").waitFor();
    if (narrow) await visitor.page.getByRole("button", { name: "Show documents" }).click();
    await corpus.addFiles([textFile("stall.txt", "Some words. ".repeat(400)), textFile("nothing.txt", "")]);
    await corpus.progress.getByText(/No sign of life/).waitFor();
    await check();
  });

  it("Jobs, Planner, shortcuts, nothing", async () => {
    await visitor.page.goto(`${url}/#/jobs`);
    await visitor.page.getByTestId("job").first().waitFor();
    await check();
    await visitor.page.goto(`${url}/#/planner`);
    await visitor.page.getByText("measured on this machine").waitFor();
    await visitor.page.getByLabel("Model").selectOption("llama-4-scout");
    await visitor.page.getByRole("heading", { name: "Notes" }).waitFor();
    await check();
    await visitor.page.getByRole("button", { name: "Keyboard shortcuts" }).click();
    await check();
    await visitor.page.keyboard.press("Escape");
    await visitor.page.goto(`${url}/#/nowhere`);
    await check();
  });
});
