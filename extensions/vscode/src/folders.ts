// One backend for each folder of the workspace, started when it is first asked; what each is doing, for those who show it.

import { isAbsolute } from "node:path";
import * as vscode from "vscode";
import { Backend, type BackendState } from "./backend";
import { find, NotFoundError } from "./find";
import type { Progress, Status } from "./protocol";

export class Folder {
  readonly backend: Backend;
  status: Status | undefined;
  /** What is being done now, by whoever asked for it. */
  progress: Progress | undefined;
  missing = false;

  constructor(
    readonly workspaceFolder: vscode.WorkspaceFolder,
    version: string,
    private readonly changed: () => void,
    private readonly log: vscode.LogOutputChannel,
  ) {
    this.backend = new Backend({
      root: workspaceFolder.uri.fsPath,
      trusted: () => vscode.workspace.isTrusted,
      launch: () => this.launch(),
      client: { name: "vscode", version },
      changed: (state) => this.became(state),
      unasked: (progress) => this.progressed(progress),
      log: (line) => log.info(`[${this.name}] ${line}`),
    });
  }

  get name(): string {
    return this.workspaceFolder.name;
  }

  get state(): BackendState {
    return this.backend.state;
  }

  uri(path: string): vscode.Uri {
    // The backend answers from this folder alone; what says otherwise is not opened.
    if (isAbsolute(path) || path.split("/").includes("..")) throw new Error(`${path} is not in ${this.name}`);
    return vscode.Uri.joinPath(this.workspaceFolder.uri, path);
  }

  progressed(progress: Progress): void {
    if (progress.stage === "warning") return this.log.warn(`[${this.name}] ${progress.message}`);
    this.progress = progress.kind === "end" ? undefined : progress;
    this.changed();
    if (progress.kind === "end") void this.refresh();
  }

  async refresh(): Promise<Status | undefined> {
    try {
      this.status = await this.backend.request("status", {});
    } catch (error) {
      this.log.warn(`[${this.name}] ${(error as Error).message}`);
    }
    this.changed();
    return this.status;
  }

  private async launch() {
    const settings = vscode.workspace.getConfiguration("codesearch", this.workspaceFolder);
    const where = { setting: settings.get("command", ""), folder: this.workspaceFolder.uri.fsPath, trusted: vscode.workspace.isTrusted, path: process.env["PATH"] ?? "" };
    try {
      const { command } = await find(where);
      this.missing = false;
      return { command, args: settings.get<string[]>("arguments", []) };
    } catch (error) {
      this.missing = error instanceof NotFoundError;
      throw error;
    } finally {
      void vscode.commands.executeCommand("setContext", "codesearch.backend", this.missing ? "missing" : "found");
    }
  }

  private became(state: BackendState): void {
    if (state.is !== "running") this.progress = undefined;
    this.changed();
    if (state.is === "running") void this.refresh();
  }
}

export class Folders implements vscode.Disposable {
  private readonly folders = new Map<string, Folder>();
  private readonly emitter = new vscode.EventEmitter<void>();
  private readonly listeners: vscode.Disposable[];
  readonly onDidChange = this.emitter.event;

  constructor(
    private readonly version: string,
    private readonly log: vscode.LogOutputChannel,
  ) {
    this.reconcile();
    this.listeners = [
      vscode.workspace.onDidChangeWorkspaceFolders(() => this.reconcile()),
      // What was started with less trust, or another command, is started anew.
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.restart()),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (change.affectsConfiguration("codesearch.command") || change.affectsConfiguration("codesearch.arguments")) this.restart();
      }),
    ];
  }

  get all(): Folder[] {
    return [...this.folders.values()];
  }

  of(uri: vscode.Uri): Folder | undefined {
    const folder = vscode.workspace.getWorkspaceFolder(uri);
    return folder && this.folders.get(folder.uri.toString());
  }

  /** The only folder, that of the editor, or the one that a person picks. */
  async choose(title: string): Promise<Folder | undefined> {
    if (this.folders.size <= 1) return this.all[0];
    const items = this.all.map((folder) => ({ label: folder.name, description: folder.workspaceFolder.uri.fsPath, folder }));
    return (await vscode.window.showQuickPick(items, { title }))?.folder;
  }

  /** Starts again what runs or has failed; what was never asked stays off. */
  restart(): void {
    for (const folder of this.all) if (folder.state.is !== "off") folder.backend.restart().catch(() => {});
  }

  dispose(): void {
    for (const listener of this.listeners) listener.dispose();
    for (const folder of this.all) folder.backend.dispose();
    this.emitter.dispose();
  }

  private reconcile(): void {
    const wanted = new Map((vscode.workspace.workspaceFolders ?? []).filter((folder) => folder.uri.scheme === "file").map((folder) => [folder.uri.toString(), folder]));
    for (const [key, folder] of this.folders)
      if (!wanted.has(key)) {
        folder.backend.dispose();
        this.folders.delete(key);
      }
    for (const [key, folder] of wanted)
      if (!this.folders.has(key)) this.folders.set(key, new Folder(folder, this.version, () => this.emitter.fire(), this.log));
    this.emitter.fire();
  }
}
