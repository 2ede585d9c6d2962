// Where the program `codesearch` is: the setting, then a trusted folder's virtual environment, then PATH, then where
// pipx, uv and this extension's own advice put programs. Only full paths come out of here, so nothing is searched for later.

import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join, relative, resolve } from "node:path";
import { homedir } from "node:os";

export interface Where {
  /** What the setting says, already cleared of what an untrusted folder wrote there. */
  setting: string;
  folder: string;
  trusted: boolean;
  path: string;
  home?: string;
  windows?: boolean;
}

export type Found = { command: string; by: "setting" | "environment" | "path" | "home" };

/** The virtual environment that this extension advises to make, in the home folder. */
export const OWN_ENVIRONMENT = ".local/share/codesearch/venv";

/** Not found; `because` says of the setting what is wrong with it, where there is one. */
export class NotFoundError extends Error {}

export async function find(where: Where): Promise<Found> {
  const windows = where.windows ?? process.platform === "win32";
  const name = windows ? "codesearch.exe" : "codesearch";
  const home = where.home ?? homedir();
  const setting = where.setting.trim();
  if (setting) {
    // What a person has set is not replaced by something else: that would hide the mistake.
    const command = setting.startsWith("~/") ? join(home, setting.slice(2)) : setting;
    if (!isAbsolute(command)) throw new NotFoundError(`the setting codesearch.command is no full path: ${setting}`);
    if (!(await runs(command))) throw new NotFoundError(`the setting codesearch.command names no program: ${setting}`);
    return { command, by: "setting" };
  }
  const bin = windows ? "Scripts" : "bin";
  const places: Found[] = [];
  if (where.trusted)
    for (const environment of [".venv", "venv", "env"]) places.push({ command: join(where.folder, environment, bin, name), by: "environment" });
  for (const entry of where.path.split(delimiter))
    if (isAbsolute(entry) && (where.trusted || !inside(entry, where.folder))) places.push({ command: join(entry, name), by: "path" });
  places.push({ command: join(home, ".local", "bin", name), by: "home" }, { command: join(home, OWN_ENVIRONMENT, bin, name), by: "home" });
  for (const place of places) if (await runs(place.command)) return place;
  throw new NotFoundError("the program codesearch was not found");
}

function inside(path: string, folder: string): boolean {
  const way = relative(resolve(folder), resolve(path));
  return way === "" || (!way.startsWith("..") && !isAbsolute(way));
}

async function runs(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
