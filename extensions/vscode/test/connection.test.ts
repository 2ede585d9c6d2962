// Framing and JSON-RPC, byte by byte, without a process.

import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { CancelledError, Connection, GoneError, RefusedError } from "../src/connection";
import { framed, FramingError, MAX_MESSAGE, Unframer } from "../src/framing";
import type { Progress } from "../src/protocol";

test("messages come out whole, however their bytes are cut", () => {
  const messages = [{ a: "über 漢字 😀" }, {}, { long: "x".repeat(100_000) }, { b: "\r\n\r\n" }];
  const bytes = Buffer.concat(messages.map(framed));
  for (const size of [1, 7, 4096, bytes.length]) {
    const unframer = new Unframer();
    const got: unknown[] = [];
    for (let at = 0; at < bytes.length; at += size) got.push(...unframer.push(bytes.subarray(at, at + size)));
    assert.deepEqual(got, messages);
  }
});

test("other headers are let pass, and the length is read whatever its case", () => {
  const got = new Unframer().push(Buffer.from("Content-Type: x\r\ncontent-length: 2\r\n\r\n{}"));
  assert.deepEqual(got, [{}]);
});

for (const [name, bytes] of Object.entries({
  "no length": "Content-Type: x\r\n\r\n{}",
  "a negative length": "Content-Length: -2\r\n\r\n{}",
  "a length beyond bounds": `Content-Length: ${MAX_MESSAGE + 1}\r\n\r\n`,
  "a header without end": "x".repeat(5000),
  "no JSON": "Content-Length: 3\r\n\r\n{x}",
}))
  test(`what has ${name} is refused`, () => {
    assert.throws(() => new Unframer().push(Buffer.from(bytes)), FramingError);
  });

function pair() {
  const input = new PassThrough();
  const output = new PassThrough();
  const sent = new Unframer();
  const messages: { id?: number; method?: string; params?: unknown }[] = [];
  output.on("data", (bytes: Buffer) => messages.push(...(sent.push(bytes) as never[])));
  const unasked: Progress[] = [];
  const closed: Error[] = [];
  const connection = new Connection(input, output, (said) => unasked.push(said), (error) => closed.push(error));
  const says = (message: object) => input.write(framed({ jsonrpc: "2.0", ...message }));
  return { input, messages, unasked, closed, connection, says };
}

test("answers find their requests in any order", async () => {
  const { connection, says } = pair();
  const one = connection.request("status", {});
  const two = connection.request("status", {});
  says({ id: 2, result: "two" });
  says({ id: 99, result: "nobody's" });
  says({ id: 1, result: "one" });
  assert.deepEqual(await Promise.all([one, two]), ["one", "two"]);
});

test("a refusal carries its kind and its advice", async () => {
  const { connection, says } = pair();
  const asked = connection.request("ask", { query: "q" });
  says({ id: 1, error: { code: -32000, message: "no", data: { kind: "missing", advice: "Index it." } } });
  await assert.rejects(asked, (error: RefusedError) => error instanceof RefusedError && error.kind === "missing" && error.advice === "Index it.");
});

test("who cancels is free at once, the backend is told, and its late answer is dropped", async () => {
  const { connection, messages, says } = pair();
  const controller = new AbortController();
  const asked = connection.request("ask", { query: "q" }, { signal: controller.signal });
  controller.abort();
  await assert.rejects(asked, CancelledError);
  says({ id: 1, result: "late" });
  await new Promise(setImmediate);
  assert.deepEqual(messages.map(({ method, params }) => [method, params]), [["ask", { query: "q" }], ["$/cancelRequest", { id: 1 }]]);
});

test("progress goes to who asked; that of others to the status bar", async () => {
  const { connection, says, unasked } = pair();
  const said: string[] = [];
  const asked = connection.request("index", {}, { progress: ({ message }) => said.push(message) });
  const report = { kind: "report", stage: "indexing" };
  says({ method: "progress", params: { ...report, id: 1, message: "mine" } });
  says({ method: "progress", params: { ...report, id: null, message: "others'" } });
  says({ id: 1, result: {} });
  await asked;
  assert.deepEqual([said, unasked.map(({ message }) => message)], [["mine"], ["others'"]]);
});

test("when the stream ends, or makes no sense, whoever waits is told, once", async () => {
  for (const end of [(input: PassThrough) => input.end(), (input: PassThrough) => input.write("nonsense\r\n\r\n")]) {
    const { connection, input, closed } = pair();
    const asked = connection.request("status", {});
    end(input);
    await assert.rejects(asked, GoneError);
    await assert.rejects(connection.request("status", {}), GoneError);
    assert.equal(closed.length, 1);
  }
});
