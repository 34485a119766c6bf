// Three test projects: `unit` (pure functions; components in jsdom, which their files ask for), `browser` (a real Chromium
// against the mock server) and `service` (the same against a real `ibid serve` with a real model).
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { svelteTesting } from "@testing-library/svelte/vite";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      {
        plugins: [svelte(), svelteTesting()],
        // Files share their modules: loading Svelte again for each would take longer than all the tests.
        test: { name: "unit", environment: "node", isolate: false, include: ["src/**/*.test.ts", "tests/*.test.ts"] },
      },
      {
        test: {
          name: "browser",
          environment: "node",
          include: ["tests/browser/*.test.ts"],
          // One browser at a time: the tests share a machine with whatever else runs there.
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "service",
          environment: "node",
          include: ["tests/service/*.test.ts"],
          fileParallelism: false,
          testTimeout: 360_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
