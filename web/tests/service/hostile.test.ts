// Markup and control characters in file names, documents, questions and answers: shown as text, never run. Whatever the
// content security policy refuses is a complaint of the browser, and fails the test at its end.
import { expect, it } from "vitest";
import { textFile } from "../browser/files.ts";
import { withService } from "./service.ts";
import { visitEmptyService } from "./visit.ts";

const IMAGE = "<img src=x onerror=window.ran=1>";
const SCRIPT = "<script>window.ran=1</script>";
const FACT = `The vault of Cape Vey ${IMAGE}${SCRIPT} holds nine barrels of tar.`;
const PAGE = `<!doctype html><title>${"&lt;svg onload=window.ran=1&gt;"} tariff</title><p>The tariff of Cape Vey is &lt;b onclick=window.ran=1&gt;four shillings&lt;/b&gt; a ton.</p><script>window.ran=1</script>`;

withService("text of strangers", () => {
  const visit = visitEmptyService();
  const nothingRan = async () => {
    expect(await visit.visitor.page.evaluate(() => (window as { ran?: number }).ran)).toBeUndefined();
    expect(await visit.visitor.page.locator("img[src=x], svg[onload], main script, b[onclick]").count()).toBe(0);
  };

  it("shows markup in names of files and of the corpus as it is", async () => {
    const { home, corpus, visitor } = visit;
    await home.open();
    await home.chooseFiles([
      textFile(`${IMAGE}.txt`, `${FACT}\n\nThe harbour is calm.`),
      textFile("bill\u202Efdp.txt", "The bill of Cape Vey is due on 4 May."),
      { name: "tariff.html", mimeType: "text/html", buffer: Buffer.from(PAGE) },
    ]);
    await visitor.page.getByRole("heading", { level: 1, name: IMAGE }).waitFor();
    await corpus.document(`${IMAGE}.txt`).and(visitor.page.locator(":enabled")).waitFor({ timeout: 240_000 });
    await visitor.page.getByRole("button", { name: /^bill.*202e.*fdp\.txt$/i }).first().waitFor();
    await corpus.document("tariff.html").and(visitor.page.locator(":enabled")).waitFor({ timeout: 240_000 });
    await nothingRan();
  });

  it("shows markup in questions, answers, quotes and sources as it is", async () => {
    const { corpus, visitor } = visit;
    await corpus.ask(`${IMAGE} How many barrels of tar does the vault of Cape Vey hold?`);
    await corpus.waitForAnswer();
    expect(await corpus.answerText.innerText()).toContain(FACT);
    await corpus.chip(1).hover();
    await visitor.page.getByRole("tooltip").getByText(FACT).waitFor();
    await corpus.chip(1).click();
    expect((await corpus.markedText()).text).toBe(FACT);
    await nothingRan();
    await visitor.page.reload();
    await corpus.waitForAnswer();
    await visitor.page.getByRole("button", { name: "History" }).click();
    await visitor.page.getByRole("region", { name: "Earlier conversations" }).getByText(IMAGE).waitFor();
    await nothingRan();
  });

  it("shows the text of a web page, not the page", async () => {
    const { corpus, visitor } = visit;
    await visitor.page.keyboard.press("Escape");
    await corpus.ask("What is the tariff of Cape Vey a ton?");
    await corpus.waitForAnswer();
    expect(await corpus.answerText.innerText()).toContain("<b onclick=window.ran=1>four shillings</b>");
    await corpus.chip(1).click();
    await corpus.sourceText.locator("mark").waitFor();
    await nothingRan();
  });

  it("never lets a browser open an original, and allows nothing inline or from elsewhere", async () => {
    const { service, visitor } = visit;
    const original = await visitor.page.getByRole("link", { name: "Open original" }).getAttribute("href");
    const reply = await fetch(service.url + original!);
    expect(reply.headers.get("content-disposition")).toMatch(/^attachment/);
    expect(reply.headers.get("x-content-type-options")).toBe("nosniff");
    const policy = (await fetch(service.url)).headers.get("content-security-policy")!;
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
  });
});
