// A real process at the other end: the fake backend, which dies, dawdles and refuses as it is asked.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Backend, type BackendOptions, type BackendState } from "../src/backend";
import { CancelledError, GoneError, RefusedError } from "../src/connection";

const FAKE = join(__dirname, "../../../../tests/extensions/fake_backend.py");
const PYTHON = execFileSync(process.env["PYTHON"] ?? "python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).trim();
const made: Backend[] = [];
after(() => made.forEach((backend) => backend.dispose()));

function backend(options: Partial<BackendOptions> = {}) {
  const states: BackendState[] = [];
  const one = new Backend({
    root: tmpdir(),
    trusted: () => true,
    launch: async () => ({ command: "/usr/bin/env", args: [] }),
    client: { name: "test", version: "0" },
    changed: (state) => states.push(state),
    unasked: () => {},
    log: () => {},
    firstDelay: 20,
    ...options,
  });
  made.push(one);
  return { one, states };
}

// The first argument must be the script: `python fake serve --stdio` is what a launcher of pip's does.
const fake = () => backend({ launch: async () => launcher({}) });

function launcher(env: Record<string, string>) {
  const path = join(process.env["RUNNER_TEMP"] ?? tmpdir(), `fake-${process.pid}-${Object.keys(env).join("")}`);
  const { writeFileSync } = require("node:fs") as typeof import("node:fs");
  const exports = Object.entries(env).map(([name, value]) => `${name}=${value} `);
  writeFileSync(path, `#!/bin/sh\n${exports.join("")}exec "${PYTHON}" "${FAKE}" "$@"\n`, { mode: 0o755 });
  return { command: path, args: [] };
}

test("starts with the first question and answers", async () => {
  const { one, states } = fake();
  assert.deepEqual(states, []);
  const answer = await one.request("ask", { query: "where are retries?" });
  assert.equal(answer.results[0]?.symbol, "retry");
  assert.deepEqual(states.map(({ is }) => is), ["starting", "running"]);
});

test("an untrusted folder is said to be one", async () => {
  const { one, states } = backend({ launch: async () => launcher({}), trusted: () => false });
  await one.request("status", {});
  const running = states.at(-1);
  assert.ok(running?.is === "running" && !running.initialized.canTrain);
});

test("a question outlives the process it was asked of; the status tells", async () => {
  const { one, states } = fake();
  await one.request("status", {});
  const child = (one as unknown as { child: { kill(signal: string): void } }).child;
  const asked = one.request("ask", { query: "slow" });
  setTimeout(() => child.kill("SIGKILL"), 100);
  assert.equal((await asked).results.length, 3);
  assert.deepEqual(states.map(({ is }) => is), ["starting", "running", "waiting", "starting", "running"]);
});

test("what kills each process is not asked for ever, and a person can try again", async () => {
  const { one, states } = fake();
  await assert.rejects(one.request("ask", { query: "crash" }), GoneError);
  assert.equal(states.filter(({ is }) => is === "waiting").length, 2);
  assert.equal((await one.request("ask", { query: "well" })).results.length, 3);
  for (let i = 0; i < 2; i++) await assert.rejects(one.request("ask", { query: "crash" }), GoneError);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(one.state.is, "failed");
  await one.restart();
  assert.equal(one.state.is, "running");
});

test("broken framing ends that process and starts another", async () => {
  const { one } = fake();
  await assert.rejects(one.request("ask", { query: "garbage" }), GoneError);
  assert.equal((await one.request("ask", { query: "well" })).results.length, 3);
});

test("an old codesearch is told of with its own words", async () => {
  const { one } = backend({ launch: async () => launcher({ FAKE_OLD: "1" }) });
  await assert.rejects(one.request("ask", { query: "q" }), /exit code 2: No such option: --stdio/);
  assert.equal(one.state.is, "failed");
});

test("a program that cannot be run is told of", async () => {
  const { one } = backend({ launch: async () => ({ command: join(tmpdir(), "none"), args: [] }) });
  await assert.rejects(one.request("ask", { query: "q" }), /cannot be run/);
});

test("a refusal is no reason to start anew; pieces are put together", async () => {
  const { one, states } = fake();
  await assert.rejects(one.request("ask", { query: "refuse" }), RefusedError);
  assert.equal((await one.request("ask", { query: "pieces" })).results.length, 3);
  assert.equal(states.length, 2);
});

test("work reports, and stops when it is cancelled", async () => {
  const { one } = fake();
  const said: number[] = [];
  await one.request("index", {}, { progress: ({ percentage }) => said.push(percentage ?? -1) });
  assert.deepEqual(said, [0, 25, 50, 75, 100]);
  const controller = new AbortController();
  const adapting = one.request("adapt", {}, { signal: controller.signal, progress: () => controller.abort() });
  await assert.rejects(adapting, CancelledError);
});

test("who waits for a new start is told when it is stopped, and nothing starts after that", async () => {
  const { one } = backend({ launch: async () => launcher({}), firstDelay: 5000 });
  await one.request("status", {});
  await assert.rejects(one.request("index", {}, { signal: AbortSignal.abort() }), CancelledError);
  const child = (one as unknown as { child: { kill(signal: string): void } }).child;
  child.kill("SIGKILL");
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(one.state.is, "waiting");
  const asked = one.request("index", {});
  one.dispose();
  await assert.rejects(asked, GoneError);

  let launched = () => {};
  const late = backend({ launch: () => new Promise((resolve) => (launched = () => resolve(launcher({})))) });
  const waiting = late.one.request("index", {});
  await new Promise(setImmediate);
  late.one.dispose();
  launched();
  await assert.rejects(waiting, GoneError);
  assert.equal((late.one as unknown as { child: unknown }).child, undefined);
});

test("a folder that is closed takes its process with it", async () => {
  const { one } = fake();
  await one.request("status", {});
  const child = (one as unknown as { child: import("node:child_process").ChildProcess }).child;
  const closed = new Promise((resolve) => child.once("close", resolve));
  one.dispose();
  await closed;
  await assert.rejects(one.request("status", {}), GoneError);
});
