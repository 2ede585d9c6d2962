// One item in the status bar: what the backends are doing, how fresh the index is, what adapting gained. A click acts.

import * as vscode from "vscode";
import type { Folder, Folders } from "./folders";
import type { Adaptation } from "./protocol";
import { label, visible } from "./visible";
import { mrr, outcome } from "./work";

/** Milliseconds between two looks at an index that is being built by somebody else. */
const WATCH = 2000;

export class StatusBar implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("codesearch.status", vscode.StatusBarAlignment.Right, 90);
  private readonly listener: vscode.Disposable;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly folders: Folders) {
    this.item.name = "codesearch";
    this.item.command = "codesearch.status";
    this.listener = folders.onDidChange(() => this.draw());
    this.draw();
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.listener.dispose();
    this.item.dispose();
  }

  private draw(): void {
    const { all } = this.folders;
    if (!all.length) return this.item.hide();
    const worst = all.map(shortly).reduce((one, other) => (other.weight > one.weight ? other : one));
    this.item.text = worst.text;
    this.item.backgroundColor = worst.weight >= BROKEN ? new vscode.ThemeColor("statusBarItem.warningBackground") : undefined;
    this.item.tooltip = all.map((folder) => `${folder.name}: ${visible(fully(folder))}`).join("\n");
    this.item.show();
    clearTimeout(this.timer);
    const busy = all.filter(({ status, progress }) => !progress && (status?.indexing || status?.adapting));
    if (busy.length) this.timer = setTimeout(() => busy.forEach((folder) => void folder.refresh()), WATCH);
  }
}

const BROKEN = 4;

interface Shortly {
  text: string;
  /** What matters more is shown of several folders. */
  weight: number;
}

function shortly(folder: Folder): Shortly {
  const { state, status, progress, missing } = folder;
  if (state.is === "failed") return { text: missing ? "$(warning) codesearch: not installed" : "$(warning) codesearch: stopped", weight: BROKEN };
  if (state.is === "waiting") return { text: `$(sync~spin) codesearch: restarting in ${state.seconds} s`, weight: BROKEN };
  if (state.is === "off") return { text: "$(search) codesearch", weight: 0 };
  if (state.is === "starting") return { text: "$(sync~spin) codesearch", weight: 2 };
  if (progress?.mrr !== undefined) return { text: `$(sync~spin) adapting, MRR ${mrr(progress.mrr)}${progress.before === undefined ? "" : ` (was ${mrr(progress.before)})`}`, weight: 3 };
  if (progress) return { text: `$(sync~spin) ${label(progress.stage)}${progress.percentage === undefined ? "" : ` ${Math.floor(progress.percentage)} %`}`, weight: 3 };
  if (status?.adapting) return { text: "$(sync~spin) codesearch: adapting", weight: 3 };
  if (status?.indexing) return { text: "$(sync~spin) codesearch: indexing", weight: 3 };
  if (!status) return { text: "$(search) codesearch", weight: 0 };
  if (status.state === "missing") return { text: "$(search) codesearch: no index yet", weight: 1 };
  if (status.state === "files") return { text: "$(search) codesearch: files changed", weight: 1 };
  if (status.state !== "fresh") return { text: `$(search) codesearch: ${label(status.state)}`, weight: 1 };
  return { text: `$(check) codesearch${gainShortly(status.adaptation)}`, weight: 0 };
}

function gainShortly(adaptation: Adaptation | null): string {
  const before = adaptation?.figures?.["base, ranked"];
  const after = adaptation?.figures?.["adapted, ranked"];
  if (!adaptation?.accepted || !before || after === undefined) return "";
  return ` +${Math.round((after / before - 1) * 100)} %`;
}

function fully(folder: Folder): string {
  const { state, status } = folder;
  if (state.is === "failed") return state.why;
  if (state.is === "waiting") return `${state.why}; starts again in ${state.seconds} s`;
  if (!status) return state.is === "off" ? "starts with the first question" : state.is;
  const { files, chunks, model, adaptation } = status;
  const index = status.state === "missing" ? "no index yet" : `index ${status.state}, ${files} files, ${chunks} chunks`;
  return [index, model?.name, adaptation && outcome(adaptation)].filter(Boolean).join("; ");
}

/** What a click on the item offers. */
export async function showStatus(folders: Folders): Promise<void> {
  const facts = folders.all.map((folder) => ({ label: `$(folder) ${label(folder.name)}`, description: label(shortly(folder).text.replace(/\$\([^)]*\) ?/, "")), detail: label(fully(folder)), command: "" }));
  const actions = [
    ["$(search) Ask a Question", "codesearch.ask"],
    ["$(refresh) Bring the Index up to Date", "codesearch.index"],
    ["$(mortar-board) Adapt the Retriever to this Folder", "codesearch.adapt"],
    ["$(debug-restart) Restart the Backend", "codesearch.restart"],
    ["$(output) Show the Log", "codesearch.log"],
  ].map(([text, command]) => ({ label: text as string, command: command as string, description: "", detail: "" }));
  const picked = await vscode.window.showQuickPick([...facts, ...actions], { title: "codesearch" });
  if (picked?.command) void vscode.commands.executeCommand(picked.command);
}

