// The conversation in the middle of the corpus screen: its turns, asking the next question, and coming back after a reload.
import * as api from "../api/endpoints";
import { asProblem } from "../api/request";
import type { AnswerMode, Citation, Problem } from "../api/types";
import { router } from "../routing/router.svelte";
import { rememberedRunning } from "./running";
import { openableCitations } from "./runs";
import { Turn } from "./turn.svelte";

const TITLE_LENGTH = 80;

export class ConversationState {
  readonly corpusId: string;
  id = $state<string | null>(null);
  turns = $state.raw<Turn[]>([]);
  loading = $state(false);
  problem = $state.raw<Problem | null>(null);
  #loadedRoute = "";

  constructor(corpusId: string) {
    this.corpusId = corpusId;
  }

  get running(): Turn | null {
    return this.turns.findLast((turn) => turn.running) ?? null;
  }

  /** Every citation whose source can be opened, with the turn it stands in. */
  get citations(): { turn: Turn; citation: Citation }[] {
    return this.turns.flatMap((turn) => openableCitations(turn.answer.citations).map((citation) => ({ turn, citation })));
  }

  /** Shows what the address names. A conversation that is on screen already is left alone. */
  async show(conversationId: string | null, answerId: string | null): Promise<void> {
    const wanted = `${conversationId ?? ""}|${answerId ?? ""}`;
    if (wanted === this.#loadedRoute) return;
    const arriving = this.#loadedRoute === "";
    this.#loadedRoute = wanted;
    this.leave();
    this.id = conversationId;
    this.turns = [];
    this.problem = null;
    // Only on arrival: somebody who asks for a new conversation does not want the running one back.
    const running = arriving && !conversationId && !answerId ? rememberedRunning() : null;
    const fallback = running?.corpusId === this.corpusId ? running.answerId : null;
    if (!conversationId && !answerId && !fallback) return;
    this.loading = true;
    try {
      const answers = conversationId
        ? ((await api.getConversation(conversationId)).answers ?? [])
        : [await api.getAnswer((answerId ?? fallback)!)];
      if (wanted !== this.#loadedRoute) return;
      this.turns = answers.map((answer) => new Turn(answer));
      for (const turn of this.turns) {
        if (turn.running) void turn.resume();
        else if (turn.toldMore) void turn.recall();
      }
      if (fallback && answers[0]?.conversation_id) this.#adopt(answers[0].conversation_id);
    } catch (error) {
      if (wanted === this.#loadedRoute && !fallback) this.problem = asProblem(error);
    } finally {
      this.loading = false;
    }
  }

  /** Null when the question was accepted; else why not, and the question belongs back in the box. */
  async ask(question: string, mode: AnswerMode, documents: string[]): Promise<Problem | null> {
    if (this.id === null) {
      try {
        // A title is one line, whatever the question is.
        const title = Array.from(question.replace(/[\p{Cc}\s]+/gu, " ").trim()).slice(0, TITLE_LENGTH).join("");
        this.#adopt((await api.createConversation(this.corpusId, title)).id);
      } catch (error) {
        return asProblem(error);
      }
    }
    const turn = Turn.asking(this.corpusId, question, this.id);
    this.turns = [...this.turns, turn];
    await turn.ask({
      question,
      mode,
      conversation_id: this.id!,
      ...(documents.length > 0 ? { documents } : {}),
    });
    if (turn.problem !== null && turn.answer.id === "") {
      this.turns = this.turns.filter((other) => other !== turn);
      return turn.problem;
    }
    return null;
  }

  remove(turn: Turn): void {
    this.turns = this.turns.filter((other) => other !== turn);
  }

  leave(): void {
    for (const turn of this.turns) turn.leave();
  }

  #adopt(conversationId: string): void {
    this.id = conversationId;
    this.#loadedRoute = `${conversationId}|`;
    const place = router.route.screen === "corpus" ? router.route.place : null;
    router.replace({ screen: "corpus", corpusId: this.corpusId, conversationId, answerId: null, place });
  }
}
