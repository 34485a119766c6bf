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

  /** Drops files as a visitor does, from outside the page. */
  async dropFiles(files: { name: string; mimeType: string; buffer: Buffer }[]): Promise<void> {
    const plain = files.map(({ name, mimeType, buffer }) => ({ name, mimeType, content: buffer.toString("base64") }));
    const transfer = await this.page.evaluateHandle((dropped) => {
      const data = new DataTransfer();
      for (const { name, mimeType, content } of dropped) {
        const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
        data.items.add(new File([bytes], name, { type: mimeType }));
      }
      return data;
    }, plain);
    const zone = this.page.getByRole("group", { name: "Choose files" });
    await zone.dispatchEvent("dragenter", { dataTransfer: transfer });
    await zone.dispatchEvent("drop", { dataTransfer: transfer });
  }

  async trySample(): Promise<void> {
    await this.page.getByRole("button", { name: "Try the sample corpus" }).click();
  }

  corpus(name: string) {
    return this.page.getByRole("article").filter({ hasText: name });
  }

  async openCorpus(name: string): Promise<void> {
    await this.page.getByRole("link", { name }).click();
    // Both screens take files: what follows has to meet the corpus, not Home.
    await this.page.getByRole("heading", { level: 1, name: "Corpora" }).waitFor({ state: "detached" });
  }

  async deleteCorpus(name: string): Promise<void> {
    await this.page.getByRole("button", { name: `Delete corpus ${name}` }).click();
    await this.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  }
}
