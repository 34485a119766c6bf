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

  chip(number: number): Locator {
    return this.answerText.getByRole("button", { name: new RegExp(`^Citation ${number},`) });
  }

  document(name: string): Locator {
    return this.page.getByRole("button", { name, exact: true });
  }

  /** Waits until at least one document can be asked, types, and sends with Enter. */
  async ask(question: string): Promise<void> {
    await this.page.getByPlaceholder("Ask about these documents").waitFor({ timeout: 120_000 });
    await this.questionBox.fill(question);
    await this.questionBox.press("Enter");
    await this.answers.filter({ hasText: question }).last().waitFor();
  }

  /** The footer stands under an answer only when it is finished. */
  async waitForAnswer(): Promise<void> {
    await this.footer.waitFor({ timeout: 120_000 });
  }

  async addFiles(files: { name: string; mimeType: string; buffer: Buffer }[]): Promise<void> {
    await this.page.getByTestId("file-field").last().setInputFiles(files);
  }

  async deleteDocument(name: string): Promise<void> {
    await this.page.getByRole("button", { name: `Delete ${name}` }).click();
    await this.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  }
}
