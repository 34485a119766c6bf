// Numbers as people read them: bytes, counts, durations, rates, shares, times.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Three significant digits at most, and no ".0". */
function short(value: number): string {
  return new Intl.NumberFormat("en", { maximumFractionDigits: value < 10 ? 2 : value < 100 ? 1 : 0 }).format(value);
}

export function bytes(value: number): string {
  let unit = 0;
  let scaled = Math.max(0, value);
  // 999.6 would round up to "1,000".
  while (scaled >= 999.5 && unit + 1 < BYTE_UNITS.length) {
    scaled /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? whole.format(scaled) : short(scaled)} ${BYTE_UNITS[unit]}`;
}

export function count(value: number): string {
  return whole.format(value);
}

/** 2,410,332 as "2.41 M": for cards; tables show the full number. */
export function shortCount(value: number): string {
  if (value < 10_000) return whole.format(value);
  if (value < 999_500) return `${short(value / 1000)} k`;
  if (value < 999_500_000) return `${short(value / 1e6)} M`;
  return `${short(value / 1e9)} G`;
}

export function rate(value: number, unit: string): string {
  return `${value < 100 ? short(value) : whole.format(value)} ${unit}/s`;
}

export function duration(seconds: number): string {
  const rounded = Math.max(0, Math.round(seconds));
  if (rounded < 60) return `${rounded} s`;
  const minutes = Math.floor(rounded / 60);
  if (minutes < 60) return rounded % 60 === 0 || minutes >= 10 ? `${minutes} min` : `${minutes} min ${rounded % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return `${whole.format(Math.round(hours / 24))} days`;
}

export function latency(milliseconds: number): string {
  return milliseconds < 950 ? `${short(Math.round(milliseconds / 10) / 100)} s` : `${(milliseconds / 1000).toFixed(1)} s`;
}

/** One decimal, never 100 % before the end: progress that claims to be done while it works is a lie. */
export function percent(done: number, total: number): string {
  if (!(total > 0)) return "0 %";
  const value = Math.min(100, (100 * done) / total);
  if (value >= 100) return "100 %";
  return `${(Math.floor(value * 10) / 10).toFixed(1)} %`;
}

export function share(fraction: number): string {
  const value = fraction * 100;
  return value > 0 && value < 0.5 ? "< 1 %" : `${Math.round(value)} %`;
}

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

export function ago(time: string, now: number): string {
  const seconds = Math.max(0, (now - Date.parse(time)) / 1000);
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 45) return "just now";
  for (const [unit, length] of STEPS) {
    if (seconds >= length * 0.75) return relative.format(-Math.max(1, Math.round(seconds / length)), unit);
  }
  return "just now";
}

export function dateTime(time: string): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime())
    ? ""
    : date.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}
