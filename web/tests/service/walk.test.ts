// The main path at the real service, from an empty data folder: drop files, watch them being read, ask while others still
// are, follow a chip to the highlighted source.
import { expect, it } from "vitest";
import { textFile } from "../browser/files.ts";
import { inkUnderBoxes } from "../browser/ink.ts";
import { withService } from "./service.ts";
import { expectAccessible, picture, sampleFile, visitEmptyService } from "./visit.ts";

const FACT = "The lighthouse 𝒢 at Cape Vey was electrified in 1931 by Ada Thornbury.";
const FILLER = "The harbour authority keeps a ledger of every vessel that enters the basin, and the ledger is long.\n\n";
const LETTER = `𝒜 letter 👍🏽 to the shareholders.\n\n${FILLER.repeat(30)}${FACT}\n\n${FILLER.repeat(10)}`;

withService("from an empty folder to the highlighted source", () => {
  const visit = visitEmptyService();

  it("makes a corpus from dropped files and shows how far it is", async () => {
    const { home, corpus, visitor } = visit;
    await home.open();
    await visitor.page.getByText("Nothing has been read yet").waitFor();
    await home.dropFiles([textFile("annual letter.txt", LETTER), await sampleFile("asme-paper.pdf", "application/pdf")]);
    await visitor.page.getByRole("heading", { level: 1, name: "annual letter" }).waitFor();
    await corpus.uploads.getByText("2 of 2 files sent").waitFor();
    await corpus.progress.getByText(/[\d,]+ of [\d,]+ tokens, [\d,.]+ tokens\/s/).waitFor({ timeout: 240_000 });
    await corpus.progress.getByText(/about \d+ (s|min)/).waitFor();
    await corpus.progress.getByText(/MB of state written/).waitFor();
  });

  it("answers about finished documents while others are being read", async () => {
    const { corpus, visitor } = visit;
    await corpus.ask("Who electrified the lighthouse at Cape Vey?");
    await corpus.waitForAnswer();
    expect(await corpus.progress.count()).toBe(1);
    expect(await corpus.answerText.innerText()).toContain("Ada Thornbury");
    await corpus.chip(1).waitFor();
    expect(await corpus.footer.innerText()).toMatch(/^0 tokens re-read, first token [\d.]+ s, 1\/1 quotes verified$/);
    await picture(visitor, "reading");
  });

  it("shows the quote and its verification when a chip has the pointer", async () => {
    const { corpus, visitor } = visit;
    await corpus.chip(1).hover();
    const tooltip = visitor.page.getByRole("tooltip");
    await tooltip.getByText("Quote found word for word").waitFor();
    await tooltip.getByText(FACT).waitFor();
    await visitor.page.mouse.move(2, 2);
  });

  it("opens text at the quote, counted in code points", async () => {
    const { corpus } = visit;
    await corpus.chip(1).click();
    expect(await corpus.markedText()).toEqual({ text: FACT, inView: true });
  });

  it("opens a PDF at the page, with ink under every box", async () => {
    const { corpus, visitor } = visit;
    await corpus.progress.waitFor({ state: "detached", timeout: 180_000 });
    await corpus.document("asme-paper.pdf").and(visitor.page.locator(":enabled")).waitFor();
    await corpus.ask("Since when has the author of the asmeconf class published in ASME conferences?");
    await corpus.waitForAnswer();
    expect(await corpus.answerText.innerText()).toContain("1983");
    await corpus.chip(1).click();
    await corpus.highlightBoxes.first().waitFor();
    const ink = await inkUnderBoxes(visitor.page);
    expect(ink.margin).toBe(0);
    expect(Math.min(...ink.boxes)).toBeGreaterThan(0.05);
    await corpus.openQuote.getByText("published in ASME conferences since 1983").waitFor();
    await picture(visitor, "source-pdf");
    await visitor.page.getByRole("button", { name: "Text", exact: true }).click();
    expect((await corpus.markedText()).text.replaceAll("\n", " ")).toContain("published in ASME conferences since 1983");
    await visitor.page.getByRole("button", { name: "Pages", exact: true }).click();
  });

  it("keeps answer and source over a reload", async () => {
    const { corpus, visitor } = visit;
    await visitor.page.reload();
    await corpus.highlightBoxes.first().waitFor();
    await corpus.waitForAnswer();
    expect(await corpus.answers.count()).toBe(2);
  });

  it("shows where the model looked and opens a place of it", async () => {
    const { corpus, visitor } = visit;
    const strip = corpus.lastAnswer.getByRole("img", { name: "The corpus as one band of 2 documents" });
    await strip.scrollIntoViewIfNeeded();
    const box = (await strip.boundingBox())!;
    await visitor.page.mouse.click(box.x + box.width * 0.02, box.y + 40);
    await visitor.page.waitForFunction(() => /document=doc_[^&]+&start=\d+$/.test(location.hash));
    await corpus.sourceText.waitFor();
  });

  it("computes the same answer again", async () => {
    const { corpus, visitor } = visit;
    await corpus.lastAnswer.getByRole("button", { name: "Replay" }).click();
    await visitor.page.getByText("The replay is identical").first().waitFor();
  });

  it("walks citations by keyboard", async () => {
    const { corpus, visitor } = visit;
    await visitor.page.getByRole("heading", { level: 1 }).click();
    await visitor.page.keyboard.press("j");
    await visitor.page.keyboard.press("k");
    await visitor.page.keyboard.press("o");
    expect((await corpus.markedText()).text).toBe(FACT);
    await visitor.page.keyboard.press("j");
    await visitor.page.keyboard.press("o");
    await corpus.highlightBoxes.first().waitFor();
  });

  it("is accessible with an answer and its source, light, dark and at 400 px", async () => {
    const { visitor, corpus } = visit;
    // With the notice of the replay, if it still stands there.
    await expectAccessible(visitor);
    await visitor.page.getByRole("region", { name: "Notices" }).getByText("replay").waitFor({ state: "detached" });
    await visitor.page.emulateMedia({ colorScheme: "dark" });
    await expectAccessible(visitor);
    await picture(visitor, "source-pdf-dark");
    await visitor.page.setViewportSize({ width: 400, height: 800 });
    await visitor.page.reload();
    await corpus.highlightBoxes.first().waitFor();
    await expectAccessible(visitor);
    await visitor.page.emulateMedia({ colorScheme: "light" });
    await visitor.page.getByRole("button", { name: "Hide source" }).click();
    await corpus.waitForAnswer();
    await expectAccessible(visitor);
    await picture(visitor, "answer-narrow");
    await visitor.page.setViewportSize({ width: 1280, height: 800 });
  });

  it("says when the documents hold no answer", async () => {
    const { corpus } = visit;
    await corpus.ask("What does a train ticket from Oslo to Bergen cost?");
    await corpus.waitForAnswer();
    await corpus.lastAnswer.getByText("Not in these documents").waitFor();
    await corpus.lastAnswer.getByRole("heading", { name: "Related, not evidence" }).waitFor();
  });

  it("keeps the conversation at the server", async () => {
    const { corpus, visitor } = visit;
    await visitor.page.getByRole("link", { name: "New conversation" }).click();
    await visitor.page.getByRole("button", { name: "History" }).click();
    await visitor.page.getByRole("region", { name: "Earlier conversations" }).getByRole("link", { name: /electrified the lighthouse/ }).click();
    await corpus.answers.nth(2).waitFor();
    expect(await corpus.answers.count()).toBe(3);
  });

  it("shows what it holds beside what is being read", async () => {
    const { home, corpus, visitor } = visit;
    await home.open();
    await home.trySample();
    await corpus.progress.getByText(/[\d,]+ of [\d,]+ tokens/).waitFor({ timeout: 300_000 });
    await home.open();
    await home.corpus("annual letter").getByText("Ready").waitFor();
    await home.corpus("sample").getByText(/tokens, about/).waitFor();
    await picture(visitor, "home");
  });
});
