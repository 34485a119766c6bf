// Enter sends, Shift+Enter does not, and nothing is sent before a document is ready.
// @vitest-environment jsdom
import { fireEvent, render, screen } from "@testing-library/svelte";
import { expect, it, vi } from "vitest";
import AskBox from "./AskBox.svelte";

function show(props: { question: string; canAsk?: boolean }) {
  const onask = vi.fn();
  render(AskBox, { canAsk: true, loaded: true, running: null, onask, ...props });
  return { onask, field: screen.getByLabelText("Question") };
}

it("sends on Enter with the chosen mode", async () => {
  const { onask, field } = show({ question: "How much?" });
  await fireEvent.keyDown(field, { key: "Enter", shiftKey: true });
  await fireEvent.keyDown(field, { key: "Enter", isComposing: true });
  expect(onask).not.toHaveBeenCalled();
  await fireEvent.change(screen.getByLabelText("How to answer"), { target: { value: "quote" } });
  await fireEvent.keyDown(field, { key: "Enter" });
  expect(onask).toHaveBeenCalledExactlyOnceWith("quote");
});

it("waits for a document", async () => {
  const { onask, field } = show({ question: "How much?", canAsk: false });
  expect(screen.getByPlaceholderText("You can ask as soon as one document is ready")).toBe(field);
  await fireEvent.keyDown(field, { key: "Enter" });
  expect(onask).not.toHaveBeenCalled();
  expect(screen.getByRole<HTMLButtonElement>("button", { name: "Ask" }).disabled).toBe(true);
});

it("does not send blanks", async () => {
  const { onask, field } = show({ question: "  \n" });
  await fireEvent.keyDown(field, { key: "Enter" });
  expect(onask).not.toHaveBeenCalled();
});
