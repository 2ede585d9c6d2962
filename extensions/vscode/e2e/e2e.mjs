// What a person does with the extension, from the first question to a backend that is killed; prints a line for each
// thing seen, and fails at the first that is not.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Editor } from "./editor.mjs";

const here = import.meta.dirname;
const repository = resolve(here, "../../..");
const at = process.argv.indexOf("--screenshot");
const screenshot = at > 0 ? process.argv[at + 1] : undefined;
const real = process.env.CODESEARCH;
const top = mkdtempSync(join(tmpdir(), "codesearch-e2e-"));
// A copy, for the next build removes the one in dist/.
const vsix = join(top, "codesearch.vsix");
copyFileSync(join(here, "../dist/codesearch.vsix"), vsix);
const started = performance.now();
const see = (text) => console.log(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${text}`);

// The questions, and what their answers are called, for either backend.
const asks = real
  ? { question: "where are the vectors of unchanged chunks reused?", best: "_vectors", file: "store.py", second: "who ends the idle background server", secondBest: "_end" }
  : { question: "where are calls retried?", best: "retry", file: "sample.py", second: "how long is a pause", secondBest: "pause" };

function workspace(name) {
  const folder = join(top, name);
  mkdirSync(join(folder, "tests"), { recursive: true });
  if (real) execFileSync("sh", ["-c", `git -C "${repository}" archive HEAD codesearch tests/index tests/server | tar -x -C "${folder}"`]);
  else {
    writeFileSync(join(folder, "sample.py"), `def pause(seconds):\n    """Wait."""\n    ...\n\ndef retry(call):\n    """Call again until it works."""\n    while True:\n        call()\n${"\n".repeat(200)}`);
    writeFileSync(join(folder, "tests/test_sample.py"), "def test_retry():\n    assert True\n");
  }
  return folder;
}

function fake() {
  const path = join(top, "codesearch-fake");
  writeFileSync(path, `#!/bin/sh\nFAKE_PAUSE=1 exec python3 "${join(repository, "tests/extensions/fake_backend.py")}" "$@"\n`, { mode: 0o755 });
  return path;
}

const command = real ?? fake();

async function trusted() {
  const folder = workspace("demo");
  const editor = await Editor.open(folder, { home: join(top, "one"), vsix, settings: { "codesearch.command": command } });
  const { page } = editor;
  try {
    see(`activated; status bar: ${await editor.status("codesearch")}`);

    await editor.ask(asks.question, asks.best, 120_000);
    const rows = await editor.rows();
    assert.match(rows[0], new RegExp(asks.best));
    see(`asked: ${rows.slice(0, 3).join(" | ")}`);
    await page.locator(".tab", { hasText: asks.file }).waitFor();
    await page.locator(".monaco-editor .cdr[class*=ced]").first().waitFor();
    see("the first result's file shows behind the list, its lines highlighted");
    const times = [];
    for (let i = 0; i < 20; i++) {
      await page.keyboard.press("Control+A");
      times.push(await (i % 2 ? editor.typing(asks.question, asks.best) : editor.typing(asks.second, asks.secondBest)));
      await sleep(400);
    }
    times.sort((a, b) => a - b);
    see(`typing to results: median ${times[10].toFixed(0)} ms, worst ${times[19].toFixed(0)} ms of ${times.length}`);

    if (!real) {
      // VS Code would put the names that resemble what is typed first.
      await page.keyboard.press("Control+A");
      await page.keyboard.type("retry", { delay: 30 });
      await sleep(500);
      assert.match((await editor.rows()).join("|"), /^retry.*\|pause.*\|test_retry/);
      see("the order of the answer is the order of the list");
    }

    await editor.escape();
    await page.locator(".tab").waitFor({ state: "detached" });
    see("Escape leaves the editor as it was");

    await editor.ask(asks.question, asks.best);
    await page.keyboard.press("Enter");
    await editor.tab().filter({ hasText: asks.file }).waitFor();
    const position = await editor.status("Ln ");
    assert.doesNotMatch(position, /Ln 1,/);
    see(`Enter opens ${asks.file} at ${position}`);

    await editor.command("codesearch: Related Code");
    await editor.tree().filter({ hasText: "Callers" }).waitFor();
    see(`related: ${(await editor.tree().allInnerTexts()).slice(0, 4).map((text) => text.replace(/\s+/g, " ")).join(" | ")}`);

    await editor.ask(asks.question, asks.best);
    await page.locator(".quick-input-titlebar .codicon-list-tree").click();
    await editor.tree().filter({ hasText: asks.file }).first().waitFor();
    see(`results view: ${(await editor.tree().allInnerTexts()).slice(0, 3).map((text) => text.replace(/\s+/g, " ")).join(" | ")}`);

    if (screenshot) {
      await editor.ask(asks.question, asks.best);
      await page.keyboard.press("ArrowDown");
      await page.setViewportSize({ width: 1280, height: 640 });
      await sleep(2000);
      await page.screenshot({ path: screenshot });
      await editor.escape();
    }

    const before = editor.processes("serve", "--stdio", folder);
    assert.equal(before.length, 1);
    process.kill(Number(before[0]), "SIGKILL");
    await editor.ask(asks.second, asks.secondBest);
    const after = editor.processes("serve", "--stdio", folder);
    assert.ok(after.length === 1 && after[0] !== before[0]);
    see("a killed backend is started again, and answers");
    await editor.escape();

    await editor.command("codesearch: Bring the Index up to Date");
    if (!real) {
      see(`indexing: ${await editor.status(/indexing \d/)}`);
      await editor.command("codesearch: Adapt the Retriever to this Folder");
      see(`adapting: ${await editor.status("adapting, MRR")}`);
      see(`adapted: ${await editor.status("codesearch +33 %")}`);
      await editor.command("codesearch: Adapt the Retriever to this Folder");
      await editor.status("adapting, MRR");
      await page.locator(".notification-list-item", { hasText: "adapting" }).locator(".monaco-button", { hasText: "Cancel" }).click();
      await editor.status("codesearch +33 %");
      see("an adaptation is cancelled");
    }

    await editor.command("Developer: Show Running Extensions");
    const row = page.locator(".monaco-list-row", { hasText: "Activation:" });
    await row.first().hover();
    const mine = row.filter({ hasText: "codesearch" });
    for (let i = 0; i < 20 && !(await mine.count()); i++) {
      await page.mouse.wheel(0, 200);
      await sleep(200);
    }
    const [, milliseconds] = /Activation: *(\d+) ?ms/.exec(await mine.first().innerText());
    see(`VS Code says of it: activation ${milliseconds} ms`);
    assert.ok(Number(milliseconds) <= 300);
  } catch (error) {
    await page.screenshot({ path: join(tmpdir(), "codesearch-e2e-failed.png") });
    throw error;
  } finally {
    await editor.close();
  }
  await sleep(3000);
  assert.deepEqual(editor.processes("serve", "--stdio", folder), []);
  see("closing the editor ends the backend");
}

/** A stranger's folder that says which program to run, and brings one. */
async function untrusted() {
  const folder = workspace("stranger");
  const evidence = join(top, "was-run");
  mkdirSync(join(folder, ".vscode"));
  mkdirSync(join(folder, ".venv/bin"), { recursive: true });
  for (const name of ["evil", ".venv/bin/codesearch"]) writeFileSync(join(folder, name), `#!/bin/sh\ntouch "${evidence}"\n`, { mode: 0o755 });
  writeFileSync(join(folder, ".vscode/settings.json"), JSON.stringify({ "codesearch.command": join(folder, "evil"), "codesearch.arguments": ["--evil"] }));
  const editor = await Editor.open(folder, { home: join(top, "two"), vsix, trusted: false, settings: { "codesearch.command": command } });
  try {
    await editor.ask(asks.question, asks.best, 120_000);
    await editor.escape();
    assert.ok(!existsSync(evidence));
    await editor.page.keyboard.press("F1");
    await editor.page.keyboard.type("codesearch: ");
    await sleep(500);
    const offered = await editor.rows();
    assert.ok(offered.some((row) => row.includes("Ask a Question")) && !offered.some((row) => row.includes("Adapt")));
    see("an untrusted folder is searched, runs nothing of its own, and is not adapted to");
  } catch (error) {
    await editor.page.screenshot({ path: join(tmpdir(), "codesearch-e2e-failed.png") });
    throw error;
  } finally {
    await editor.close();
  }
}

/** With the real backend, and its extra `train`: minutes, so only when it is named. */
async function adapting() {
  const folder = workspace("learned");
  const editor = await Editor.open(folder, { home: join(top, "four"), vsix, settings: { "codesearch.command": command } });
  try {
    await editor.command("codesearch: Adapt the Retriever to this Folder");
    see(`adapting: ${await editor.status("adapting, MRR", 300_000)}`);
    const outcome = editor.page.locator(".notification-list-item", { hasText: "adapted: " });
    await outcome.waitFor({ timeout: 600_000 });
    see(`${(await outcome.innerText()).split("\n")[0]}; status bar: ${await editor.status("codesearch")}`);
  } catch (error) {
    await editor.page.screenshot({ path: join(tmpdir(), "codesearch-e2e-failed.png") });
    throw error;
  } finally {
    await editor.close();
  }
}

/** Two folders, and then no program at all. */
async function several() {
  const folders = [workspace("first"), workspace("second")];
  const file = join(top, "both.code-workspace");
  writeFileSync(file, JSON.stringify({ folders: folders.map((path) => ({ path })) }));
  const editor = await Editor.open(file, { home: join(top, "three"), vsix, settings: { "codesearch.command": command } });
  const { page } = editor;
  try {
    await editor.ask(asks.question, "second", 120_000);
    const rows = await editor.rows();
    assert.ok(rows.some((row) => row.includes("first")) && rows.some((row) => row.includes("second")));
    assert.equal(editor.processes("serve", "--stdio").filter((pid) => folders.some((folder) => editor.processes(folder).includes(pid))).length, 2);
    see(`two folders: ${rows.slice(0, 3).join(" | ")}`);
    await editor.escape();

    await editor.command("Preferences: Open User Settings (JSON)");
    await page.locator(".view-lines", { hasText: "workbench.startupEditor" }).click();
    await page.keyboard.press("Control+A");
    await page.keyboard.insertText(JSON.stringify({ "codesearch.command": join(top, "none") }));
    await page.keyboard.press("Control+S");
    await editor.status("codesearch: not installed", 30_000);
    await page.keyboard.press("Escape");
    see("another command in the settings is heeded at once");
    await editor.command("codesearch: Ask a Question");
    await editor.asking().waitFor();
    await page.keyboard.type("anything");
    await page.locator(".notification-list-item", { hasText: "It is a Python program" }).waitFor();
    await page.locator(".notification-list-item .monaco-button", { hasText: "Install in a Terminal" }).first().click();
    await page.locator(".terminal-wrapper").first().waitFor();
    see("without a program it says so, and types the installation into a terminal");
  } catch (error) {
    await page.screenshot({ path: join(tmpdir(), "codesearch-e2e-failed.png") });
    throw error;
  } finally {
    await editor.close();
  }
}

try {
  const parts = { trusted, untrusted, several, adapting };
  const named = process.argv.filter((name) => name in parts);
  for (const name of named.length ? named : ["trusted", "untrusted", "several"]) await parts[name]();
  see("all well");
} finally {
  rmSync(top, { recursive: true, force: true });
}
