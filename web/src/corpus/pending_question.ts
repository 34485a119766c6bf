// A question chosen before its corpus was open: it waits for the ask box of that corpus.
class PendingQuestion {
  #waiting = new Map<string, string>();

  put(corpusId: string, question: string): void {
    this.#waiting.set(corpusId, question);
  }

  take(corpusId: string): string {
    const question = this.#waiting.get(corpusId) ?? "";
    this.#waiting.delete(corpusId);
    return question;
  }
}

export const pendingQuestion = new PendingQuestion();
