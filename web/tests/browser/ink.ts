// What a page's picture shows under a highlight: read from its pixels, not from what anybody says about them.
import type { Page } from "playwright-core";

/** Share of dark pixels of the page's picture under each box, and along the page's left edge, where nothing is printed. */
export async function inkUnderBoxes(page: Page): Promise<{ boxes: number[]; margin: number }> {
  return page.evaluate(async () => {
    const boxes = [...document.querySelectorAll<HTMLElement>('[data-testid="highlight-box"]')];
    const image = boxes[0]!.parentElement!.querySelector("img")!;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const context = canvas.getContext("2d")!;
    context.drawImage(image, 0, 0);
    const shown = image.getBoundingClientRect();
    const scale = image.naturalWidth / shown.width;
    const ink = (left: number, top: number, width: number, height: number) => {
      const { data } = context.getImageData(left * scale, top * scale, width * scale, height * scale);
      let dark = 0;
      for (let at = 0; at < data.length; at += 4) if (data[at]! < 128) dark += 1;
      return dark / (data.length / 4);
    };
    return {
      boxes: boxes.map((element) => {
        const box = element.getBoundingClientRect();
        return ink(box.left - shown.left, box.top - shown.top, box.width, box.height);
      }),
      margin: ink(0, 0, shown.width * 0.02, shown.height),
    };
  });
}
