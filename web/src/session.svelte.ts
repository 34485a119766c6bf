// Who is signed in. Any request that is refused for lack of a session brings the sign-in card back.
import * as api from "./api/endpoints";
import { asProblem, whenUnauthenticated } from "./api/request";
import type { Problem, Session } from "./api/types";

class SessionState {
  session = $state.raw<Session | null>(null);
  needsKey = $state(false);
  problem = $state.raw<Problem | null>(null);
  /** Grows with every sign-in, so that screens load again. */
  generation = $state(0);

  constructor() {
    whenUnauthenticated(() => {
      this.needsKey = true;
      this.session = null;
    });
  }

  async load(): Promise<void> {
    try {
      this.session = await api.getSession();
      this.needsKey = false;
      this.problem = null;
    } catch (error) {
      const problem = asProblem(error);
      this.problem = problem.status === 401 ? null : problem;
    }
  }

  async signIn(key: string): Promise<Problem | null> {
    try {
      await api.signIn(key);
    } catch (error) {
      return asProblem(error);
    }
    await this.load();
    this.generation += 1;
    return null;
  }

  async signOut(): Promise<void> {
    await api.signOut().catch(() => {});
    this.session = null;
    this.needsKey = true;
  }
}

export const session = new SessionState();
