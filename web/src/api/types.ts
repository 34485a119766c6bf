// Names for the objects of the REST interface. The types come from the server's OpenAPI description (`npm run api`); written
// by hand is only what a description cannot say. Offsets count Unicode code points, never UTF-16 units.
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Problem = Omit<Schemas["ProblemObject"], "type" | "detail" | "request_id"> &
  // The page makes problems too, when no reply came or one that is no problem+json.
  Partial<Pick<Schemas["ProblemObject"], "type" | "detail" | "request_id">>;
export type Reason = Schemas["Reason"];
/** Lists differ in what they hold alone. */
export type List<T> = Omit<Schemas["List_Corpus"], "data"> & { data: T[] };
export type Deleted = Schemas["Deleted"];
export type Session = Schemas["Session"];

export type Corpus = Schemas["Corpus"];
export type CorpusState = Schemas["CorpusState"];
export type CorpusPrefill = Schemas["Prefill"];

/** Named CorpusDocument because `Document` is the DOM's. */
export type CorpusDocument = Schemas["Document"];
export type DocumentState = CorpusDocument["state"];
export type DocumentWarning = Schemas["Warning"];
export type TextWindow = Schemas["TextStretch"];
export type Page = Schemas["PageInfo"];
export type Upload = Schemas["Upload"];
export type UploadResult = Schemas["UploadResult"];

export type Answer = Schemas["Answer"];
export type AnswerStatus = Answer["status"];
export type AnswerMode = Answer["mode"];
export type AnswerRequest = Schemas["NewAnswer"];
export type Grounding = Schemas["Grounding"];
export type Span = Schemas["AnswerSpan"];
export type Citation = Schemas["Citation"];
export type RemovedCitation = Schemas["RemovedCitation"];
/** A citation of a stored answer: whole, or what is left of it once its document was removed. */
export type KeptCitation = Schemas["KeptCitation"];
export type Source = Schemas["SourceSpan"];
export type Box = Schemas["PageBox"];
export type Verification = Schemas["Verification"];
export type VerificationStatus = Schemas["Status"];
export type RelatedPassage = Schemas["Related"];
export type AttentionMap = Schemas["AttentionMap"];
export type Usage = Schemas["Usage"];
export type Replay = Schemas["Replayed"];
export type Conversation = Schemas["Conversation"];

export type Job = Schemas["Job"];
export type JobState = Job["state"];

export type ModelPreset = Schemas["ModelPreset"];
export type WeightType = Schemas["WeightType"];
export type KvType = Schemas["KvType"];
export type PlanRequest = Schemas["PlanRequest"];
export type Plan = Schemas["Plan"];

export function isRemoved(citation: KeptCitation): citation is RemovedCitation {
  return "source_removed" in citation;
}

/** Data of the events of an answer, by name; OpenAPI describes a stream as a string. */
export interface AnswerEvents {
  "answer.created": { answer_id: string; corpus_version: number };
  "corpus.loading": { kv_bytes_done: number; kv_bytes_total: number };
  "text.delta": { text: string };
  "citation.added": { citation: Citation };
  "citation.verified": { id: string; verification: Verification };
  "answer.completed": Answer;
  error: Problem;
}
