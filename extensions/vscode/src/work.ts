// Indexing and adapting: with progress that can be cancelled, and what came of it in a sentence.

import * as vscode from "vscode";
import { CancelledError } from "./connection";
import type { Folder, Folders } from "./folders";
import { complain } from "./install";
import type { Adaptation, Progress, Verb, Verbs } from "./protocol";
import { message as plain } from "./visible";

export async function index(folders: Folders, rebuild: boolean): Promise<void> {
  await Promise.all(folders.all.map((folder) => work(folders, folder, "index", { rebuild }, rebuild ? "building the index" : "indexing")));
}

export async function adapt(folders: Folders): Promise<void> {
  if (!vscode.workspace.isTrusted) {
    void vscode.window.showWarningMessage("codesearch: no retriever is trained on a folder that you do not trust.");
    return;
  }
  const folder = await folders.choose("Adapt the retriever to which folder?");
  if (!folder) return;
  const adaptation = await work(folders, folder, "adapt", {}, "adapting");
  if (adaptation) void vscode.window.showInformationMessage(`codesearch: ${plain(outcome(adaptation))}`);
}

/** What came of a training, for people. */
export function outcome(adaptation: Adaptation): string {
  const gain = gainOf(adaptation);
  return `${adaptation.accepted ? "adapted" : "not adapted"}: ${adaptation.reason}${gain ? ` (${gain})` : ""}`;
}

/** As `MRR .299 → .316`; empty where it was not measured. */
export function gainOf(adaptation: Adaptation): string {
  const before = adaptation.figures?.["base, ranked"];
  const after = adaptation.figures?.["adapted, ranked"];
  return before === undefined || after === undefined ? "" : `MRR ${mrr(before)} → ${mrr(after)}`;
}

export function mrr(value: number): string {
  return value.toFixed(3).replace(/^0/, "");
}

async function work<V extends Verb>(folders: Folders, folder: Folder, verb: V, params: Verbs[V]["params"], title: string): Promise<Verbs[V]["result"] | undefined> {
  const several = folders.all.length > 1;
  try {
    return await vscode.window.withProgress(
      { location: vscode.ProgressLocation.Notification, title: `codesearch: ${title}${several ? ` ${folder.name}` : ""}`, cancellable: true },
      async (bar, token) => {
        const controller = new AbortController();
        token.onCancellationRequested(() => controller.abort());
        let reached = 0;
        const progress = (said: Progress) => {
          folder.progressed(said);
          const increment = Math.max(0, (said.percentage ?? reached) - reached);
          reached += increment;
          bar.report({ message: plain(sentence(said)), increment });
        };
        return await folder.backend.request(verb, params, { signal: controller.signal, progress });
      },
    );
  } catch (error) {
    if (!(error instanceof CancelledError)) void complain(error as Error, folders);
    return undefined;
  } finally {
    folder.progress = undefined;
    void folder.refresh();
  }
}

export function sentence({ stage, message, percentage, mrr: now, before }: Progress): string {
  const parts = [message || stage];
  if (percentage !== undefined) parts.push(`${Math.floor(percentage)} %`);
  if (now !== undefined) parts.push(before === undefined ? `MRR ${mrr(now)}` : `MRR ${mrr(now)} (was ${mrr(before)})`);
  return parts.join(", ");
}
