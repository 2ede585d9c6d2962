// What needs neither process nor editor: finding the program, merging, the last of many, showing text as data.

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { test } from "node:test";
import { find, NotFoundError, OWN_ENVIRONMENT } from "../src/find";
import { Latest } from "../src/latest";
import { byFile, merge } from "../src/merge";
import type { Answer, Result } from "../src/protocol";
import { codeBlock, label, message, visible } from "../src/visible";

function program(...parts: string[]): string {
  const path = join(...parts);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, "#!/bin/sh\n");
  chmodSync(path, 0o755);
  return path;
}

test("the program: setting, then a trusted folder's environment, then PATH, then home", async () => {
  const top = mkdtempSync(join(tmpdir(), "find-"));
  const [folder, home] = [join(top, "folder"), join(top, "home")];
  const where = { setting: "", folder, trusted: true, path: [join(top, "bin"), "relative", ""].join(delimiter), home, windows: false };
  await assert.rejects(find(where), NotFoundError);
  const own = program(home, OWN_ENVIRONMENT, "bin", "codesearch");
  assert.equal((await find(where)).command, own);
  const onPath = program(top, "bin", "codesearch");
  assert.equal((await find(where)).command, onPath);
  const inVenv = program(folder, ".venv", "bin", "codesearch");
  assert.equal((await find(where)).command, inVenv);
  assert.equal((await find({ ...where, trusted: false })).command, onPath);
  const set = program(top, "elsewhere", "codesearch");
  assert.equal((await find({ ...where, setting: set })).command, set);
  await assert.rejects(find({ ...where, setting: join(top, "none") }), /names no program/);
  await assert.rejects(find({ ...where, setting: "codesearch" }), /no full path/);
});

test("an untrusted folder that is on PATH brings no program", async () => {
  const folder = mkdtempSync(join(tmpdir(), "find-"));
  program(folder, "bin", "codesearch");
  const where = { setting: "", folder, trusted: false, path: join(folder, "bin"), home: join(folder, "home"), windows: false };
  await assert.rejects(find(where), NotFoundError);
  assert.equal((await find({ ...where, trusted: true })).by, "path");
});

function answer(confidence: number, ...scores: [string, number][]): Answer {
  const results = scores.map(([path, score], i) => ({ rank: i + 1, score, path, start_line: 9 - i, end_line: 9, text: "", symbol: path }) as Result);
  return { query: "", state: "fresh", indexed: 1, ms: 0, confidence, results };
}

test("the folder that is surer comes first, and a folder's order stands", () => {
  const answers = [
    { folder: "a", answer: answer(0.5, ["a1", 30], ["a2", 31], ["a3", 29]) },
    { folder: "b", answer: answer(0.9, ["b1", 4], ["b2", 1]) },
    { folder: "c", answer: answer(0) },
  ];
  assert.deepEqual(merge(answers, 4).map(({ result }) => result.path), ["b1", "a1", "a2", "a3"]);
});

test("hits are grouped by file, in the order of each file's best, then by line", () => {
  const groups = byFile(merge([{ folder: "a", answer: answer(1, ["x", 3], ["y", 2], ["x", 1]) }], 9));
  assert.deepEqual(groups.map(({ path, hits }) => [path, hits.map(({ result }) => result.start_line)]), [["x", [7, 9]], ["y", [8]]]);
});

test("of many requests only the last is answered, and the others are cancelled", async () => {
  const done: string[] = [];
  const cancelled: string[] = [];
  const latest = new Latest<string>(10, (result) => done.push(result), () => {});
  const work = (name: string, took: number) => (signal: AbortSignal) => {
    signal.addEventListener("abort", () => cancelled.push(name));
    return new Promise<string>((resolve) => setTimeout(() => resolve(name), took));
  };
  latest.run(work("never started", 0));
  latest.run(work("too late", 60));
  await new Promise((resolve) => setTimeout(resolve, 30));
  latest.run(work("last", 5));
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual([done, cancelled], [["last"], ["too late"]]);
});

test("text of a repository is data: no escapes, no turned lines, no icons, no end of the block", () => {
  assert.equal(visible("a\u001b[31m\u202eb\tc\nd"), "a␛[31m<202e>b\tc\nd");
  assert.equal(message("[x](command:y)"), "[x] (command:y)");
  assert.equal(label("  $(error)\n x "), "\\$(error) x");
  assert.equal(codeBlock("x\n```\n![](http://y)", "python'"), "````python\nx\n```\n![](http://y)\n````\n");
});
