// Home as a visitor uses it. Knows labels and roles only, so that it works against any server.
import type { Page } from "playwright-core";

export class HomePage {
  readonly page: Page;
  readonly url: string;

  constructor(page: Page, url: string) {
    this.page = page;
    this.url = url;
  }

  async open(): Promise<void> {
    await this.page.goto(`${this.url}/#/`);
    await this.page.getByRole("heading", { level: 1, name: "Corpora" }).waitFor();
  }

  async chooseFiles(files: { name: string; mimeType: string; buffer: Buffer }[] | string[]): Promise<void> {
    await this.page.getByTestId("file-field").setInputFiles(files as string[]);
  }

  async trySample(): Promise<void> {
    await this.page.getByRole("button", { name: "Try the sample corpus" }).click();
  }

  corpus(name: string) {
    return this.page.getByRole("article").filter({ hasText: name });
  }

  async openCorpus(name: string): Promise<void> {
    await this.page.getByRole("link", { name }).click();
  }

  async deleteCorpus(name: string): Promise<void> {
    await this.page.getByRole("button", { name: `Delete corpus ${name}` }).click();
    await this.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  }
}
