// Addresses survive the way to the address bar and back.
import { describe, expect, it } from "vitest";
import { hrefOf, parseRoute, type Route } from "./route";

const CORPUS = { screen: "corpus", corpusId: "corp_1", conversationId: null, answerId: null, place: null } as const;
const ROUTES: Route[] = [
  { screen: "home" },
  { screen: "jobs" },
  { screen: "planner" },
  CORPUS,
  { ...CORPUS, corpusId: "a/b?c#d é" },
  { ...CORPUS, conversationId: "conv_1" },
  { ...CORPUS, answerId: "ans_1", place: { documentId: "doc_1", start: 0, end: 99, page: 3 } },
  { ...CORPUS, place: { documentId: "doc_1", start: null, end: null, page: null } },
];

describe("routes", () => {
  it.each(ROUTES)("round trip of %j", (route) => expect(parseRoute(hrefOf(route))).toEqual(route));

  it("takes an empty address for home", () => {
    expect(parseRoute("")).toEqual({ screen: "home" });
    expect(parseRoute("#")).toEqual({ screen: "home" });
  });

  it.each(["#/corpora", "#/corpora/a/nothing/b", "#/corpora/a/answers", "#/jobs/1", "#/%E0%A4%A", "#/x"])(
    "does not know %s",
    (hash) => expect(parseRoute(hash)).toEqual({ screen: "unknown" }),
  );

  it("drops numbers that are none", () => {
    const route = parseRoute("#/corpora/corp_1?document=doc_1&start=-1&end=1e9&page=x");
    expect(route).toMatchObject({ place: { documentId: "doc_1", start: null, end: null, page: null } });
  });
});
