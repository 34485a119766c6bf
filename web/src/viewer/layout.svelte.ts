// Which panes are open and how wide the source is: remembered between visits, and different where the window is narrow.
const SETTINGS = "ibid.layout";
export const MIN_VIEWER = 320;
export const MAX_VIEWER = 1000;
const DEFAULT_VIEWER = 470;

interface Saved {
  viewerOpen: boolean;
  viewerWidth: number;
  documentsOpen: boolean;
}

function load(): Partial<Saved> {
  try {
    return (JSON.parse(localStorage.getItem(SETTINGS) ?? "{}") as Partial<Saved> | null) ?? {};
  } catch {
    return {};
  }
}

function media(query: string, onChange: (matches: boolean) => void): boolean {
  const list = window.matchMedia(query);
  list.addEventListener("change", ({ matches }) => onChange(matches));
  return list.matches;
}

class Layout {
  #saved = load();
  /** Under 700 px the source is a sheet over the whole screen. */
  sheet = $state(media("(max-width: 699px)", (matches) => (this.sheet = matches)));
  /** Under 1100 px there is no room for three columns: the documents lie over the answers. */
  narrow = $state(media("(max-width: 1099px)", (matches) => (this.narrow = matches)));
  viewerOpen = $state(false);
  documentsOpen = $state(true);
  viewerWidth = $state(DEFAULT_VIEWER);

  constructor() {
    // A sheet that is open on arrival would hide the page it belongs to, unless the address asks for a source.
    this.viewerOpen = (!this.sheet && (this.#saved.viewerOpen ?? true)) || location.hash.includes("document=");
    this.documentsOpen = !this.narrow && (this.#saved.documentsOpen ?? true);
    this.viewerWidth = clampWidth(this.#saved.viewerWidth ?? DEFAULT_VIEWER);
    $effect.root(() => {
      $effect(() => {
        const { viewerOpen, viewerWidth, documentsOpen } = this;
        if (!this.narrow) localStorage.setItem(SETTINGS, JSON.stringify({ viewerOpen, viewerWidth, documentsOpen }));
      });
    });
  }
}

export function clampWidth(width: number): number {
  return Number.isFinite(width) ? Math.round(Math.max(MIN_VIEWER, Math.min(MAX_VIEWER, width))) : DEFAULT_VIEWER;
}

export const layout = new Layout();
