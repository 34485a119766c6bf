// One citation among all those on the page. Its id is its own inside one answer only: every answer has a cit_1.
import type { Answer, KeptCitation } from "../api/types";

export interface ChosenCitation {
  answerId: string;
  citationId: string;
}

export function choose(answer: Answer, citation: KeptCitation): ChosenCitation {
  return { answerId: answer.id, citationId: citation.id };
}

/** The chosen citation if it is one of this answer. */
export function chosenIn(answer: Answer, chosen: ChosenCitation | null): string | null {
  return chosen?.answerId === answer.id ? chosen.citationId : null;
}

export function isChosen(chosen: ChosenCitation | null, answer: Answer, citation: KeptCitation): boolean {
  return chosenIn(answer, chosen) === citation.id;
}

/** Of the chip's element. */
export function chipId(answerId: string, citationId: string): string {
  return `chip-${answerId}-${citationId}`;
}
