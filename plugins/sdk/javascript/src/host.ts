/** What a plugin stands on: the component's imports when it runs in gristmill, local files when it is tested. */

import type { Block } from "./block.ts";
import type { Request, StoredType } from "./request.ts";

/** How the bytes of an object are compressed; by default as its key's ending says (.gz, .zst, .bz2). */
export type Compression = "auto" | "none" | "gzip" | "zstd" | "bzip2";

/** One object of a listing. */
export interface Entry {
  readonly uri: string;
  /** In bytes, as stored. */
  readonly size: number;
  readonly etag: string;
}

/** One version of one object. */
export interface Source {
  readonly entry: Entry;
  read(offset: number, length: number): Uint8Array;
  chunks(size: number, compression: Compression): Iterable<Uint8Array>;
  close(): void;
}

/** A table as the host has opened it. */
export interface Opened {
  readonly columns: ReadonlyMap<string, StoredType>;
  readonly blocks: Iterable<Block>;
  close(): void;
}

export type Level = "trace" | "debug" | "info" | "warn" | "error";

/** Everything that a plugin can reach. Errors come as the failures of `failure.ts`. */
export interface Host {
  open(uri: string): Source;
  list(prefix: string): Iterable<Entry>;
  scan(uri: string, request: Request): Opened;
  emit(output: string, jsonLines: string): void;
  count(name: string, value: number): void;
  observe(name: string, value: number): void;
  log(level: Level, message: string): void;
}
