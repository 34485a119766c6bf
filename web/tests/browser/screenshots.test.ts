// Pictures of every screen for people to look at: web/screenshots, light, dark and at 400 px. Nothing is asserted but that
// the screens come up without a complaint of the browser.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { CorpusPage } from "../pages/corpus_page.ts";
import { HomePage } from "../pages/home_page.ts";
import { textFile } from "./files.ts";
import { openBrowser, SCREENSHOTS, startMock, type VisitorOptions } from "./browser.ts";

const LOOKS: [string, VisitorOptions][] = [
  ["light", {}],
  ["dark", { dark: true }],
  ["medium", { width: 900, height: 800 }],
  ["contrast", { contrast: "more" }],
  ["narrow", { width: 400, height: 820, touch: true }],
];

const mocks: { close: () => Promise<void> }[] = [];
afterAll(async () => {
  for (const mock of mocks) await mock.close();
});

const HARBOUR = "Harbour Authority reports";

it.each(LOOKS)("takes pictures, %s", async (look, options) => {
  await mkdir(SCREENSHOTS, { recursive: true });
  const { mock, url } = await startMock({ tickMs: 90 });
  mocks.push(mock);
  const visitor = await openBrowser(options);
  const { page } = visitor;
  const shoot = async (name: string) => {
    await page.waitForTimeout(350);
    await page.screenshot({ path: join(SCREENSHOTS, `${look}-${name}.png`) });
  };
  const home = new HomePage(page, url);
  const corpus = new CorpusPage(page);
  await home.open();
  await home.corpus(HARBOUR).waitFor();
  await shoot("home");
  await home.openCorpus(HARBOUR);
  await page.getByRole("heading", { level: 1, name: HARBOUR }).waitFor();
  await shoot("corpus-empty");
  await corpus.ask("How much did revenue grow, and why?");
  await corpus.waitForAnswer();
  await shoot("answer");
  await corpus.chip(1).hover();
  await shoot("popover");
  await corpus.chip(1).click();
  await corpus.highlightBoxes.first().waitFor();
  await shoot("pdf");
  if (options.width === 400) await page.getByRole("button", { name: "Hide source" }).click();
  await corpus.ask("Who electrified the lighthouse?");
  await corpus.waitForAnswer();
  await corpus.chip(1).click();
  await corpus.sourceText.locator("mark").waitFor();
  await shoot("text");
  if (options.width === 400) await page.getByRole("button", { name: "Hide source" }).click();
  await corpus.ask("What is the weather like?");
  await corpus.waitForAnswer();
  await shoot("not-in-corpus");
  await corpus.ask("Please fail");
  await page.getByRole("alert").waitFor();
  await shoot("failed");
  await page.getByRole("button", { name: "History" }).click();
  await shoot("history");
  await page.keyboard.press("Escape");
  if (await page.getByRole("button", { name: "Show documents" }).count()) await page.getByRole("button", { name: "Show documents" }).click();
  await corpus.addFiles([textFile("stall.txt", "Some words. ".repeat(900)), textFile("nothing.txt", ""), textFile("virus.exe", "MZ")]);
  await corpus.progress.getByText(/No sign of life/).waitFor();
  await shoot("stalled");
  await home.open();
  await home.chooseFiles([textFile("crash.txt", "Some words. ".repeat(900))]);
  await page.waitForTimeout(1200);
  await home.open();
  await home.trySample();
  await page.getByTestId("ingest-progress").getByText(/tokens\/s/).waitFor();
  await shoot("ingest");
  await page.goto(`${url}/#/jobs`);
  await shoot("jobs");
  await page.goto(`${url}/#/planner`);
  await page.getByText("Notes").waitFor({ timeout: 2000 }).catch(() => {});
  await shoot("planner");
  await page.keyboard.press("?");
  await shoot("shortcuts");
  expect(visitor.complaints).toEqual([]);
  await visitor.close();
});
