// The view of results: files, and in each its pieces of code. Of a question, or of what belongs to a piece of code.

import { basename, dirname } from "node:path/posix";
import * as vscode from "vscode";
import { type Asked, remark } from "./asking";
import type { Folder } from "./folders";
import { byFile, type FileGroup, type Hit } from "./merge";
import type { Relation, RelatedAnswer } from "./protocol";
import { firstLine, iconOf } from "./quickpick";
import { codeBlock, visible } from "./visible";

/** Lines of a piece of code in its tooltip. */
const TOOLTIP_LINES = 25;

const RELATIONS: readonly [Relation, string, string][] = [
  ["test", "Tests", "beaker"],
  ["documentation", "Documentation", "book"],
  ["caller", "Callers", "call-incoming"],
  ["similar", "Similar", "copy"],
];

type Node =
  | { is: "relation"; title: string; icon: string; hits: Hit<Folder>[] }
  | { is: "file"; group: FileGroup<Folder>; asked: boolean }
  | { is: "hit"; hit: Hit<Folder>; asked: boolean };

export type HitNode = Extract<Node, { is: "hit" }>;

export class Results implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  private readonly emitter = new vscode.EventEmitter<void>();
  private readonly view: vscode.TreeView<Node>;
  private roots: Node[] = [];
  readonly onDidChangeTreeData = this.emitter.event;
  /** The question whose answers are shown. */
  query: string | undefined;

  constructor() {
    this.view = vscode.window.createTreeView("codesearch.results", { treeDataProvider: this, showCollapseAll: true });
  }

  showAnswer(asked: Asked): void {
    this.query = asked.query;
    const message = [`“${visible(asked.query)}”`, remark(asked), asked.hits.length ? "" : "nothing here answers that"].filter(Boolean).join(" · ");
    this.show(filesOf(asked.hits, true), message);
  }

  showRelated(folder: Folder, answer: RelatedAnswer): void {
    this.query = undefined;
    const groups = RELATIONS.map(([relation, title, icon]) => {
      const hits = answer.related.filter((result) => result.relation === relation).map((result) => ({ folder, result }));
      return { is: "relation" as const, title, icon, hits };
    }).filter((group) => group.hits.length);
    const what = answer.symbol || `${answer.path}:${answer.start_line}`;
    this.show(groups, groups.length ? `Related to ${visible(what)}` : `Nothing is related to ${visible(what)}`);
  }

  clear(): void {
    this.query = undefined;
    this.show([], undefined);
  }

  getChildren(node?: Node): Node[] {
    if (!node) return this.roots;
    if (node.is === "relation") return filesOf(node.hits, false);
    if (node.is === "file") return node.group.hits.map((hit) => ({ is: "hit", hit, asked: node.asked }));
    return [];
  }

  getTreeItem(node: Node): vscode.TreeItem {
    if (node.is === "relation") {
      const item = new vscode.TreeItem(node.title, vscode.TreeItemCollapsibleState.Expanded);
      item.iconPath = new vscode.ThemeIcon(node.icon);
      item.description = String(node.hits.length);
      return item;
    }
    return node.is === "file" ? fileItem(node.group) : hitItem(node);
  }

  dispose(): void {
    this.view.dispose();
    this.emitter.dispose();
  }

  private show(roots: Node[], message: string | undefined): void {
    this.roots = roots;
    (this.view as { message: string | undefined }).message = message;
    this.emitter.fire();
    if (message !== undefined) void vscode.commands.executeCommand("codesearch.results.focus", { preserveFocus: true });
  }
}

function filesOf(hits: readonly Hit<Folder>[], asked: boolean): Node[] {
  return byFile(hits).map((group) => ({ is: "file", group, asked }));
}

function fileItem(group: FileGroup<Folder>): vscode.TreeItem {
  const item = new vscode.TreeItem(visible(basename(group.path)), vscode.TreeItemCollapsibleState.Expanded);
  item.resourceUri = group.folder.uri(group.path);
  item.iconPath = vscode.ThemeIcon.File;
  const folder = dirname(group.path);
  const several = (vscode.workspace.workspaceFolders?.length ?? 0) > 1;
  item.description = visible([several ? group.folder.name : "", folder === "." ? "" : folder].filter(Boolean).join(" · "));
  return item;
}

function hitItem(node: HitNode): vscode.TreeItem {
  const { symbol, text, start_line, end_line, kind, language, reasons } = node.hit.result;
  const item = new vscode.TreeItem(visible(symbol || firstLine(text)));
  item.iconPath = new vscode.ThemeIcon(iconOf(kind));
  item.description = start_line === end_line ? `${start_line}` : `${start_line}–${end_line}`;
  const code = text.split("\n").slice(0, TOOLTIP_LINES).join("\n");
  item.tooltip = new vscode.MarkdownString(codeBlock(code, language));
  if (reasons?.length) item.tooltip.appendText(reasons.map(({ name, worth }) => `${visible(name)} ${worth.toFixed(2)}`).join(", "));
  item.contextValue = node.asked ? "hit-asked" : "hit";
  item.command = { command: "codesearch.open", title: "Open", arguments: [node.hit] };
  return item;
}
