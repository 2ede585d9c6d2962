import { Injectable, Inject } from '@angular/core';
import type { Observable } from 'rxjs';

export type Id = string | number;

/** Everything a record can be in. */
export type State =
  | { kind: 'new' }
  | { kind: 'stored'; id: Id }
  | { kind: 'gone' };

export enum Level {
  Debug = 1,
  Info,
  Error = 'error',
}

/**
 * What a store must do.
 */
export interface Store<T extends object> {
  readonly size: number;
  get(id: Id): Promise<T | undefined>;
  put(value: T): Promise<Id>;
}

@Injectable({
  providedIn: 'root',
})
export class MemoryStore<T extends object> implements Store<T> {
  private readonly rows = new Map<Id, T>();
  @Inject('clock') protected clock!: () => number;

  constructor(private readonly name: string, public readonly limit = 100) {}

  get size(): number {
    return this.rows.size;
  }

  get(id: Id): Promise<T | undefined>;
  get(id: Id, fallback: T): Promise<T>;
  /** Looks a row up. */
  async get(id: Id, fallback?: T): Promise<T | undefined> {
    return this.rows.get(id) ?? fallback;
  }

  @Log({ level: Level.Debug })
  async put(value: T): Promise<Id> {
    const id = this.rows.size + 1;
    this.rows.set(id, value);
    return id;
  }

  evict = <K extends Id>(ids: K[]): void => {
    for (const id of ids) {
      this.rows.delete(id);
    }
  };
}

export abstract class Repository<T> {
  abstract find(id: Id): T;

  protected all(): T[] {
    return [];
  }
}

export namespace Keys {
  const SEPARATOR = ':';

  export function join(...parts: Id[]): string {
    return parts.join(SEPARATOR);
  }
}

declare module 'express' {
  interface Request {
    store: Store<object>;
  }
}

declare function legacy(name: string): void;

export function assertIs<T>(value: unknown, test: (value: unknown) => value is T): asserts value is T {
  if (!test(value)) {
    throw new TypeError('unexpected');
  }
}

// Curried, so that pipelines read left to right.
export const pipe =
  <A, B>(f: (a: A) => B) =>
  (a: A): B =>
    f(a);

export default class extends Repository<string> {
  find(id: Id): string {
    return String(id);
  }
}
