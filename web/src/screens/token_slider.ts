// A slider of tokens on a logarithmic scale: ten thousand to ten million with two digits that mean something.
export const SLIDER_STEPS = 300;
const SMALLEST = 10_000;
const DECADES = 3;

export function tokensAt(step: number): number {
  const exact = SMALLEST * 10 ** ((DECADES * step) / SLIDER_STEPS);
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(exact)) - 1);
  return Math.round(exact / unit) * unit;
}

export function sliderOf(tokens: number): number {
  const step = Math.round((SLIDER_STEPS * Math.log10(tokens / SMALLEST)) / DECADES);
  return Math.max(0, Math.min(SLIDER_STEPS, step));
}
