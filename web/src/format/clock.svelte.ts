// A clock that ticks once a second, for ages and times left that have to grow while nothing else happens.
class Clock {
  now = $state(Date.now());

  constructor() {
    setInterval(() => {
      if (document.visibilityState === "visible") this.now = Date.now();
    }, 1000);
  }

  /** Seconds since a time of the server. Clocks differ a little, so the future counts as now. */
  secondsSince(time: string): number {
    return Math.max(0, (this.now - Date.parse(time)) / 1000);
  }
}

export const clock = new Clock();
