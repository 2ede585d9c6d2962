// What the real server was recorded to say (extensions/conversations): the client understands all of it.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { Connection, RefusedError } from "../src/connection";
import { framed } from "../src/framing";
import { byFile, merge } from "../src/merge";
import type { Answer, Progress, Verb } from "../src/protocol";

const FOLDER = join(__dirname, "../../../conversations");

interface Message {
  id?: number;
  method?: string;
  params?: object;
  result?: unknown;
  error?: { message: string; data?: { kind: string; advice: string } };
}

const names = existsSync(FOLDER) ? readdirSync(FOLDER).filter((name) => name.endsWith(".json")) : [];

for (const name of names)
  test(`${name} is understood`, async () => {
    const recorded = JSON.parse(readFileSync(join(FOLDER, name), "utf8")).messages as { from: string; message: Message }[];
    const input = new PassThrough();
    const said: Progress[] = [];
    const connection = new Connection(input, new PassThrough(), (progress) => said.push(progress), () => {});
    // The client counts its requests from 1, as the recordings do.
    const asked = new Map<number, Promise<unknown>>();
    for (const { from, message } of recorded) {
      if (from === "server") input.write(framed(message));
      else if (message.id !== undefined) {
        const outcome = connection.request(message.method as Verb, (message.params ?? {}) as never, { progress: (progress) => said.push(progress) }).catch((error: Error) => error);
        asked.set(message.id, outcome);
      }
    }
    for (const { message } of recorded.filter(({ from, message }) => from === "server" && message.id !== undefined)) {
      const got = await asked.get(message.id as number);
      if (!message.error) assert.deepEqual(got, message.result);
      else assert.ok(got instanceof RefusedError && got.message === message.error.message && got.kind === message.error.data?.kind);
    }
    assert.equal(said.length, recorded.filter(({ message }) => message.method === "progress").length);
    for (const { message } of recorded) {
      const answer = message.result as Answer | undefined;
      if (!answer?.results?.[0]?.text) continue;
      assert.equal(merge([{ folder: "one", answer }], 99).length, answer.results.length);
      assert.ok(byFile(merge([{ folder: "one", answer }], 99)).every(({ hits }) => hits.every(({ result }) => result.start_line >= 1 && result.end_line >= result.start_line)));
    }
  });
