// Answers of the real service while they are written: over a reload, stopped, in the line behind others.
import { expect, it } from "vitest";
import { withService } from "./service.ts";
import { corpusIdOf, keepBusy, sampleFile, visitEmptyService } from "./visit.ts";

const CONSTITUTION = "debian-constitution.docx";
/** What the service runs at a time, if nothing else is configured. */
const AT_ONCE = 8;

withService("answers while they are written", () => {
  const visit = visitEmptyService();

  it("reads a document", async () => {
    const { home, corpus, visitor } = visit;
    await home.open();
    await home.chooseFiles([await sampleFile(CONSTITUTION, "application/vnd.openxmlformats-officedocument.wordprocessingml.document")]);
    await corpus.document(CONSTITUTION).and(visitor.page.locator(":enabled")).waitFor({ timeout: 300_000 });
  });

  it("takes the stream up again after a reload in its middle", async () => {
    const { corpus, visitor, service } = visit;
    const release = await keepBusy(service.url, corpusIdOf(visitor), AT_ONCE - 2);
    await corpus.chooseMode("free");
    await corpus.ask("Describe in detail the powers of the Technical Committee.");
    await corpus.answerText.filter({ hasText: /\w+ \w+/ }).waitFor({ timeout: 120_000 });
    await visitor.page.reload();
    // The reload came in time: the answer is still being written.
    await corpus.stopButton.waitFor();
    await corpus.answerText.filter({ hasText: /\w+ \w+/ }).waitFor({ timeout: 120_000 });
    await release();
    await corpus.waitForAnswer();
    expect(await corpus.answers.count()).toBe(1);
    const shown = (await corpus.answerText.innerText()).length;
    await visitor.page.reload();
    await corpus.waitForAnswer();
    // Word for word what is stored: nothing came twice, nothing was left out.
    expect((await corpus.answerText.innerText()).length).toBe(shown);
  });

  it("stops on Escape, keeps what was written, over a reload too", async () => {
    const { corpus, visitor, service } = visit;
    await corpus.beginConversation();
    const release = await keepBusy(service.url, corpusIdOf(visitor), AT_ONCE - 2);
    await corpus.chooseMode("free");
    await corpus.ask("Describe in detail the powers of the Technical Committee.");
    await corpus.answerText.filter({ hasText: /\w+ \w+/ }).waitFor({ timeout: 120_000 });
    await visitor.page.keyboard.press("Escape");
    await corpus.lastAnswer.getByText("Stopped. What was written so far is kept.").waitFor();
    await corpus.askButton.waitFor();
    const written = await corpus.answerText.innerText();
    expect(written.length).toBeGreaterThan(3);
    await release();
    await visitor.page.reload();
    await corpus.lastAnswer.getByText("Stopped. What was written so far is kept.").waitFor();
    expect(await corpus.answerText.innerText()).toBe(written);
  });

  it("says that a question waits for its turn, and stops it there", async () => {
    const { corpus, visitor, service } = visit;
    const release = await keepBusy(service.url, corpusIdOf(visitor), 3 * AT_ONCE);
    await corpus.ask("How many Developers can the Technical Committee have?");
    await corpus.lastAnswer.getByText("Waiting for the engine").waitFor();
    await corpus.stopButton.click();
    await corpus.lastAnswer.getByText("Stopped before the first word.").waitFor();
    await release();
  });

  it("announces whole sentences", async () => {
    const { corpus, visitor } = visit;
    await corpus.beginConversation();
    await corpus.ask("How many Developers\ncan the Technical Committee have?");
    await corpus.waitForAnswer();
    const said = await visitor.page.getByRole("log").locator("p").allInnerTexts();
    expect(said.at(-1)).toBe("Answer complete.");
    expect(said.join(" ")).toContain("up to 8 Developers");
  });
});
