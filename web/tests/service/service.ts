// A real `ibid serve` with a real model, on a port of its own and a data folder that is thrown away. IBID_TEST_MODEL names
// the model file: without it these tests are skipped, with one that cannot be used they fail. IBID_TEST_PROGRAM names the
// program; if not given, it is the one that `cargo build` leaves.
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe } from "vitest";

const MODEL = process.env.IBID_TEST_MODEL;
const WEB = resolve(import.meta.dirname, "../..");
const PROGRAM = resolve(WEB, process.env.IBID_TEST_PROGRAM ?? "../target/debug/ibid");
const START_MS = 60_000;
const EXIT_MS = 30_000;

if (!MODEL) console.log("skipped: IBID_TEST_MODEL names no model file");

/** Tests against the real service; skipped where there is no model. */
export const withService = describe.skipIf(!MODEL);

export class Service {
  url = "";
  readonly data: string;
  #process: ChildProcess | null = null;
  #said = "";

  private constructor(data: string) {
    this.data = data;
  }

  static async start(): Promise<Service> {
    if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: cargo build --workspace --bins`);
    const service = new Service(await mkdtemp(join(tmpdir(), "ibid-service-")));
    try {
      await service.listen("127.0.0.1:0");
      const page = await (await fetch(service.url)).text();
      if (!page.includes("<script")) throw new Error("the program was built without its page: npm run build, then build it again");
    } catch (error) {
      await service.close();
      throw error;
    }
    return service;
  }

  async listen(address: string): Promise<void> {
    this.#said = "";
    const child = spawn(PROGRAM, ["--data", this.data, "serve", "--address", address], { env: this.#environment(), stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    const said = new Promise<void>((done, failed) => {
      const hear = (piece: Buffer) => {
        this.#said += piece.toString();
        const found = /listens on (http:\/\/[0-9.:]+)\//.exec(this.#said);
        if (found) {
          this.url = found[1]!;
          done();
        }
      };
      child.stdout.on("data", hear);
      child.stderr.on("data", hear);
      child.on("exit", (code) => failed(new Error(`ibid serve ended with ${code}:\n${this.#said}`)));
      setTimeout(() => failed(new Error(`ibid serve does not listen after ${START_MS / 1000} s:\n${this.#said}`)), START_MS).unref();
    });
    await said;
  }

  /** Another command on the same data folder while the service runs; its output. */
  async run(...args: string[]): Promise<string> {
    const child = spawn(PROGRAM, ["--data", this.data, ...args], { env: this.#environment(), stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    child.stdout.on("data", (piece: Buffer) => (out += piece.toString()));
    child.stderr.on("data", (piece: Buffer) => (out += piece.toString()));
    const code = await new Promise((done) => child.on("close", done));
    if (code !== 0) throw new Error(`ibid ${args.join(" ")} ended with ${code}:\n${out}`);
    return out;
  }

  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null) return;
    const gone = new Promise((done) => child.once("exit", done));
    child.kill(signal);
    const late = setTimeout(() => child.kill("SIGKILL"), EXIT_MS);
    await gone;
    clearTimeout(late);
  }

  /** Again at the same address, where the page looks for it. */
  async restart(): Promise<void> {
    await this.listen(new URL(this.url).host);
  }

  async close(): Promise<void> {
    await this.stop();
    await rm(this.data, { recursive: true, force: true, maxRetries: 5 });
  }

  #environment(): NodeJS.ProcessEnv {
    return { ...process.env, IBID_MODEL: resolve(MODEL ?? "") };
  }
}
