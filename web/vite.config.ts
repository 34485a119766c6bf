// How the page is built: hashed files under dist/assets, nothing inline, so that a strict content security policy holds.
// `npm run dev` talks to an `ibid serve` on port 8080; `npm run mock` answers from tests/mock and needs no server.
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig, type PluginOption } from "vite";

function mockServer(): PluginOption {
  return {
    name: "mock-server",
    async configureServer(server) {
      const { createMock } = await import("./tests/mock/server.ts");
      const mock = createMock();
      server.middlewares.use((request, response, next) => {
        if (request.url?.startsWith("/v1/")) mock.handle(request, response);
        else next();
      });
    },
  };
}

export default defineConfig(({ mode }) => ({
  plugins: [svelte(), mode === "mock" ? mockServer() : null],
  build: {
    target: "es2022",
    // A data: URI in a script or style sheet would need a wider policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: mode === "mock" ? {} : { proxy: { "/v1": "http://127.0.0.1:8080" } },
}));
