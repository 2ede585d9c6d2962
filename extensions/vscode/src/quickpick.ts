// The list that searches while you type: the file of the active line shows behind it, Enter opens it.

import { basename, dirname } from "node:path/posix";
import * as vscode from "vscode";
import { type Asked, ask, remark } from "./asking";
import type { Folder, Folders } from "./folders";
import { Latest } from "./latest";
import type { Hit } from "./merge";
import { open, Preview } from "./preview";
import { complain, isMissing } from "./install";
import { label } from "./visible";

/** Milliseconds without a key before it asks: who types leaves 60 or more between two, so that waiting longer spares nothing. */
const PAUSE = 20;
/** Milliseconds that a line is active before its file is opened: moving fast opens nothing. */
const PREVIEW_PAUSE = 90;
/** Milliseconds before the same question is asked again of an index that is still being built. */
const AGAIN = 1000;

interface Item extends vscode.QuickPickItem {
  hit?: Hit<Folder>;
}

const SIDE: vscode.QuickInputButton = { iconPath: new vscode.ThemeIcon("split-horizontal"), tooltip: "Open to the Side" };
const KEEP: vscode.QuickInputButton = { iconPath: new vscode.ThemeIcon("list-tree"), tooltip: "Keep in the Results View" };

export function pick(folders: Folders, keep: (asked: Asked) => void): void {
  const list = vscode.window.createQuickPick<Item>();
  // Not declared, but heeded: without it, lines whose name resembles the question would come first.
  (list as unknown as { sortByLabel: boolean }).sortByLabel = false;
  list.title = "codesearch";
  list.placeholder = "Ask your code: where are failed requests retried?";
  list.buttons = [KEEP];
  const several = folders.all.length > 1;
  const preview = vscode.workspace.getConfiguration("codesearch").get("preview", true) ? new Preview() : undefined;
  let asked: Asked | undefined;
  let chosen: { hit: Hit<Folder>; options: vscode.TextDocumentShowOptions } | undefined;
  let complained = false;

  const showing = new Latest<void>(PREVIEW_PAUSE, () => {}, () => {});
  const searching = new Latest<Asked>(
    PAUSE,
    (answer) => {
      asked = answer;
      list.busy = false;
      showItems(itemsOf(answer, several));
      list.title = ["codesearch", remark(answer)].filter(Boolean).join(": ");
      const error = answer.errors[0];
      if (error && !answer.hits.length && isMissing(folders) && !complained) {
        complained = true;
        list.hide();
        void complain(error, folders);
      } else if (answer.building) {
        list.busy = true;
        searching.run((signal) => ask(folders, answer.query, signal), AGAIN);
      }
    },
    (error) => {
      list.busy = false;
      list.items = [said("$(error)", error.message)];
    },
  );

  // The line that a person has moved to stays theirs when the same question is answered by more of the index.
  const showItems = (items: Item[]) => {
    const active = list.activeItems[0]?.hit?.result.id;
    const moved = moving && active !== undefined;
    list.items = items;
    const same = moved ? items.find(({ hit }) => hit?.result.id === active) : undefined;
    if (same) list.activeItems = [same];
  };
  let moving = false;

  list.onDidChangeValue((value) => {
    showing.cancel();
    moving = false;
    if (!value.trim()) {
      searching.cancel();
      asked = undefined;
      list.items = [];
      list.busy = false;
      return;
    }
    list.busy = true;
    searching.run((signal) => ask(folders, value.trim(), signal));
  });
  list.onDidChangeActive(([item]) => {
    const hit = item?.hit;
    moving = item !== undefined && item !== list.items[0];
    if (hit && preview) showing.run(() => preview.show(hit));
  });
  const choose = (hit: Hit<Folder> | undefined, options: vscode.TextDocumentShowOptions) => {
    if (!hit) return;
    chosen = { hit, options };
    list.hide();
  };
  list.onDidAccept(() => choose(list.activeItems[0]?.hit, {}));
  list.onDidTriggerItemButton(({ item }) => choose(item.hit, { viewColumn: vscode.ViewColumn.Beside }));
  list.onDidTriggerButton(() => {
    if (!asked) return;
    keep(asked);
    list.hide();
  });
  list.onDidHide(async () => {
    searching.cancel();
    showing.cancel();
    list.dispose();
    try {
      await preview?.leave(chosen !== undefined);
      if (chosen) await open(chosen.hit, { ...chosen.options, preview: false });
    } catch (error) {
      void vscode.window.showErrorMessage(`codesearch: ${(error as Error).message}`);
    }
  });
  list.show();
}

function itemsOf(asked: Asked, several: boolean): Item[] {
  const items = asked.hits.map((hit) => itemOf(hit, several));
  for (const error of asked.errors) items.push(said("$(warning)", error.message));
  return items.length ? items : [said("$(info)", asked.indexed < 1 ? "Nothing yet; the index is being built" : "Nothing here answers that")];
}

function itemOf(hit: Hit<Folder>, several: boolean): Item {
  const { path, start_line, symbol, text, kind } = hit.result;
  const folder = dirname(path);
  const where = [several ? hit.folder.name : "", folder === "." ? "" : folder].filter(Boolean).join(" · ");
  return {
    hit,
    label: `$(${iconOf(kind)}) ${label(symbol || firstLine(text)).slice(0, 120)}`,
    description: label(`${basename(path)}:${start_line}${where && `  ${where}`}`),
    alwaysShow: true,
    buttons: [SIDE],
  };
}

/** A line that is no result. */
function said(icon: string, text: string): Item {
  return { label: `${icon} ${label(text)}`, alwaysShow: true };
}

export function firstLine(text: string): string {
  return text.trim().split("\n", 1)[0] ?? "";
}

/** The codicon of a kind of chunk. */
export function iconOf(kind: string): string {
  if (kind === "method" || kind === "function") return `symbol-${kind}`;
  if (kind.includes("class") || kind.includes("outline")) return "symbol-class";
  return kind.includes("section") ? "book" : "file-code";
}
