// A file shown behind the list, its lines highlighted, and everything as it was when the list is left without a choice.

import * as vscode from "vscode";
import type { Folder } from "./folders";
import type { Hit } from "./merge";

const lines = vscode.window.createTextEditorDecorationType({
  isWholeLine: true,
  backgroundColor: new vscode.ThemeColor("editor.rangeHighlightBackground"),
  overviewRulerColor: new vscode.ThemeColor("editorOverviewRuler.findMatchForeground"),
});

/** The lines of a hit in a document that may have become shorter since it was indexed. */
export function rangeOf(hit: Hit<Folder>, document: vscode.TextDocument): vscode.Range {
  const last = document.lineCount - 1;
  const start = Math.min(Math.max(hit.result.start_line - 1, 0), last);
  let end = Math.min(Math.max(hit.result.end_line - 1, start), last);
  while (end > start && document.lineAt(end).isEmptyOrWhitespace) end--;
  return new vscode.Range(start, 0, end, document.lineAt(end).text.length);
}

export async function open(hit: Hit<Folder>, options: vscode.TextDocumentShowOptions = {}): Promise<vscode.TextEditor> {
  const document = await vscode.workspace.openTextDocument(hit.folder.uri(hit.result.path));
  const range = rangeOf(hit, document);
  const editor = await vscode.window.showTextDocument(document, { ...options, selection: new vscode.Range(range.start, range.start) });
  editor.revealRange(range, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
  return editor;
}

export class Preview {
  private readonly before = vscode.window.activeTextEditor;
  private readonly beforeSelection = this.before?.selection;
  private readonly beforeRange = this.before?.visibleRanges[0];
  private readonly beforeTabs = new Set(tabs().map(keyOf));
  private editor: vscode.TextEditor | undefined;
  private last = 0;
  private opening: Promise<unknown> = Promise.resolve();

  show(hit: Hit<Folder>): Promise<void> {
    const shown = this.shown(hit, ++this.last);
    this.opening = shown.catch(() => {});
    return shown;
  }

  private async shown(hit: Hit<Folder>, turn: number): Promise<void> {
    const editor = await open(hit, { preview: true, preserveFocus: true });
    if (turn !== this.last) return;
    if (this.editor && this.editor !== editor) this.editor.setDecorations(lines, []);
    this.editor = editor;
    editor.setDecorations(lines, [rangeOf(hit, editor.document)]);
  }

  /** Takes the highlight away; and unless something was chosen, what was shown. */
  async leave(chosen: boolean): Promise<void> {
    const shown = this.last > 0;
    this.last = -1;
    // What is being opened cannot be stopped, and would come on top of what follows.
    await this.opening;
    this.editor?.setDecorations(lines, []);
    if (chosen || !shown) return;
    const ours = tabs().filter((tab) => tab.isPreview && !this.beforeTabs.has(keyOf(tab)));
    await vscode.window.tabGroups.close(ours, true);
    if (!this.before || !this.beforeSelection) return;
    const { document, viewColumn } = this.before;
    // Focus is left alone: by now a person may be typing into something else.
    const editor = await vscode.window.showTextDocument(document, { ...(viewColumn ? { viewColumn } : {}), preserveFocus: true });
    editor.selection = this.beforeSelection;
    if (this.beforeRange) editor.revealRange(this.beforeRange, vscode.TextEditorRevealType.AtTop);
  }
}

function tabs(): vscode.Tab[] {
  return vscode.window.tabGroups.all.flatMap((group) => group.tabs);
}

function keyOf(tab: vscode.Tab): string {
  const uri = tab.input instanceof vscode.TabInputText ? tab.input.uri.toString() : tab.label;
  return `${tab.group.viewColumn} ${uri}`;
}
