// The route that is shown, kept in step with the address bar.
import { hrefOf, parseRoute, type Place, type Route } from "./route";

class Router {
  route = $state.raw<Route>(parseRoute(location.hash));

  constructor() {
    window.addEventListener("hashchange", () => {
      this.route = parseRoute(location.hash);
    });
  }

  go(route: Route): void {
    location.hash = hrefOf(route);
    this.route = route;
  }

  /** Changes the address without a new entry in the history: what Back should not walk through. */
  replace(route: Route): void {
    history.replaceState(null, "", hrefOf(route));
    this.route = route;
  }

  /** Opens or closes a source beside the corpus that is shown. */
  show(place: Place | null): void {
    if (this.route.screen === "corpus") this.replace({ ...this.route, place });
  }
}

export const router = new Router();
