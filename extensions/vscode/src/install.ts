// What to do when the Python side is not there, does not start, or is too old: says so, and types the command that helps
// into a terminal. It is a person who runs it.

import * as vscode from "vscode";
import { CancelledError, RefusedError } from "./connection";
import { OWN_ENVIRONMENT } from "./find";
import type { Folders } from "./folders";
import { message } from "./visible";

// It ends where a person goes on: codesearch is in no package index, so a name from one would be a stranger's.
const WINDOWS = `py -m venv "$HOME/${OWN_ENVIRONMENT}"; & "$HOME/${OWN_ENVIRONMENT}/Scripts/pip" install `;
const OTHERS = `python3 -m venv ~/${OWN_ENVIRONMENT} && ~/${OWN_ENVIRONMENT}/bin/pip install `;

export function isMissing(folders: Folders): boolean {
  return folders.all.some((folder) => folder.missing);
}

export async function complain(error: Error, folders: Folders): Promise<void> {
  if (error instanceof CancelledError) return;
  if (isMissing(folders)) {
    const choice = await vscode.window.showErrorMessage(`codesearch: ${message(error.message)}. It is a Python program (3.11 or newer) of its own.`, "Install in a Terminal", "Set the Path");
    if (choice === "Install in a Terminal") install();
    if (choice === "Set the Path") void vscode.commands.executeCommand("workbench.action.openSettings", "codesearch.command");
    return;
  }
  const advice = error instanceof RefusedError && error.advice ? `. ${error.advice}` : "";
  const choice = await vscode.window.showErrorMessage(`codesearch: ${message(error.message + advice)}`, "Restart", "Show the Log");
  if (choice === "Restart") void vscode.commands.executeCommand("codesearch.restart");
  if (choice === "Show the Log") void vscode.commands.executeCommand("codesearch.log");
}

export function install(): void {
  const terminal = vscode.window.createTerminal("Install codesearch");
  terminal.show();
  terminal.sendText(process.platform === "win32" ? WINDOWS : OTHERS, false);
  void vscode.window.showInformationMessage("Type the folder of your copy of codesearch at the end of the line, and Enter. Then ask again: it is found there.");
}
