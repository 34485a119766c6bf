// Answers while they are written: words come one by one, survive a reload and a broken connection, and can be stopped.
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { CorpusPage } from "../pages/corpus_page.ts";
import { HomePage } from "../pages/home_page.ts";
import { openBrowser, startMock, type Visitor } from "./browser.ts";
import type { Mock } from "../mock/server.ts";

let mock: Mock;
let visitor: Visitor;
let home: HomePage;
let corpus: CorpusPage;

beforeAll(async () => {
  const started = await startMock({ tokenMs: 15 });
  mock = started.mock;
  visitor = await openBrowser();
  home = new HomePage(visitor.page, started.url);
  corpus = new CorpusPage(visitor.page);
});
beforeEach(async () => {
  await home.open();
  await home.openCorpus("Harbour Authority reports");
});
afterAll(async () => {
  expect(visitor.complaints).toEqual([]);
  await visitor.close();
  await mock.close();
});

it("writes word by word, and says what it does before the first", async () => {
  await corpus.ask("slow: how much did revenue grow?");
  await corpus.lastAnswer.getByText(/Opening 24.1 MB of stored state|Opened 24.1 MB/).waitFor();
  await corpus.answerText.getByText("Revenue rose").waitFor();
  expect(await corpus.footer.count()).toBe(0);
  await corpus.waitForAnswer();
});

it("takes the stream up again after a reload", async () => {
  await corpus.ask("slow: how much did revenue grow, please?");
  await corpus.answerText.getByText("Revenue rose").waitFor();
  await visitor.page.reload();
  await corpus.answerText.getByText("Revenue rose").waitFor();
  expect(await corpus.stopButton.count()).toBe(1);
  await corpus.waitForAnswer();
  expect(await corpus.answers.count()).toBe(1);
  expect(await corpus.answerText.innerText()).toContain("Nobody was injured.");
  expect([...mock.state.answers.values()].filter(({ answer }) => answer.question.includes("please"))).toHaveLength(1);
});

it("finds the running answer even where the address names no conversation", async () => {
  const url = visitor.page.url();
  await corpus.ask("slow: how much did revenue grow, again?");
  await corpus.answerText.getByText("Revenue").waitFor();
  await visitor.page.goto("about:blank");
  await visitor.page.goto(url);
  await corpus.answerText.getByText("Revenue").waitFor();
  await corpus.waitForAnswer();
});

it("leaves a running answer to the server when a new conversation is begun", async () => {
  await corpus.ask("slow: how much did revenue grow, alone?");
  await corpus.answerText.getByText("Revenue").waitFor();
  await visitor.page.getByRole("link", { name: "New conversation" }).click();
  await visitor.page.getByText("Ask for a fact").waitFor();
  await visitor.page.getByRole("button", { name: "History" }).click();
  await visitor.page.getByRole("link", { name: /grow, alone/ }).click();
  await corpus.waitForAnswer();
});

it("comes back by itself when the connection breaks, and misses no word", async () => {
  await corpus.ask("drop: how much did revenue grow?");
  await corpus.lastAnswer.getByText("The connection broke").waitFor();
  await corpus.waitForAnswer();
  expect(await corpus.answerText.innerText()).toContain("Revenue rose by 12 % to $4.1 billion 📈.");
});

it("stops on Escape and keeps what was written", async () => {
  await corpus.ask("slow: how much did revenue grow, stop?");
  await corpus.answerText.getByText("Revenue rose").waitFor();
  await visitor.page.keyboard.press("Escape");
  await corpus.lastAnswer.getByText("Stopped. What was written so far is kept.").waitFor();
  expect(await corpus.answerText.innerText()).not.toContain("injured");
  await corpus.askButton.waitFor();
});

it("says when an answer breaks off, with the server's reason", async () => {
  await corpus.ask("Please fail");
  const alert = corpus.lastAnswer.getByRole("alert");
  await alert.getByText("did not match its checksum").waitFor();
  await alert.getByText("engine_stopped").waitFor();
  await alert.getByText("Request req_42").waitFor();
});

it("says when the corpus holds no answer, and what is related but no evidence", async () => {
  await corpus.ask("What is the weather like?");
  await corpus.waitForAnswer();
  await corpus.lastAnswer.getByText("Not in these documents").waitFor();
  await corpus.lastAnswer.getByRole("heading", { name: "Related, not evidence" }).waitFor();
  await corpus.lastAnswer.getByRole("button", { name: /lighthouse at Cape Vey/ }).click();
  await corpus.sourceText.locator("mark").getByText("Ada Thornbury").waitFor();
});

it("gives a refused question back", async () => {
  await visitor.page.getByPlaceholder("Ask about these documents").waitFor();
  await corpus.questionBox.fill("Why? ".repeat(900));
  await corpus.questionBox.press("Enter");
  await visitor.page.getByText("The question was not accepted.").waitFor();
  expect(await corpus.questionBox.inputValue()).toContain("Why?");
});

it("announces whole sentences, not words", async () => {
  await corpus.ask("slow: how much did revenue grow, aloud?");
  await corpus.waitForAnswer();
  const said = await visitor.page.getByRole("log").locator("p").allInnerTexts();
  expect(said).toContain("Most of it came from containers at the western quay.");
  expect(said.filter((line) => /^\w+$/.test(line.trim()))).toEqual([]);
  expect(said.at(-1)).toBe("Answer complete.");
});
