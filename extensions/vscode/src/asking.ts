// A question to all folders at once: one list, and what a person should know about it.

import * as vscode from "vscode";
import { CancelledError } from "./connection";
import type { Folder, Folders } from "./folders";
import { type Hit, merge } from "./merge";
import type { Answer, AskParams } from "./protocol";

export interface Asked {
  query: string;
  hits: Hit<Folder>[];
  /** Of folders that could not answer. */
  errors: Error[];
  /** Share of the files that could be searched, 0 to 1. */
  indexed: number;
  /** The index is still being built, or brought up to date: asked again, there may be more. */
  building: boolean;
}

export function askParams(query: string): AskParams {
  const settings = vscode.workspace.getConfiguration("codesearch");
  const tests = settings.get<string>("tests", "default");
  return { query, limit: settings.get("limit", 30), answer: false, ...(tests === "default" ? {} : { tests: tests === "yes" }) };
}

export async function ask(folders: Folders, query: string, signal?: AbortSignal): Promise<Asked> {
  const params = askParams(query);
  const errors: Error[] = [];
  // In the order of the folders, not of their answers, so that the same question gives the same list.
  const all = await Promise.all(
    folders.all.map(async (folder): Promise<{ folder: Folder; answer: Answer }[]> => {
      try {
        return [{ folder, answer: await folder.backend.request("ask", params, { signal }) }];
      } catch (error) {
        if (error instanceof CancelledError) throw error;
        errors.push(error as Error);
        return [];
      }
    }),
  );
  const answers = all.flat();
  return {
    query,
    hits: merge(answers, params.limit ?? 30),
    errors,
    indexed: Math.min(1, ...answers.map(({ answer }) => answer.indexed)),
    building: answers.some(({ answer }) => answer.indexed < 1 || answer.state !== "fresh"),
  };
}

/** What the list cannot say by itself; empty when all is well. */
export function remark(asked: Asked): string {
  if (asked.indexed < 1) return `indexing, ${Math.floor(asked.indexed * 100)} % searched`;
  return asked.building ? "files that were changed just now are not searched yet" : "";
}
