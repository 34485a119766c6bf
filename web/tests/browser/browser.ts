// A Chromium for the tests: Debian's own, headless, without any request of its own, with a profile that is thrown away.
// IBID_CHROMIUM names another binary.
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type BrowserContext, type Page } from "playwright-core";
import { createMock, type Mock, type MockOptions } from "../mock/server.ts";

const EXECUTABLE = process.env.IBID_CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export interface Visitor {
  page: Page;
  context: BrowserContext;
  /** Errors of the console, uncaught exceptions and refusals of the content security policy. */
  complaints: string[];
  close: () => Promise<void>;
}

export interface VisitorOptions {
  width?: number;
  height?: number;
  dark?: boolean;
  contrast?: "more" | "no-preference";
  /** A finger instead of a mouse. */
  touch?: boolean;
}

export async function openBrowser(options: VisitorOptions = {}): Promise<Visitor> {
  if (!existsSync(EXECUTABLE)) throw new Error(`${EXECUTABLE} is missing: on Debian, apt-get install chromium`);
  const profile = await mkdtemp(join(tmpdir(), "ibid-web-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: EXECUTABLE,
    headless: true,
    args: FLAGS,
    viewport: { width: options.width ?? 1400, height: options.height ?? 900 },
    colorScheme: options.dark ? "dark" : "light",
    contrast: options.contrast ?? "no-preference",
    hasTouch: options.touch ?? false,
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = context.pages()[0] ?? (await context.newPage());
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(`exception: ${error.message}`));
  page.on("console", (message) => {
    // A refused request is reported by the browser too; tests that provoke one look at the page instead.
    if (message.type() === "error" && !message.text().includes("Failed to load resource")) complaints.push(message.text());
  });
  return {
    page,
    context,
    complaints,
    close: async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

export async function startMock(options: MockOptions = {}): Promise<{ mock: Mock; url: string }> {
  const dist = join(import.meta.dirname, "../../dist");
  if (!existsSync(join(dist, "index.html"))) throw new Error("the page is not built: npm run build");
  const mock = createMock({ tokenMs: 12, tickMs: 60, dist, ...options });
  return { mock, url: await mock.listen() };
}

export const SCREENSHOTS = join(import.meta.dirname, "../../screenshots");
