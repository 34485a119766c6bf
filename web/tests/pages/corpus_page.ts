// The corpus screen as a visitor uses it: documents, questions, answers, the source.
import type { Locator, Page } from "playwright-core";

export class CorpusPage {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  get questionBox(): Locator {
    return this.page.getByLabel("Question", { exact: true });
  }

  get askButton(): Locator {
    return this.page.getByRole("button", { name: "Ask", exact: true });
  }

  get stopButton(): Locator {
    return this.page.getByRole("button", { name: "Stop", exact: true });
  }

  get answers(): Locator {
    return this.page.getByTestId("answer");
  }

  get lastAnswer(): Locator {
    return this.answers.last();
  }

  get answerText(): Locator {
    return this.lastAnswer.getByTestId("answer-text");
  }

  get footer(): Locator {
    return this.lastAnswer.getByTestId("answer-footer");
  }

  get progress(): Locator {
    return this.page.getByTestId("ingest-progress");
  }

  get uploads(): Locator {
    return this.page.getByTestId("uploads");
  }

  get highlightBoxes(): Locator {
    return this.page.getByTestId("highlight-box");
  }

  get sourceText(): Locator {
    return this.page.getByTestId("source-text");
  }

  get openQuote(): Locator {
    return this.page.getByTestId("open-quote");
  }

  get chips(): Locator {
    return this.answerText.getByRole("button", { name: /^Citation \d+,/ });
  }

  /** Whether the mark in the text lies inside its pane, and what it holds. */
  async markedText(): Promise<{ text: string; inView: boolean }> {
    const mark = this.sourceText.locator("mark");
    await mark.waitFor();
    return mark.evaluate((element) => {
      const [own, pane] = [element.getBoundingClientRect(), element.closest("[tabindex]")!.getBoundingClientRect()];
      return { text: (element as HTMLElement).innerText, inView: own.top >= pane.top && own.bottom <= pane.bottom };
    });
  }

  chip(number: number): Locator {
    return this.answerText.getByRole("button", { name: new RegExp(`^Citation ${number},`) });
  }

  document(name: string): Locator {
    return this.page.getByRole("button", { name, exact: true });
  }

  /** Waits until at least one document can be asked, types, and sends with Enter. */
  async ask(question: string): Promise<void> {
    await this.page.getByPlaceholder("Ask about these documents").waitFor({ timeout: 300_000 });
    await this.questionBox.fill(question);
    await this.questionBox.press("Enter");
    await this.answers.filter({ hasText: question }).last().waitFor();
  }

  /** The footer stands under an answer only when it is finished. */
  async waitForAnswer(): Promise<void> {
    await this.footer.waitFor({ timeout: 300_000 });
  }

  /** Earlier turns have a part in what is answered. */
  async beginConversation(): Promise<void> {
    await this.page.getByRole("link", { name: "New conversation" }).click();
    await this.answers.first().waitFor({ state: "detached" });
  }

  async chooseMode(mode: "auto" | "quote" | "free"): Promise<void> {
    await this.page.getByLabel("How to answer").selectOption(mode);
  }

  async addFiles(files: { name: string; mimeType: string; buffer: Buffer }[]): Promise<void> {
    await this.page.getByTestId("file-field").last().setInputFiles(files);
  }

  async deleteDocument(name: string): Promise<void> {
    await this.page.getByRole("button", { name: `Delete ${name}` }).click();
    await this.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  }
}
