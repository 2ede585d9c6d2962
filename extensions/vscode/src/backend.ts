// One process `codesearch serve --stdio` for one folder: started when it is first needed, started again when it dies.

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { homedir } from "node:os";
import { type Asking, CancelledError, Connection, GoneError, RefusedError } from "./connection";
import { type Initialized, type Progress, PROTOCOL_VERSION, type Verb, type Verbs } from "./protocol";

/** Milliseconds before the first new start; doubled for each one after it, up to MAX_DELAY. */
const FIRST_DELAY = 500;
const MAX_DELAY = 30_000;
/** Deaths in a row after which only a person starts it again. */
const MAX_DEATHS = 6;
/** Milliseconds of life after which a death counts as the first. */
const STABLE = 60_000;
/** Milliseconds that a process may take to say what it is; Python reads from a cold disk. */
const START = 30_000;
/** Characters of its last words on stderr that are kept. */
const LAST_WORDS = 2000;
/** Milliseconds that it may take to leave when told so. */
const LEAVE = 2000;

export interface Launch {
  command: string;
  args: readonly string[];
}

export interface BackendOptions {
  root: string;
  trusted: () => boolean;
  /** Found anew at each start, for what is installed meanwhile. Throws what a person should read. */
  launch: () => Promise<Launch>;
  client: { name: string; version: string };
  changed: (state: BackendState) => void;
  unasked: (progress: Progress) => void;
  log: (line: string) => void;
  firstDelay?: number;
}

export type BackendState =
  | { is: "off" }
  | { is: "starting" }
  | { is: "running"; initialized: Initialized }
  | { is: "waiting"; why: string; seconds: number }
  | { is: "failed"; why: string };

/** It does not start, or not any more: says why, and what it said last. */
export class CannotStartError extends Error {}

/** These change nothing, so they are asked again of a new process when the old one dies under them. */
const REPEATABLE: ReadonlySet<Verb> = new Set<Verb>(["ask", "related", "explain", "status"]);

export class Backend {
  private connection: Promise<Connection> | undefined;
  private child: ChildProcessWithoutNullStreams | undefined;
  private deaths = 0;
  /** Ends the pause before a new start. */
  private wake: (() => void) | undefined;
  /** Raised by each stop: what was begun before one must not go on after it. */
  private turn = 0;
  private disposed = false;
  state: BackendState = { is: "off" };

  constructor(private readonly options: BackendOptions) {}

  async request<V extends Verb>(verb: V, params: Verbs[V]["params"], asking: Asking = {}): Promise<Verbs[V]["result"]> {
    for (let tries = 0; ; tries++) {
      try {
        const connection = await unless(asking.signal, this.connected());
        return await connection.request(verb, params, asking);
      } catch (error) {
        if (!(error instanceof GoneError) || tries > 0 || !REPEATABLE.has(verb) || this.disposed) throw error;
      }
    }
  }

  /** Starts at once, whatever happened before. */
  restart(): Promise<unknown> {
    this.stop();
    this.deaths = 0;
    this.set({ is: "off" });
    return this.connected();
  }

  dispose(): void {
    this.disposed = true;
    this.stop();
  }

  private connected(): Promise<Connection> {
    if (this.disposed) return Promise.reject(new GoneError("the folder was closed"));
    if (this.state.is === "failed") this.deaths = 0; // a person asks again: one more try
    if (!this.connection) {
      const delay = this.deaths ? Math.min((this.options.firstDelay ?? FIRST_DELAY) * 2 ** (this.deaths - 1), MAX_DELAY) : 0;
      this.connection = this.start(delay);
      this.connection.catch(() => {});
    }
    return this.connection;
  }

  private async start(delay: number): Promise<Connection> {
    const { turn } = this;
    if (delay) await this.pause(delay);
    try {
      this.check(turn);
      this.set({ is: "starting" });
      return await this.launched(turn);
    } catch (error) {
      if (turn !== this.turn) throw new GoneError("the backend was stopped");
      this.connection = undefined;
      this.set({ is: "failed", why: (error as Error).message });
      throw error;
    }
  }

  private pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.wake = () => (clearTimeout(timer), resolve());
    });
  }

  private check(turn: number): void {
    if (turn !== this.turn) throw new GoneError("the backend was stopped");
  }

  private async launched(turn: number): Promise<Connection> {
    const { root, client, log } = this.options;
    const { command, args } = await this.options.launch();
    this.check(turn);
    const all = ["serve", "--stdio", "--root", root, ...args];
    log(`starting ${command} ${all.join(" ")}`);
    // Not in the folder: a stranger's files must not be found before the program's own.
    const child = spawn(command, all, { cwd: homedir(), stdio: "pipe", windowsHide: true });
    this.child = child;
    let words = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      words = (words + text).slice(-LAST_WORDS);
      for (const line of text.trimEnd().split("\n")) log(line);
    });
    const born = Date.now();
    let running = false;
    const ended = new Promise<string>((resolve) => {
      child.on("error", (error) => resolve(`${command} cannot be run: ${error.message}`));
      child.on("close", (code, signal) => resolve(`${command} ended ${signal ? `by ${signal}` : `with exit code ${code}`}`));
    });
    // The stream tells of a death first, and whoever asks again then must not meet the dead connection.
    const connection = new Connection(child.stdout, child.stdin, this.options.unasked, (error) => {
      log(error.message);
      child.kill();
      if (running && this.child === child) this.died(error.message, Date.now() - born);
    });
    void ended.then((why) => {
      log(why);
      connection.close(new GoneError(why));
    });
    const hello = { clientInfo: client, root, protocolVersion: PROTOCOL_VERSION, trusted: this.options.trusted() };
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), START);
    try {
      const initialized = await connection.request("initialize", hello, { signal: timeout.signal });
      if (initialized.protocolVersion !== PROTOCOL_VERSION)
        throw new CannotStartError(`${command} is version ${initialized.version}, which speaks another protocol; bring it and this extension up to date`);
      this.check(turn);
      running = true;
      this.set({ is: "running", initialized });
      return connection;
    } catch (error) {
      if (this.child === child) this.child = undefined;
      child.kill();
      if (error instanceof CannotStartError) throw error;
      if (error instanceof RefusedError) throw new CannotStartError([error.message, error.advice].filter(Boolean).join(": "));
      const why = error instanceof CancelledError ? `${command} said nothing for ${START / 1000} s` : await ended;
      throw new CannotStartError([why, lastLines(words)].filter(Boolean).join(": "));
    } finally {
      clearTimeout(timer);
    }
  }

  private died(why: string, lived: number): void {
    this.child = undefined;
    this.connection = undefined;
    if (this.disposed) return;
    this.deaths = lived > STABLE ? 1 : this.deaths + 1;
    if (this.deaths >= MAX_DEATHS) {
      this.set({ is: "failed", why: `${why}, ${this.deaths} times in a row` });
      return;
    }
    const delay = (this.options.firstDelay ?? FIRST_DELAY) * 2 ** (this.deaths - 1);
    this.set({ is: "waiting", why, seconds: Math.min(delay, MAX_DELAY) / 1000 });
    this.connected().catch(() => {});
  }

  private stop(): void {
    this.turn++;
    this.wake?.();
    const { child, connection } = this;
    this.child = undefined;
    this.connection = undefined;
    if (!child) return;
    connection?.then((open) => {
      open.notify("exit", {});
      open.close(new GoneError("the backend was stopped"));
    }, () => {});
    child.stdin.end();
    const timer = setTimeout(() => child.kill(), LEAVE);
    child.once("close", () => clearTimeout(timer));
  }

  private set(state: BackendState): void {
    this.state = state;
    if (!this.disposed) this.options.changed(state);
  }
}

function unless<T>(signal: AbortSignal | undefined, promise: Promise<T>): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    if (signal.aborted) reject(new CancelledError());
    signal.addEventListener("abort", () => reject(new CancelledError()), { once: true });
    promise.then(resolve, reject);
  });
}

function lastLines(words: string): string {
  return words.trim().split("\n").slice(-3).join(" ").trim();
}
