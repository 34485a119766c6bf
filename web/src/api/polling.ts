// Asking again and again. Progress is polled rather than streamed: a browser opens six connections to one host, and a few
// tabs with a stream each for jobs and answers would leave none for anything else.

/** Calls `load` until disposed. It returns the milliseconds to wait, and is expected to handle its own errors. */
export function poll(load: () => Promise<number>): { stop: () => void; now: () => void } {
  let stopped = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running = false;
  let again = false;

  async function turn(): Promise<void> {
    clearTimeout(timer);
    if (stopped) return;
    if (running) {
      again = true;
      return;
    }
    running = true;
    let wait = 5000;
    try {
      wait = await load();
    } finally {
      running = false;
      if (again) wait = 0;
      again = false;
      // A page nobody looks at asks rarely.
      const slowed = document.visibilityState === "hidden" ? Math.max(wait, 15_000) : wait;
      if (!stopped) timer = setTimeout(() => void turn(), slowed);
    }
  }

  function onVisible(): void {
    if (document.visibilityState === "visible") void turn();
  }
  document.addEventListener("visibilitychange", onVisible);
  void turn();
  return {
    now: () => void turn(),
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onVisible);
    },
  };
}
