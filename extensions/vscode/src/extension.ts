// Where the editor comes in: makes the parts, and says which command is whose. Nothing is read or started here but the
// backend of a folder that has an index already, so that activation costs milliseconds.

import { existsSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import { askParams } from "./asking";
import { type Folder, Folders } from "./folders";
import { complain, install } from "./install";
import type { Hit } from "./merge";
import { open } from "./preview";
import { pick } from "./quickpick";
import { type HitNode, Results } from "./results";
import { showStatus, StatusBar } from "./statusbar";
import { label, visible } from "./visible";
import { adapt, index } from "./work";

export function activate(context: vscode.ExtensionContext): void {
  const started = performance.now();
  const log = vscode.window.createOutputChannel("codesearch", { log: true });
  const folders = new Folders(String(context.extension.packageJSON.version), log);
  const results = new Results();

  const related = async (folder: Folder | undefined, path: string, line: number): Promise<void> => {
    if (!folder) return void vscode.window.showInformationMessage("codesearch: this file is in no folder of the workspace.");
    const answer = await folder.backend.request("related", { path, line });
    results.showRelated(folder, answer);
  };

  const commands: Record<string, (...args: never[]) => unknown> = {
    ask: () => pick(folders, (asked) => results.showAnswer(asked)),
    open: (hit: Hit<Folder>) => open(hit, { preview: true }),
    related: () => {
      const editor = vscode.window.activeTextEditor;
      if (!editor) return;
      const folder = folders.of(editor.document.uri);
      const path = vscode.workspace.asRelativePath(editor.document.uri, false);
      return related(folder, path, editor.selection.start.line + 1);
    },
    relatedTo: ({ hit }: HitNode) => related(hit.folder, hit.result.path, hit.result.start_line),
    why: (node: HitNode) => why(node, results.query),
    index: () => index(folders, false),
    rebuild: () => index(folders, true),
    adapt: () => adapt(folders),
    status: () => showStatus(folders),
    restart: () => Promise.all(folders.all.map((folder) => folder.backend.restart())),
    install,
    log: () => log.show(),
    clear: () => results.clear(),
  };
  for (const [name, run] of Object.entries(commands))
    context.subscriptions.push(
      vscode.commands.registerCommand(`codesearch.${name}`, async (...args: never[]) => {
        try {
          await run(...args);
        } catch (error) {
          await complain(error as Error, folders);
        }
      }),
    );
  context.subscriptions.push(log, folders, results, new StatusBar(folders), sayRestarts(folders));

  if (vscode.workspace.isTrusted)
    for (const folder of folders.all) if (existsSync(join(folder.workspaceFolder.uri.fsPath, ".codesearch"))) void folder.refresh();
  log.info(`activated in ${(performance.now() - started).toFixed(1)} ms`);
}

/** The sum behind a result, a line for each part. */
async function why({ hit }: HitNode, query: string | undefined): Promise<void> {
  if (query === undefined) return;
  const { results } = await hit.folder.backend.request("explain", askParams(query));
  const mine = results.find(({ path, start_line }) => path === hit.result.path && start_line === hit.result.start_line);
  if (!mine) return void vscode.window.showInformationMessage("codesearch: the index has changed since; ask again.");
  const items = mine.parts.map(({ name, worth, why }) => ({ label: `${worth < 0 ? "−" : "+"}${Math.abs(worth).toFixed(2)}  ${label(name)}`, description: label(why) }));
  await vscode.window.showQuickPick(items, { title: `${mine.score.toFixed(2)} for ${visible(mine.symbol || mine.path)}`, placeHolder: query });
}

/** A backend that died is told of once, until it runs again. */
function sayRestarts(folders: Folders): vscode.Disposable {
  const told = new Set<Folder>();
  return folders.onDidChange(() => {
    for (const folder of folders.all) {
      if (folder.state.is === "running") told.delete(folder);
      else if (folder.state.is === "waiting" && !told.has(folder)) {
        told.add(folder);
        void vscode.window.setStatusBarMessage("codesearch ended unexpectedly and is started again", 5000);
      }
    }
  });
}

export function deactivate(): void {}
