// All jobs, asked for again while any of them runs: for the Jobs screen and for the number beside its name.
import * as api from "../api/endpoints";
import { asProblem } from "../api/request";
import { poll } from "../api/polling";
import type { Job, Problem } from "../api/types";
import { clock } from "../format/clock.svelte";

/** A job that has said nothing for this long is shown as stalled. */
export const STALLED_S = 10;

export function isUnfinishedJob(job: Job): boolean {
  return job.state === "queued" || job.state === "running";
}

export function heartbeatAge(heartbeatAt: string | null): number | null {
  return heartbeatAt === null ? null : clock.secondsSince(heartbeatAt);
}

class RunningJobs {
  jobs = $state.raw<Job[]>([]);
  loaded = $state(false);
  problem = $state.raw<Problem | null>(null);
  #polling: ReturnType<typeof poll> | null = null;
  #watched = false;

  readonly count = $derived(this.jobs.filter(isUnfinishedJob).length);

  start(): () => void {
    this.#polling = poll(() => this.#load());
    return () => this.#polling?.stop();
  }

  /** While the Jobs screen is open, idle polling is quicker too: somebody is looking. */
  watch(): () => void {
    this.#watched = true;
    this.#polling?.now();
    return () => (this.#watched = false);
  }

  refresh(): void {
    this.#polling?.now();
  }

  async #load(): Promise<number> {
    try {
      this.jobs = (await api.listJobs()).data;
      this.problem = null;
      this.loaded = true;
    } catch (error) {
      this.problem = asProblem(error);
    }
    if (this.#watched) return this.count > 0 ? 1000 : 4000;
    return this.count > 0 ? 4000 : 15_000;
  }
}

export const runningJobs = new RunningJobs();
