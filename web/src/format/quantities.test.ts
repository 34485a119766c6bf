// Numbers as the page shows them.
import { describe, expect, it } from "vitest";
import { ago, bytes, count, duration, latency, percent, rate, share, shortCount } from "./quantities";

describe("quantities", () => {
  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1 kB"],
    [999_600, "1 MB"],
    [2_147_483_648, "2.15 GB"],
    [88_340_000_000, "88.3 GB"],
  ])("bytes(%d) = %s", (value, text) => expect(bytes(value)).toBe(text));

  it.each([
    [251_726, "252 k"],
    [2_410_332, "2.41 M"],
    [9_999, "9,999"],
    [999_600, "1 M"],
  ])("shortCount(%d) = %s", (value, text) => expect(shortCount(value)).toBe(text));

  it.each([
    [0.4, "0 s"],
    [59, "59 s"],
    [90, "1 min 30 s"],
    [2934, "48 min"],
    [3600, "1 h"],
    [5400, "1 h 30 min"],
    [400_000, "5 days"],
  ])("duration(%d) = %s", (value, text) => expect(duration(value)).toBe(text));

  it("never says 100 % before the end", () => {
    expect(percent(999_999, 1_000_000)).toBe("99.9 %");
    expect(percent(5, 5)).toBe("100 %");
    expect(percent(0, 0)).toBe("0 %");
  });

  it("shows latencies, rates, shares and counts", () => {
    expect(latency(740)).toBe("0.74 s");
    expect(latency(1234)).toBe("1.2 s");
    expect(rate(412.5, "tokens")).toBe("413 tokens/s");
    expect(rate(3.25, "pages")).toBe("3.25 pages/s");
    expect(share(0.001)).toBe("< 1 %");
    expect(share(0)).toBe("0 %");
    expect(count(2_410_332)).toBe("2,410,332");
  });

  it("says how long ago", () => {
    const now = Date.parse("2026-11-25T12:00:00Z");
    expect(ago("2026-11-25T11:59:50Z", now)).toBe("just now");
    expect(ago("2026-11-25T11:57:00Z", now)).toBe("3 minutes ago");
    expect(ago("2026-11-24T12:00:00Z", now)).toBe("yesterday");
    expect(ago("2026-11-25T13:00:00Z", now)).toBe("just now");
    expect(ago("nonsense", now)).toBe("");
  });
});
