// What goes wrong at the real service, and what is said then: refused files, a server that goes away, deleted things.
import { expect, it } from "vitest";
import { textFile } from "../browser/files.ts";
import { withService } from "./service.ts";
import { visitEmptyService } from "./visit.ts";

const FACT = "The invoice of the tug Meridian was paid on 3 March by the harbour office.";

withService("when something goes wrong", () => {
  const visit = visitEmptyService();

  it("refuses a program that was dropped alone, and takes a document after it", async () => {
    const { home, corpus, visitor } = visit;
    await home.open();
    await home.chooseFiles([{ name: "setup.exe", mimeType: "application/octet-stream", buffer: Buffer.from("MZ\0\0\x01\x02\x03\xff\xfe") }]);
    await corpus.uploads.getByText(/^Refused: /).waitFor();
    expect(await corpus.uploads.getByRole("button", { name: /again/ }).count()).toBe(0);
    await corpus.addFiles([textFile("invoice.txt", `${FACT}\n\nIt was a calm day.`)]);
    await corpus.document("invoice.txt").and(visitor.page.locator(":enabled")).waitFor({ timeout: 240_000 });
  });

  it("names each file that was refused among others, and why", async () => {
    const { corpus, visitor } = visit;
    await corpus.addFiles([
      textFile("empty.txt", ""),
      textFile("invoice.txt", `${FACT}\n\nIt was a calm day.`),
      textFile("note.txt", "A note about the weather."),
      { name: "broken.pdf", mimeType: "application/pdf", buffer: Buffer.from("%PDF-1.7\nnothing of a PDF follows") },
    ]);
    await corpus.uploads.getByText(/^Refused: the file holds no bytes/).waitFor();
    await corpus.uploads.getByText("Already here, unchanged").waitFor();
    await corpus.document("note.txt").and(visitor.page.locator(":enabled")).waitFor({ timeout: 240_000 });
    await corpus.document("broken.pdf").waitFor();
    await visitor.page.getByRole("listitem").filter({ hasText: "broken.pdf" }).getByText("Failed").first().waitFor();
  });

  it("says when the server is away, and goes on by itself when it is back", async () => {
    const { corpus, visitor, service } = visit;
    await corpus.ask("When was the invoice of the tug Meridian paid?");
    await corpus.waitForAnswer();
    await service.stop();
    await corpus.questionBox.fill("Who paid the invoice of the tug Meridian?");
    await corpus.questionBox.press("Enter");
    await visitor.page.getByText("The question was not accepted.").waitFor();
    expect(await corpus.questionBox.inputValue()).toBe("Who paid the invoice of the tug Meridian?");
    await visitor.page.reload({ waitUntil: "commit" }).catch(() => {});
    await service.restart();
    await visitor.page.goto(`${service.url}/#/`);
    await visit.home.openCorpus("setup");
    await visitor.page.getByRole("button", { name: "History" }).click();
    await visitor.page.getByRole("link", { name: /When was the invoice/ }).click();
    expect(await corpus.answerText.innerText()).toContain("3 March");
  });

  it("comes back by itself when the server restarts under the open page", async () => {
    const { corpus, visitor, service } = visit;
    await visitor.page.goto(`${service.url}/#/jobs`);
    await visitor.page.getByRole("heading", { level: 1, name: "Jobs" }).waitFor();
    await service.stop("SIGKILL");
    await visitor.page.getByText("The server does not answer").waitFor();
    await service.restart();
    await visitor.page.getByText("The server does not answer").waitFor({ state: "detached", timeout: 30_000 });
    await visitor.page.getByText("Finished", { exact: true }).click();
    await visitor.page.getByTestId("job").first().waitFor();
    await visitor.page.goBack();
    await corpus.document("invoice.txt").waitFor();
  });

  it("deletes a document: answers that cite it say so and no longer show what it said", async () => {
    const { corpus, visitor } = visit;
    expect(await corpus.answerText.innerText()).toContain("3 March");
    await corpus.deleteDocument("invoice.txt");
    await visitor.page.getByText(/Deleted\. .* freed in \d+ files?\./).first().waitFor();
    await corpus.document("invoice.txt").waitFor({ state: "detached" });
    await visitor.page.reload();
    await corpus.lastAnswer.getByText("source removed", { exact: true }).waitFor();
    expect(await corpus.chip(1).getAttribute("aria-disabled")).toBe("true");
    expect(await visitor.page.locator("main").innerText()).not.toContain("3 March");
    await corpus.lastAnswer.getByText("What rested on it is blacked out.").waitFor();
  });

  it("makes a second corpus of the same name", async () => {
    const { home, corpus, visitor } = visit;
    await home.open();
    await home.chooseFiles([textFile("setup.txt", "Nothing of importance.")]);
    await visitor.page.getByRole("heading", { level: 1, name: "setup 2" }).waitFor();
    await corpus.document("setup.txt").and(visitor.page.locator(":enabled")).waitFor({ timeout: 240_000 });
  });

  it("deletes a corpus", async () => {
    const { home, visitor } = visit;
    await home.open();
    await home.deleteCorpus("setup 2");
    await visitor.page.getByText(/Deleted\. .* freed in \d+ files\./).first().waitFor();
    await home.corpus("setup 2").waitFor({ state: "detached" });
    await visitor.page.goto(`${visit.service.url}/#/corpora/corp_01K00000000000000000000000`);
    await visitor.page.getByText("There is nothing at this address.").waitFor();
  });
});
