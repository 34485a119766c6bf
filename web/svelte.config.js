// Svelte: runes everywhere, and style sheets as files (the content security policy refuses inline styles).
import { vitePreprocess } from "@sveltejs/vite-plugin-svelte";

export default {
  preprocess: vitePreprocess(),
  compilerOptions: { runes: true, css: "external" },
};
