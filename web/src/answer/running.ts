// Which answer was being written in this tab: it survives a reload, so that the stream can be taken up again.
const KEY = "ibid.running_answer";

export interface RunningAnswer {
  corpusId: string;
  answerId: string;
}

export function rememberRunning(running: RunningAnswer): void {
  sessionStorage.setItem(KEY, JSON.stringify(running));
}

export function forgetRunning(answerId: string): void {
  if (rememberedRunning()?.answerId === answerId) sessionStorage.removeItem(KEY);
}

export function rememberedRunning(): RunningAnswer | null {
  try {
    const value = JSON.parse(sessionStorage.getItem(KEY) ?? "null") as RunningAnswer | null;
    return value && typeof value.answerId === "string" && typeof value.corpusId === "string" ? value : null;
  } catch {
    return null;
  }
}
