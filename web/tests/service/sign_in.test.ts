// A service with keys: the sign-in card, the session that scripts cannot read, and its end.
import { expect, it } from "vitest";
import { withService } from "./service.ts";
import { expectAccessible, visitEmptyService } from "./visit.ts";

withService("signing in", () => {
  const visit = visitEmptyService();
  let secret = "";
  let keyId = "";
  const card = () => visit.visitor.page.getByRole("heading", { name: "Sign in" });

  async function signIn(key: string) {
    await visit.visitor.page.getByLabel("Key", { exact: true }).fill(key);
    await visit.visitor.page.keyboard.press("Enter");
  }

  it("asks nobody for a key while there is none", async () => {
    const { home, visitor } = visit;
    await home.open();
    await visitor.page.getByText("Open on this machine").waitFor();
  });

  it("asks for one as soon as there is one, in an open page too", async () => {
    const { visitor, service } = visit;
    const made = await service.run("key", "create", "--owner", "local");
    secret = /\bibid_\w+/.exec(made)![0];
    keyId = /\bkey_\w+/.exec(await service.run("key", "list"))![0];
    await visitor.page.getByRole("link", { name: "Planner" }).click();
    await card().waitFor();
    await visitor.page.reload();
    await card().waitFor();
  });

  it("is accessible, light, dark and at 400 px", async () => {
    const { visitor } = visit;
    await expectAccessible(visitor);
    await visitor.page.emulateMedia({ colorScheme: "dark" });
    await visitor.page.setViewportSize({ width: 400, height: 800 });
    await expectAccessible(visitor);
    await visitor.page.emulateMedia({ colorScheme: "light" });
    await visitor.page.setViewportSize({ width: 1280, height: 800 });
  });

  it("refuses a wrong key and leads to what was asked for with the right one", async () => {
    const { visitor } = visit;
    await signIn("ibid_wrong");
    await visitor.page.getByText("The server does not know this key").waitFor();
    await expectAccessible(visitor);
    await signIn(secret);
    await visitor.page.getByRole("heading", { level: 1, name: "Planner" }).waitFor();
    await visitor.page.getByText("Signed in as local").waitFor();
  });

  it("keeps neither key nor session where scripts could read it", async () => {
    const { visitor } = visit;
    const readable = await visitor.page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage, cookie: document.cookie }));
    expect(readable).not.toContain(secret);
    expect(readable).not.toContain("ibid_session");
    const cookie = (await visitor.context.cookies()).find(({ name }) => name === "ibid_session");
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: "Strict" });
    expect(cookie?.value).not.toBe(secret);
  });

  it("signs out, and again in", async () => {
    const { visitor } = visit;
    await visitor.page.getByRole("button", { name: "Sign out" }).click();
    await card().waitFor();
    await visitor.page.reload();
    await card().waitFor();
    await signIn(secret);
    await visitor.page.getByText("Signed in as local").waitFor();
  });

  it("ends with its key", async () => {
    const { home, visitor, service } = visit;
    await service.run("key", "create", "--owner", "local", "--name", "second");
    await service.run("key", "revoke", keyId);
    await visitor.page.getByRole("link", { name: "Corpora", exact: true }).click();
    await card().waitFor();
    await home.page.reload();
    await card().waitFor();
  });
});
