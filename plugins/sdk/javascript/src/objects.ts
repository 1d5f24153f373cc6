/** An object of the store, read as bytes, as text or as lines. */

import { Reject } from "./failure.ts";
import type { Compression, Source } from "./host.ts";

/** The longest line of a text. */
const MAX_LINE = 8 * 1024 * 1024;
const NEWLINE = 10;

/** How an object is read from start to end. */
export interface ReadOptions {
  /** By default what the key's ending says (.gz, .zst, .bz2). */
  readonly compression?: Compression;
}

/** One version of one object. Every read is of the version that was opened, or fails as `ObjectChanged`. */
export class StoredObject {
  readonly uri: string;
  /** In bytes, as stored. */
  readonly size: number;
  readonly etag: string;
  readonly #source: Source;

  constructor(source: Source) {
    this.#source = source;
    ({ uri: this.uri, size: this.size, etag: this.etag } = source.entry);
  }

  /** `length` bytes (at most 8 MiB) from `offset`, or up to the end. Nothing is decompressed. */
  read(offset: number, length: number): Uint8Array {
    return this.#source.read(offset, length);
  }

  /** The whole object in order, decompressed. `size` is in bytes, 4 KiB to 8 MiB; the host chooses without it. */
  chunks(options: ReadOptions & { readonly size?: number } = {}): Iterable<Uint8Array> {
    return this.#source.chunks(options.size ?? 0, options.compression ?? "auto");
  }

  /** The whole object as one array of bytes, decompressed. */
  bytes(options: ReadOptions = {}): Uint8Array {
    return join([...this.chunks(options)]);
  }

  /** The whole object as one text in UTF-8, decompressed. */
  text(options: ReadOptions = {}): string {
    return decode(this.bytes(options), this.uri, 1);
  }

  /** The lines of a text in UTF-8 without their ends (`\n` or `\r\n`), decompressed. */
  *lines(options: ReadOptions = {}): Generator<string, void, void> {
    let number = 1;
    for (const block of wholeLines(this.chunks(options), this.uri)) {
      const lines = decode(block, this.uri, number).split("\n");
      number += lines.length - 1;
      if (lines.at(-1) === "") lines.pop();
      for (const line of lines) yield line.endsWith("\r") ? line.slice(0, -1) : line;
    }
  }

  /** Gives back what the host holds for it; the end of the item does the same. */
  close(): void {
    this.#source.close();
  }
}

/** Cuts chunks at ends of lines: many lines are decoded at once. */
function* wholeLines(chunks: Iterable<Uint8Array>, uri: string): Generator<Uint8Array, void, void> {
  let rest: Uint8Array[] = [];
  let size = 0;
  for (const chunk of chunks) {
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    if (end > 0) {
      yield join([...rest, chunk.subarray(0, end)]);
      [rest, size] = [[], 0];
    }
    if (end < chunk.length) rest.push(chunk.subarray(end));
    size += chunk.length - end;
    if (size > MAX_LINE) throw new Reject("RecordTooLong", `${uri}: a line has more than ${MAX_LINE} bytes`);
  }
  if (rest.length > 0) yield join(rest);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const [first, ...others] = parts;
  if (first === undefined) return new Uint8Array();
  if (others.length === 0) return first;
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function decode(bytes: Uint8Array, uri: string, line: number): string {
  try {
    // Only the first line of an object may begin with a byte order mark.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: line > 1 }).decode(bytes);
  } catch {
    throw new Reject("NotUtf8", `${uri} is not UTF-8, at line ${line} or later`);
  }
}
