/**
 * The desk: runs a plugin on local files in Node, so that its author tests with vitest.
 *
 * Rows are checked against the declared columns as the host does it. A failure comes out as the error that it is.
 */

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

import { call } from "./call.ts";
import { objectFailure, Reject } from "./failure.ts";
import { fits } from "./fits.ts";
import { type Given, scan } from "./given.ts";
import type { Compression, Entry, Host, Level, Opened, Source } from "./host.ts";
import { shown } from "./names.ts";
import type { Plugin } from "./plugin.ts";
import type { Request } from "./request.ts";
import type { Outputs, Settings } from "./types.ts";

export type { Given } from "./given.ts";

const CHUNK = 1024 * 1024;
const MAX_READ = 8 * 1024 * 1024;

/** What an item is run with. */
export interface Desk {
  /** `BatchInput` of the Distributed Map. */
  readonly batchInput?: unknown;
  /** The dataset file's `[settings]`. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** From URIs to bytes, text, or a local file (`new URL("./sample.csv", import.meta.url)`). */
  readonly objects?: Readonly<Record<string, Uint8Array | string | URL>>;
  /** From the URIs that the plugin gives to `ctx.table` to rows or columns: the desk decodes no Parquet. */
  readonly tables?: Readonly<Record<string, Given>>;
  /** A folder that stands for the store: `s3://bucket/key` is `folder/bucket/key`. */
  readonly folder?: string | URL;
  /** The dataset file's `[grants]`: prefixes of what may be read; everything without it. */
  readonly read?: readonly string[];
  readonly dataset?: string;
  readonly index?: number;
}

/** What one item gave. */
export interface Result<N extends string = string> {
  /** What `process` returned, as it comes out of JSON; null for nothing. */
  readonly value: any;
  /** For each declared output its rows, as they come out of JSON. */
  readonly rows: Readonly<Record<N, readonly any[]>>;
  readonly counts: Readonly<Record<string, number>>;
  readonly observations: Readonly<Record<string, readonly number[]>>;
}

/** Runs one item. */
export async function run<S extends Settings, O extends Outputs, I>(
  plugin: Plugin<S, O, I>,
  item: NoInfer<I>,
  desk: Desk = {},
): Promise<Result<keyof O & string>> {
  const host = new DeskHost(plugin as unknown as Plugin, desk);
  const given = {
    dataset: desk.dataset ?? "desk",
    batchInput: JSON.stringify(desk.batchInput ?? null),
    settings: JSON.stringify(desk.settings ?? {}),
    index: desk.index ?? 0,
    body: JSON.stringify(item),
  };
  const value = await call(plugin as unknown as Plugin, host, given);
  const { rows, counts, observations } = host;
  return {
    value: value === null ? null : JSON.parse(value),
    rows: rows as Record<keyof O & string, unknown[]>,
    counts,
    observations,
  };
}

class DeskHost implements Host {
  readonly #plugin: Plugin;
  readonly #desk: Desk;
  readonly #folder: string | undefined;
  readonly rows: Record<string, unknown[]>;
  readonly counts: Record<string, number> = {};
  readonly observations: Record<string, number[]> = {};

  constructor(plugin: Plugin, desk: Desk) {
    this.#plugin = plugin;
    this.#desk = desk;
    this.#folder = desk.folder instanceof URL ? fileURLToPath(desk.folder) : desk.folder;
    this.rows = Object.fromEntries([...plugin.outputs.keys()].map((name) => [name, []]));
  }

  open(uri: string): Source {
    if (!/^s3:\/\/[^/]+\/./s.test(uri)) throw objectFailure("invalid", `${uri}: not of the form s3://bucket/key`);
    this.#granted(uri);
    const content = this.#content(uri);
    if (content === undefined) throw objectFailure("not-found", `${uri}: there is no such object`);
    return new DeskSource(uri, content);
  }

  *list(prefix: string): Generator<Entry, void, void> {
    this.#granted(prefix);
    const uris = new Set(Object.keys(this.#desk.objects ?? {}));
    const folder = this.#folder;
    if (folder !== undefined) {
      const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
      const files = names.filter((name) => statSync(join(folder, name)).isFile());
      for (const name of files) uris.add(`s3://${name.split(sep).join("/")}`);
    }
    const sorted = [...uris]
      .filter((uri) => uri.startsWith(prefix))
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (const uri of sorted) yield this.open(uri).entry;
  }

  scan(uri: string, request: Request): Opened {
    this.#granted(uri);
    const given = this.#desk.tables?.[uri];
    if (given !== undefined) return scan(uri, given, request);
    throw objectFailure("not-found", `${uri}: there is no such table; the desk has those that \`tables\` gives`);
  }

  emit(output: string, jsonLines: string): void {
    const columns = this.#plugin.outputs.get(output)?.columns ?? [];
    const rows = this.rows[output] ?? [];
    for (const line of jsonLines.trimEnd().split("\n")) {
      const row = JSON.parse(line) as Record<string, unknown>;
      const wrong = columns.find((column) => !fits(row[column.name] ?? null, column, line));
      if (wrong !== undefined) {
        const { name, type, nullable } = wrong;
        const what = `${name} is ${shown(row[name] ?? null)}, not ${type}${nullable ? " or null" : ""}`;
        throw new Reject("OutputInvalid", `output ${output}, row ${rows.length + 1}: ${what}`);
      }
      rows.push(row);
    }
  }

  count(name: string, value: number): void {
    this.counts[name] = (this.counts[name] ?? 0) + value;
  }

  observe(name: string, value: number): void {
    this.observations[name] = [...(this.observations[name] ?? []), value];
  }

  log(level: Level, message: string): void {
    console.log(`${level}: ${message}`);
  }

  #granted(uri: string): void {
    const { read } = this.#desk;
    if (read === undefined || read.some((prefix) => uri.startsWith(prefix))) return;
    throw objectFailure(
      "denied",
      `${uri}: the dataset file does not grant it; add its prefix to \`read\` under [grants]`,
    );
  }

  /** Plain bytes, as the host gives them: Node's `Buffer` would know more. */
  #content(uri: string): Uint8Array | undefined {
    const given = this.#desk.objects?.[uri];
    if (typeof given === "string") return new TextEncoder().encode(given);
    if (given instanceof Uint8Array) return new Uint8Array(given);
    if (given === undefined && this.#folder === undefined) return undefined;
    const path = given ?? join(this.#folder as string, uri.slice("s3://".length));
    return existsSync(path) && statSync(path).isFile() ? new Uint8Array(readFileSync(path)) : undefined;
  }
}

class DeskSource implements Source {
  readonly entry: Entry;
  readonly #content: Uint8Array;

  constructor(uri: string, content: Uint8Array) {
    this.#content = content;
    this.entry = { uri, size: content.length, etag: createHash("sha256").update(content).digest("hex").slice(0, 32) };
  }

  read(offset: number, length: number): Uint8Array {
    const { uri, size } = this.entry;
    if (length > MAX_READ) throw objectFailure("too-large", `${uri}: a read is at most ${MAX_READ} bytes`);
    if (offset > size) throw objectFailure("invalid", `${uri}: offset ${offset} lies past the end (${size} bytes)`);
    return this.#content.slice(offset, offset + length);
  }

  *chunks(size: number, compression: Compression): Generator<Uint8Array, void, void> {
    const content = decompressed(this.#content, this.entry.uri, compression);
    const step = size === 0 ? CHUNK : Math.min(Math.max(size, 4096), MAX_READ);
    for (let start = 0; start < content.length; start += step) yield content.slice(start, start + step);
  }

  close(): void {}
}

const ENDINGS = [
  [".gz", "gzip"],
  [".zst", "zstd"],
  [".bz2", "bzip2"],
] as const;

function decompressed(content: Uint8Array, uri: string, compression: Compression): Uint8Array {
  const kind = compression === "auto" ? ENDINGS.find(([ending]) => uri.endsWith(ending))?.[1] : compression;
  if (kind === undefined || kind === "none") return content;
  if (kind !== "gzip") throw new Error(`${uri}: the desk does not read ${kind}, because Node does not; test with gzip`);
  try {
    return new Uint8Array(gunzipSync(content));
  } catch (error) {
    throw objectFailure("invalid", `${uri}: damaged gzip: ${(error as Error).message}`);
  }
}
