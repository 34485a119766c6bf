// Addresses of the page. They live behind the `#`, so that a reload never depends on how the server answers unknown paths.
//   #/                                          corpora
//   #/corpora/ID                                one corpus, a new conversation
//   #/corpora/ID/conversations/ID               an earlier conversation
//   #/corpora/ID/answers/ID                     one answer
//     ?document=ID&start=N&end=N&page=N         with a source open at a place
//   #/jobs, #/planner

export interface Place {
  documentId: string;
  start: number | null;
  end: number | null;
  page: number | null;
}

export type Route =
  | { screen: "home" }
  | { screen: "corpus"; corpusId: string; conversationId: string | null; answerId: string | null; place: Place | null }
  | { screen: "jobs" }
  | { screen: "planner" }
  | { screen: "unknown" };

function decode(segment: string): string | null {
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
}

function wholeNumber(value: string | null): number | null {
  return value !== null && /^\d{1,15}$/.test(value) ? Number(value) : null;
}

function placeOf(query: URLSearchParams): Place | null {
  const documentId = query.get("document");
  if (!documentId) return null;
  const [start, end, page] = ["start", "end", "page"].map((name) => wholeNumber(query.get(name)));
  return { documentId, start: start ?? null, end: end ?? null, page: page ?? null };
}

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#/, "").split("?", 2);
  const segments = path.split("/").filter(Boolean).map(decode);
  if (segments.includes(null)) return { screen: "unknown" };
  const [first, corpusId, kind, id, ...rest] = segments as string[];
  if (first === undefined) return { screen: "home" };
  if (first === "jobs" && corpusId === undefined) return { screen: "jobs" };
  if (first === "planner" && corpusId === undefined) return { screen: "planner" };
  if (first !== "corpora" || corpusId === undefined || rest.length > 0) return { screen: "unknown" };
  const place = placeOf(new URLSearchParams(query));
  const route = { screen: "corpus" as const, corpusId, conversationId: null, answerId: null, place };
  if (kind === undefined) return route;
  if (kind === "conversations" && id !== undefined) return { ...route, conversationId: id };
  if (kind === "answers" && id !== undefined) return { ...route, answerId: id };
  return { screen: "unknown" };
}

export function hrefOf(route: Route): string {
  if (route.screen === "jobs" || route.screen === "planner") return `#/${route.screen}`;
  if (route.screen !== "corpus") return "#/";
  let path = `#/corpora/${encodeURIComponent(route.corpusId)}`;
  if (route.conversationId) path += `/conversations/${encodeURIComponent(route.conversationId)}`;
  else if (route.answerId) path += `/answers/${encodeURIComponent(route.answerId)}`;
  if (!route.place) return path;
  const query = new URLSearchParams({ document: route.place.documentId });
  for (const name of ["start", "end", "page"] as const) {
    const value = route.place[name];
    if (value !== null) query.set(name, String(value));
  }
  return `${path}?${query}`;
}

const plain = (corpusId: string) =>
  ({ screen: "corpus", corpusId, conversationId: null, answerId: null, place: null }) as const;

export function corpusHref(corpusId: string): string {
  return hrefOf(plain(corpusId));
}

export function conversationHref(corpusId: string, conversationId: string): string {
  return hrefOf({ ...plain(corpusId), conversationId });
}

export function answerHref(corpusId: string, answerId: string): string {
  return hrefOf({ ...plain(corpusId), answerId });
}
