// The words of extensions/PROTOCOL.md as types: plain data, as `codesearch ask --json` prints it.

export const PROTOCOL_VERSION = 1;

export interface Reason {
  name: string;
  worth: number;
}

export interface Result {
  rank: number;
  score: number;
  id: string;
  /** Relative to the root, with `/`. */
  path: string;
  /** The first line is 1. */
  start_line: number;
  end_line: number;
  language: string;
  kind: string;
  symbol: string | null;
  text: string;
  copies?: unknown[];
  reasons?: Reason[];
}

/** What an index is up to: `fresh`, or the reason why it is not. */
export type State = string;

export interface Answer {
  query: string;
  state: State;
  /** Share of the files that are in the index, 0 to 1. */
  indexed: number;
  ms: number;
  confidence: number;
  results: Result[];
  answer?: { path: string; line: number; symbol: string | null; says: string | null } | null;
}

export interface AskParams {
  query: string;
  limit?: number;
  tests?: boolean;
  answer?: boolean;
}

export type Relation = "test" | "documentation" | "caller" | "similar";

export interface RelatedAnswer {
  state: State;
  path: string;
  start_line: number;
  end_line: number;
  symbol: string | null;
  related: (Result & { relation: Relation })[];
}

export interface Explanation {
  results: { path: string; start_line: number; symbol: string | null; score: number; parts: { name: string; worth: number; why: string }[] }[];
}

export interface Adaptation {
  accepted: boolean;
  reason: string;
  figures?: Record<string, number>;
  questions?: number;
  seconds?: number;
  date?: string;
}

export interface Status {
  state: State;
  files: number;
  chunks: number;
  model: { name: string; fingerprint: string } | null;
  adaptation: Adaptation | null;
  indexing: boolean;
  adapting: boolean;
}

export interface Initialized {
  protocolVersion: number;
  version: string;
  root: string;
  canTrain: boolean;
}

/** A notification: how far the request `id` is; work that nobody here asked for has none. */
export interface Progress {
  id?: number | string | null;
  kind: "begin" | "report" | "end";
  stage: string;
  message: string;
  percentage?: number;
  loss?: number;
  /** Mean reciprocal rank now, and of the retriever that the training started from. */
  mrr?: number;
  before?: number;
}

/** Which answers each verb gets. */
export interface Verbs {
  initialize: { params: { clientInfo?: { name: string; version: string }; root?: string; protocolVersion: number; trusted?: boolean }; result: Initialized };
  ask: { params: AskParams; result: Answer };
  related: { params: { path: string; line: number; limit?: number }; result: RelatedAnswer };
  explain: { params: AskParams; result: Explanation };
  status: { params: Record<string, never>; result: Status };
  index: { params: { rebuild?: boolean }; result: unknown };
  adapt: { params: { budget?: number }; result: Adaptation };
  shutdown: { params: Record<string, never>; result: unknown };
}

export type Verb = keyof Verbs;
