// The sample corpus, jobs and the planner at the real service.
import { expect, it } from "vitest";
import { textFile } from "../browser/files.ts";
import { withService } from "./service.ts";
import { expectAccessible, picture, visitEmptyService } from "./visit.ts";

withService("the other screens", () => {
  const visit = visitEmptyService();

  async function expectAccessibleEverywhere() {
    const { visitor } = visit;
    await expectAccessible(visitor);
    await visitor.page.emulateMedia({ colorScheme: "dark" });
    await expectAccessible(visitor);
    await visitor.page.setViewportSize({ width: 400, height: 800 });
    await expectAccessible(visitor);
    await visitor.page.emulateMedia({ colorScheme: "light" });
    await visitor.page.setViewportSize({ width: 1280, height: 800 });
  }

  it("begins the sample corpus with one click, its first question in the box", async () => {
    const { home, corpus, visitor } = visit;
    await home.open();
    await visitor.page.getByRole("button", { name: "Who invented the Monotype machine?" }).click();
    await visitor.page.getByRole("heading", { level: 1, name: "sample" }).waitFor();
    expect(await corpus.questionBox.inputValue()).toBe("Who invented the Monotype machine?");
    await corpus.progress.getByText(/[\d,]+ of [\d,]+ tokens/).waitFor({ timeout: 300_000 });
    await expectAccessibleEverywhere();
  });

  it("lets a second corpus wait for its turn", async () => {
    const { home, corpus, visitor } = visit;
    await home.open();
    await home.chooseFiles([textFile("note.txt", "A note about the weather at Cape Vey.")]);
    await corpus.progress.getByText("Waiting for its turn").waitFor();
    expect(await corpus.progress.getByText(/No sign of life/).count()).toBe(0);
    await expectAccessible(visitor);
  });

  it("shows corpora with their progress", async () => {
    const { home } = visit;
    await home.open();
    await home.corpus("sample").getByText(/\d+\.\d %/).waitFor();
    await expectAccessibleEverywhere();
  });

  it("lists jobs and cancels one", async () => {
    const { corpus, visitor } = visit;
    await visitor.page.getByRole("link", { name: /^Jobs/ }).click();
    const running = visitor.page.getByRole("region", { name: "Running and waiting" }).getByTestId("job");
    const sample = running.filter({ hasText: "sample" });
    await sample.getByText(/[\d,]+ of [\d,]+ tokens, [\d.]+ %/).waitFor();
    await sample.getByText(/tokens\/s/).waitFor();
    await sample.getByText(/MB$/).waitFor();
    await expectAccessibleEverywhere();
    await sample.getByRole("button", { name: /^Cancel/ }).click();
    await sample.waitFor({ state: "detached", timeout: 240_000 });
    await running.waitFor({ state: "detached", timeout: 240_000 });
    await visitor.page.getByText("Nothing is running.").waitFor();
    await visitor.page.getByText("Finished", { exact: true }).click();
    const finished = visitor.page.getByRole("region", { name: "Finished" }).getByTestId("job");
    await finished.filter({ hasText: "sample" }).getByText("Cancelled").waitFor();
    await finished.filter({ hasText: "note" }).getByText("Done").waitFor();
    await finished.filter({ hasText: "note" }).getByRole("link", { name: "note" }).click();
    await corpus.document("note.txt").and(visitor.page.locator(":enabled")).waitFor();
  });

  it("plans what reading takes, with the numbers of the command line", async () => {
    const { visitor, service } = visit;
    await visitor.page.getByRole("link", { name: "Planner" }).click();
    await visitor.page.getByLabel("Model").selectOption("llama-4-scout");
    await visitor.page.getByRole("heading", { name: "Notes" }).waitFor();
    const plan = JSON.parse(await service.run("--json", "model", "plan", "1000000", "--of", "llama-4-scout", "--weights", "q4_1", "--kv", "int8")) as { kv_bytes_per_token: number };
    await visitor.page.getByText(`${(plan.kv_bytes_per_token / 1000).toFixed(1)} kB of state per token`).waitFor();
    await expectAccessibleEverywhere();
    await picture(visitor, "planner");
  });
});
