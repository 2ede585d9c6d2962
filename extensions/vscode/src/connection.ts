// JSON-RPC over two streams: requests with their answers, progress and cancellation. Knows no process and no editor.

import type { Readable, Writable } from "node:stream";
import { framed, Unframer } from "./framing";
import type { Progress, Verb, Verbs } from "./protocol";

/** The backend understood and refused: `kind` says why in a word, `advice` what to do next. */
export class RefusedError extends Error {
  constructor(
    message: string,
    readonly code: number,
    readonly kind: string,
    readonly advice: string,
  ) {
    super(message);
  }
}

/** Nobody is there to answer any more. */
export class GoneError extends Error {}

/** Whoever asked does not want the answer any more. */
export class CancelledError extends Error {
  constructor() {
    super("cancelled");
  }
}

/** JSON-RPC's number for a cancelled request, as LSP has it. */
const REQUEST_CANCELLED = -32800;

export interface Asking {
  signal?: AbortSignal | undefined;
  progress?: ((progress: Progress) => void) | undefined;
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: Error): void;
  progress: ((progress: Progress) => void) | undefined;
}

export class Connection {
  private readonly pending = new Map<number, Pending>();
  private readonly unframer = new Unframer();
  private last = 0;
  private over: Error | undefined;

  /** `unasked` gets the progress of work that was not asked for here; `closed` is called once. */
  constructor(
    input: Readable,
    private readonly output: Writable,
    private readonly unasked: (progress: Progress) => void,
    private readonly closed: (error: Error) => void,
  ) {
    input.on("data", (bytes: Buffer) => this.read(bytes));
    input.on("end", () => this.close(new GoneError("the backend ended")));
    input.on("error", (error) => this.close(new GoneError(error.message)));
    output.on("error", (error) => this.close(new GoneError(error.message)));
  }

  request<V extends Verb>(method: V, params: Verbs[V]["params"], { signal, progress }: Asking = {}): Promise<Verbs[V]["result"]> {
    if (this.over) return Promise.reject(this.over);
    if (signal?.aborted) return Promise.reject(new CancelledError());
    const id = ++this.last;
    return new Promise((resolve, reject) => {
      // Who cancels is free at once; the backend's late answer finds nobody and is dropped.
      const cancel = () => {
        this.pending.delete(id);
        this.notify("$/cancelRequest", { id });
        reject(new CancelledError());
      };
      signal?.addEventListener("abort", cancel, { once: true });
      const settled = () => signal?.removeEventListener("abort", cancel);
      this.pending.set(id, {
        resolve: (result) => (settled(), resolve(result as Verbs[V]["result"])),
        reject: (error) => (settled(), reject(error)),
        progress,
      });
      this.output.write(framed({ jsonrpc: "2.0", id, method, params }));
    });
  }

  notify(method: string, params: object): void {
    if (!this.over) this.output.write(framed({ jsonrpc: "2.0", method, params }));
  }

  close(error: Error): void {
    if (this.over) return;
    this.over = error;
    for (const pending of this.pending.values()) pending.reject(error);
    this.pending.clear();
    this.closed(error);
  }

  private read(bytes: Buffer): void {
    if (this.over) return;
    try {
      for (const message of this.unframer.push(bytes)) this.handle(message);
    } catch (error) {
      this.close(new GoneError(`what the backend says cannot be read: ${(error as Error).message}`));
    }
  }

  private handle(message: unknown): void {
    if (typeof message !== "object" || message === null) return;
    const { id, method, params, result, error } = message as Record<string, unknown>;
    if (method === "progress") {
      const said = params as Progress;
      const asked = typeof said.id === "number" ? this.pending.get(said.id)?.progress : undefined;
      (asked ?? this.unasked)(said);
      return;
    }
    const pending = typeof id === "number" ? this.pending.get(id) : undefined;
    if (!pending) return;
    this.pending.delete(id as number);
    if (error === undefined || error === null) pending.resolve(result);
    else pending.reject(refusal(error as { code?: number; message?: string; data?: { kind?: string; advice?: string } }));
  }
}

function refusal(error: { code?: number; message?: string; data?: { kind?: string; advice?: string } }): Error {
  if (error.code === REQUEST_CANCELLED || error.data?.kind === "cancelled") return new CancelledError();
  return new RefusedError(error.message ?? "refused", error.code ?? 0, error.data?.kind ?? "", error.data?.advice ?? "");
}
