// A VS Code of its own in a temporary folder, and a page that shows it: what a person does with them, in verbs.

import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const tools = process.env.CODESEARCH_E2E;
const { chromium } = createRequire(join(tools, "package.json"))("playwright-core");
const SERVER = join(tools, "node_modules/code-server/out/node/entry.js");

export class Editor {
  /** FOLDER is opened; `trusted: false` leaves it in restricted mode. */
  static async open(folder, { home, vsix, trusted = true, settings = {}, env = {} }) {
    const editor = new Editor();
    editor.home = home;
    const data = join(home, "data");
    const all = ["--user-data-dir", data, "--extensions-dir", join(home, "extensions"), "--config", join(home, "none.yaml")];
    mkdirSync(join(data, "User"), { recursive: true });
    const quiet = { "workbench.startupEditor": "none", "security.workspace.trust.startupPrompt": "never", "security.workspace.trust.banner": "never", "telemetry.telemetryLevel": "off", "chat.disableAIFeatures": true, "workbench.secondarySideBar.defaultVisibility": "hidden", "editor.minimap.enabled": false, "git.enabled": false };
    writeFileSync(join(data, "User/settings.json"), JSON.stringify({ ...quiet, ...settings }));
    execFileSync(process.execPath, [SERVER, ...all, "--install-extension", vsix], { stdio: "pipe" });
    const port = await freePort();
    const flags = ["--auth", "none", "--bind-addr", `127.0.0.1:${port}`, "--disable-telemetry", "--disable-update-check", ...(trusted ? ["--disable-workspace-trust"] : [])];
    editor.server = spawn(process.execPath, [SERVER, ...all, ...flags, folder], { stdio: "pipe", env: { ...process.env, ...env } });
    const query = folder.endsWith(".code-workspace") ? "workspace" : "folder";
    editor.browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
    editor.page = await editor.browser.newPage({ viewport: { width: 1100, height: 640 } });
    const url = `http://127.0.0.1:${port}/?${query}=${folder}`;
    for (let tries = 0; ; tries++) {
      try {
        await editor.page.goto(url);
        break;
      } catch (error) {
        if (tries > 60) throw error;
        await sleep(500);
      }
    }
    await editor.status("codesearch", 120_000);
    return editor;
  }

  async close() {
    await this.browser.close();
    const over = new Promise((resolve) => this.server.once("exit", resolve));
    this.server.kill();
    await over;
  }

  /** Waits until the status bar's item says TEXT. */
  async status(text, timeout = 20_000) {
    const item = this.page.locator(".statusbar-item", { hasText: text });
    await item.first().waitFor({ timeout });
    return (await item.first().innerText()).trim();
  }

  async command(title) {
    await this.page.keyboard.press("F1");
    await this.page.locator(".quick-input-widget .input").first().waitFor();
    await this.page.keyboard.type(title);
    await this.page.locator(".quick-input-list .monaco-list-row", { hasText: title }).and(this.page.locator(".focused")).first().waitFor();
    await this.page.keyboard.press("Enter");
  }

  /** The lines of the list, top first. */
  async rows() {
    return (await this.page.locator(".quick-input-list .monaco-list-row").allInnerTexts()).map((text) => text.replace(/\s+/g, " ").trim());
  }

  /** Opens the list and types; waits until a line says EXPECTED. */
  async ask(question, expected, timeout = 60_000) {
    await this.command("codesearch: Ask a Question");
    await this.asking().waitFor();
    await this.page.keyboard.type(question, { delay: 15 });
    await this.page.locator(".quick-input-list .monaco-list-row", { hasText: expected }).first().waitFor({ timeout });
  }

  async escape() {
    await this.page.keyboard.press("Escape");
    await this.page.locator(".quick-input-widget").waitFor({ state: "hidden" });
  }

  /** Milliseconds from TEXT being there at once, as after its last key, to the list whose first line says EXPECTED: as the page sees both. */
  async typing(text, expected) {
    await this.page.evaluate((expected) => {
      const seen = { typed: 0, shown: 0 };
      globalThis.seen = seen;
      document.addEventListener("input", () => (seen.typed = performance.now()), { capture: true, once: true });
      const look = () => {
        const first = document.querySelector('.quick-input-list .monaco-list-row[data-index="0"]');
        if (seen.typed && first?.getAttribute("aria-label")?.includes(expected)) seen.shown = performance.now();
        else requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    }, expected);
    await this.page.keyboard.insertText(text);
    await this.page.waitForFunction(() => globalThis.seen.shown > 0, undefined, { timeout: 10_000 });
    return await this.page.evaluate(() => globalThis.seen.shown - globalThis.seen.typed);
  }

  /** The field of the question. */
  asking() {
    return this.page.locator('.quick-input-widget input[placeholder^="Ask your code"]');
  }

  tree() {
    return this.page.locator(".part.sidebar .monaco-list-row");
  }

  tab() {
    return this.page.locator(".tab.active");
  }

  /** Processes of this session whose command line holds every one of WORDS. */
  processes(...words) {
    return readdirSync("/proc").filter((pid) => {
      if (!/^\d+$/.test(pid)) return false;
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return words.every((word) => line.includes(word));
      } catch {
        return false;
      }
    });
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
