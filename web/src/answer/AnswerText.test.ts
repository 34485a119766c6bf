// Chips inside the text of an answer, as a reader and a screen reader find them.
// @vitest-environment jsdom
import { fireEvent, render, screen } from "@testing-library/svelte";
import { expect, it, vi } from "vitest";
import AnswerText from "./AnswerText.svelte";
import { answer, citation } from "./testing";

function show(fields: Parameters<typeof answer>[0]) {
  const onopen = vi.fn();
  const { container } = render(AnswerText, {
    answer: answer(fields),
    running: false,
    selected: null,
    openId: null,
    onselect: vi.fn(),
    onopen,
  });
  return { onopen, text: container.querySelector<HTMLElement>("[data-testid=answer-text]")! };
}

it("draws the server's text, numbers only as chips, each after its span", () => {
  const { text } = show({
    text: "𝒜 rose 👍. It fell.",
    citations: [citation(1, 0, 9), citation(2, 10, 18, "normalised")],
  });
  expect(text.textContent).toBe("𝒜 rose 👍.1 It fell.2");
  expect(screen.getByRole("button", { name: "Citation 1, report.pdf, page 35 (sheet 37), Quote found word for word" })).toBeTruthy();
  expect(screen.getByRole("button", { name: /^Citation 2,.*apart from spaces/ })).toBeTruthy();
});

it("shows no chip for a quote that was not found and says what has no source", () => {
  const { text } = show({ text: "It rose.", citations: [citation(1, 0, 8, "not_found")], unsupported_spans: [{ start: 0, end: 8 }] });
  expect(screen.queryByRole("button")).toBeNull();
  expect(text.querySelector(".unsupported")?.textContent).toBe("It rose.");
  expect(text.textContent).toContain("no source for this");
});

it("shows markup of an answer as text", () => {
  const { text } = show({ text: '<img src=x onerror="alert(1)"> <b>bold</b> \u202Eabc' });
  expect(text.querySelector("img, b")).toBeNull();
  expect(text.textContent).toBe('<img src=x onerror="alert(1)"> <b>bold</b> ⟨U+202E⟩abc');
});

it("shows quote and verification on focus, puts them away on Escape, opens on click", async () => {
  const { onopen } = show({ text: "It rose.", citations: [citation(1, 0, 8)] });
  const chip = screen.getByRole("button");
  await fireEvent.focus(chip);
  expect(screen.getByRole("tooltip").textContent).toContain("quote 1");
  expect(chip.getAttribute("aria-describedby")).toBe(screen.getByRole("tooltip").id);
  await fireEvent.keyDown(chip, { key: "Escape" });
  expect(screen.queryByRole("tooltip")).toBeNull();
  await fireEvent.click(chip);
  expect(onopen).toHaveBeenCalledOnce();
});

it("strikes out a chip whose source was removed", () => {
  show({ text: "It rose.", citations: [{ id: "cit_1", number: 1, answer_span: { start: 0, end: 8 }, source_removed: true }] });
  const chip = screen.getByRole("button", { name: "Citation 1, its source was removed" });
  expect(chip.getAttribute("aria-disabled")).toBe("true");
});
