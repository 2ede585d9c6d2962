// One list from the answers of several folders. Scores come from different indexes and cannot be compared as they
// are: a folder's best result counts as much as the folder is sure of its answer, the others as their share of that.

import type { Answer, Result } from "./protocol";

export interface Hit<F> {
  folder: F;
  result: Result;
}

export function merge<F>(answers: readonly { folder: F; answer: Answer }[], limit: number): Hit<F>[] {
  const hits = answers.flatMap(({ folder, answer }) => {
    const best = Math.max(...answer.results.map((result) => result.score), Number.MIN_VALUE);
    const sure = answer.confidence ?? 0;
    return answer.results.map((result) => ({ folder, result, worth: sure * (result.score / best) }));
  });
  // A folder's own order stands even where its scores do not fall: the ranking spreads results over files.
  const floor = new Map<F, number>();
  for (const hit of hits) {
    hit.worth = Math.min(hit.worth, floor.get(hit.folder) ?? Number.POSITIVE_INFINITY);
    floor.set(hit.folder, hit.worth);
  }
  return hits
    .sort((a, b) => b.worth - a.worth)
    .slice(0, limit)
    .map(({ folder, result }) => ({ folder, result }));
}

export interface FileGroup<F> {
  folder: F;
  path: string;
  hits: Hit<F>[];
}

/** By file, files in the order of their best hit, hits by line. */
export function byFile<F>(hits: readonly Hit<F>[]): FileGroup<F>[] {
  const groups = new Map<F, Map<string, FileGroup<F>>>();
  const order: FileGroup<F>[] = [];
  for (const hit of hits) {
    const files = groups.get(hit.folder) ?? new Map<string, FileGroup<F>>();
    groups.set(hit.folder, files);
    let group = files.get(hit.result.path);
    if (!group) {
      group = { folder: hit.folder, path: hit.result.path, hits: [] };
      files.set(hit.result.path, group);
      order.push(group);
    }
    group.hits.push(hit);
  }
  for (const group of order) group.hits.sort((a, b) => a.result.start_line - b.result.start_line);
  return order;
}
