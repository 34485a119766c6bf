// The generated types and the snapshot of the server's description go together; a test of the server compares the snapshot
// with its handlers.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import openapiTS, { astToString, COMMENT_HEADER } from "openapi-typescript";
import { expect, it } from "vitest";

const SNAPSHOT = join(import.meta.dirname, "../../../crates/ibid/openapi.json");

it("has types of the description that the server gives", async () => {
  const nodes = await openapiTS(pathToFileURL(SNAPSHOT), { emptyObjectsUnknown: true });
  const current = `${COMMENT_HEADER}${astToString(nodes)}`;
  const kept = readFileSync(join(import.meta.dirname, "schema.ts"), "utf8");
  expect(kept === current, "src/api/schema.ts is older than crates/ibid/openapi.json: npm run api").toBe(true);
});
