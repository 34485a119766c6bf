// What goes wrong, and what is said then: refused files, silence, failed jobs, deleted things, hostile names, no server.
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { CorpusPage } from "../pages/corpus_page.ts";
import { HomePage } from "../pages/home_page.ts";
import { openBrowser, startMock, type Visitor } from "./browser.ts";
import { textFile } from "./files.ts";
import type { Mock } from "../mock/server.ts";
import { newCorpus, newDocument, refreshCorpus } from "../mock/state.ts";

const HARBOUR = "Harbour Authority reports";
let mock: Mock;
let url: string;
let visitor: Visitor;
let home: HomePage;
let corpus: CorpusPage;
const closing: (() => Promise<void>)[] = [];

async function start(options: Parameters<typeof startMock>[0] = {}) {
  ({ mock, url } = await startMock({ tickMs: 25, ...options }));
  visitor = await openBrowser();
  home = new HomePage(visitor.page, url);
  corpus = new CorpusPage(visitor.page);
  closing.push(visitor.close, mock.close);
}
afterAll(async () => {
  for (const close of closing) await close();
});

describe("with a corpus of every document state", () => {
  beforeEach(async () => {
    if (!visitor) await start();
  });
  afterEach(() => {
    expect(visitor.complaints).toEqual([]);
  });

  it("shows hostile names and texts as text", async () => {
    await home.open();
    await home.openCorpus(HARBOUR);
    await corpus.document("invoice⟨U+202E⟩fdp.exe.txt").waitFor();
    await corpus.document("<img src=x onerror=alert(1)>.txt").waitFor();
    await corpus.document("letter-to-shareholders.md").click();
    await corpus.sourceText.getByText("<img src=x onerror=alert(1)> and an override ⟨U+202E⟩reversed⟨U+202C⟩").waitFor();
    expect(await visitor.page.locator("img[src=x]").count()).toBe(0);
  });

  it("says what is wrong with documents that cannot be read", async () => {
    await visitor.page.getByText("Its pages are pictures.").waitFor();
    await visitor.page.getByText("Save a copy without a password").waitFor();
    await visitor.page.getByText("The file nests deeper than 100 levels.").waitFor();
    await visitor.page.getByText("2 warnings").click();
    await visitor.page.getByText("Hidden text was left out, page 3, 212 characters").waitFor();
  });

  it("names each file that was refused, and why; the others go on", async () => {
    await corpus.addFiles([textFile("fine.txt", "Fine."), textFile("nothing.txt", ""), textFile("virus.exe", "MZ"), textFile("vessels.csv", "same")]);
    await corpus.uploads.getByText("Refused: The file is empty.").waitFor();
    await corpus.uploads.getByText("Refused: Programs are not documents.").waitFor();
    await corpus.uploads.getByText("Already here, unchanged").waitFor();
    await corpus.document("fine.txt").and(visitor.page.locator(":enabled")).waitFor();
  });

  it("says how long a job has been silent", async () => {
    await corpus.addFiles([textFile("stall.txt", "Some words. ".repeat(400))]);
    await corpus.progress.getByText(/No sign of life for 1\d s/).waitFor();
    await visitor.page.goto(`${url}/#/jobs`);
    const job = visitor.page.getByTestId("job").filter({ hasText: "Stalled" });
    await job.getByText(/No sign of life for 1\d s|No sign of life for 2\d s/).waitFor();
    await job.getByRole("button", { name: /^Cancel/ }).click();
    await job.waitFor({ state: "detached" });
  });

  it("shows why a job failed and retries it", async () => {
    await home.open();
    await home.openCorpus(HARBOUR);
    await corpus.addFiles([textFile("crash.txt", "Some words. ".repeat(400))]);
    await corpus.document("crash.txt").waitFor();
    await visitor.page.goto(`${url}/#/jobs`);
    const failed = visitor.page.getByRole("region", { name: "Failed" }).getByTestId("job");
    await failed.getByText("The disk filled up while state was written.").waitFor();
    await failed.getByRole("button", { name: /^Retry/ }).click();
    await failed.waitFor({ state: "detached" });
  });

  it("deletes a document: what is freed, and answers that cite it say so", async () => {
    await home.open();
    await home.openCorpus(HARBOUR);
    await corpus.ask("Who electrified the lighthouse?");
    await corpus.waitForAnswer();
    await corpus.deleteDocument("letter-to-shareholders.md");
    await visitor.page.getByText(/Deleted. .* freed in 3 files/).first().waitFor();
    await corpus.document("letter-to-shareholders.md").waitFor({ state: "detached" });
    await visitor.page.reload();
    await corpus.lastAnswer.getByText("source removed", { exact: true }).waitFor();
    expect(await corpus.chip(1).getAttribute("aria-disabled")).toBe("true");
  });

  it("lists a corpus of thousands, narrowed by searching", async () => {
    const big = newCorpus(mock.state, "Thousands");
    for (let i = 1; i <= 1500; i++) newDocument(mock.state, big.id, `letters/letter-${i}.txt`, "ready", `Letter ${i}.`);
    refreshCorpus(mock.state, big);
    await visitor.page.goto(`${url}/#/corpora/${big.id}`);
    await visitor.page.getByText("400 of 1,500 shown. Search to narrow the list.").waitFor();
    await visitor.page.getByLabel("Search documents").fill("letter-1499");
    await corpus.document("letters/letter-1499.txt").click();
    await corpus.sourceText.getByText("Letter 1499.").waitFor();
    await corpus.ask("When was the invoice paid?");
    await corpus.waitForAnswer();
  });

  it("offers a place to drop files where there are none", async () => {
    const bare = newCorpus(mock.state, "Bare");
    await visitor.page.goto(`${url}/#/corpora/${bare.id}`);
    await visitor.page.getByRole("heading", { name: "No documents yet" }).waitFor();
    await corpus.addFiles([textFile("first.txt", "The invoice was paid on 3 March.")]);
    await corpus.ask("When was the invoice paid?");
    await corpus.waitForAnswer();
    await corpus.chip(1).waitFor();
    for (const { id, name } of mock.state.corpora.values()) if (name !== HARBOUR) mock.state.corpora.delete(id);
  });

  it("deletes a corpus", async () => {
    await home.open();
    await home.deleteCorpus(HARBOUR);
    await visitor.page.getByText(/Deleted. .* freed in 14 files/).first().waitFor();
    await visitor.page.getByText("Nothing has been read yet").waitFor();
  });

  it("knows nothing at a wrong address", async () => {
    await visitor.page.goto(`${url}/#/corpora/corp_gone`);
    await visitor.page.getByText("There is nothing at this address.").waitFor();
    await visitor.page.goto(`${url}/#/nowhere`);
    await visitor.page.getByText("There is nothing at this address.").waitFor();
  });

  it("says when the server is away, and goes on when it is back", async () => {
    await home.open();
    await visitor.context.route("**/v1/corpora?*", (route) => route.abort());
    await visitor.page.reload();
    await visitor.page.getByText("The server does not answer").waitFor();
    await visitor.context.unroute("**/v1/corpora?*");
    await visitor.page.getByRole("button", { name: "Try again" }).click();
    await visitor.page.getByText("The server does not answer").waitFor({ state: "detached" });
  });
});

it("asks for a key where the server does, and forgets it on sign-out", async () => {
  await start({ key: "ibid_right" });
  await visitor.page.goto(`${url}/#/planner`);
  await visitor.page.getByLabel("Key", { exact: true }).fill("ibid_wrong");
  await visitor.page.keyboard.press("Enter");
  await visitor.page.getByText("The server does not know this key").waitFor();
  await visitor.page.getByLabel("Key", { exact: true }).fill("ibid_right");
  await visitor.page.keyboard.press("Enter");
  await visitor.page.getByRole("heading", { level: 1, name: "Planner" }).waitFor();
  await visitor.page.getByText("Signed in as ana").waitFor();
  expect(await visitor.page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage, cookie: document.cookie }))).not.toContain("ibid_right");
  await visitor.page.getByRole("button", { name: "Sign out" }).click();
  await visitor.page.getByRole("heading", { name: "Sign in" }).waitFor();
});
