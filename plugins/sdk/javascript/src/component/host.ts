/** The host as a component has it: the contract's imports, in this package's words. */

import * as metrics from "gristmill:plugin/metrics@0.1.0";
import * as objects from "gristmill:plugin/objects@0.1.0";
import * as output from "gristmill:plugin/output@0.1.0";
import * as tables from "gristmill:plugin/tables@0.1.0";
import * as logging from "wasi:logging/logging@0.1.0-draft";

import { arrow, type Block } from "../block.ts";
import { type Failure, objectFailure, Reject } from "../failure.ts";
import type { Compression, Entry, Host, Opened, Source } from "../host.ts";
import type { Asked, Request, StoredType } from "../request.ts";

/** How an engine takes a 64-bit number: QuickJS as a number, SpiderMonkey as a bigint. */
export type To64 = (value: number) => bigint;

const COMPARISONS: Readonly<Record<Asked["comparison"], tables.Comparison>> = {
  "==": "equal",
  "!=": "not-equal",
  "<": "less",
  "<=": "less-or-equal",
  ">": "greater",
  ">=": "greater-or-equal",
  "is null": "is-null",
  "is not null": "is-not-null",
};
const OUTPUT_ERRORS: Readonly<Record<output.Error["tag"], string>> = {
  "no-such-output": "NoSuchOutput",
  invalid: "OutputInvalid",
  "too-large": "OutputTooLarge",
};

export function componentHost(to64: To64): Host {
  const encoder = new TextEncoder();
  return {
    open: (uri) =>
      source(
        asked(() => objects.open(uri)),
        to64,
      ),
    list,
    scan: (uri, request) => scan(uri, request, to64),
    emit: (name, jsonLines) => {
      try {
        output.emit(name, { tag: "json-lines", val: encoder.encode(jsonLines) });
      } catch (error) {
        const { tag, val } = payload<output.Error>(error);
        throw new Reject(OUTPUT_ERRORS[tag], `output ${name}: ${val}`);
      }
    },
    count: (name, value) => metrics.count(name, to64(value)),
    observe: (name, value) => metrics.observe(name, value),
    log: (level, message) => logging.log(level, "plugin", message),
  };
}

function source(object: objects.Object, to64: To64): Source {
  const { uri, size, etag } = object.metadata();
  let isOpen = true;
  return {
    entry: { uri, size: Number(size), etag },
    read: (offset, length) => asked(() => object.read(to64(offset), length)),
    *chunks(size: number, compression: Compression): Generator<Uint8Array, void, void> {
      const chunks = asked(() => object.chunks({ size, compression }));
      try {
        for (let chunk = asked(() => chunks.next()); chunk; chunk = asked(() => chunks.next())) yield chunk;
      } finally {
        chunks[Symbol.dispose]();
      }
    },
    close: () => {
      if (isOpen) object[Symbol.dispose]();
      isOpen = false;
    },
  };
}

function* list(prefix: string): Generator<Entry, void, void> {
  const listing = asked(() => objects.list(prefix));
  try {
    for (let page = asked(() => listing.next()); page.length > 0; page = asked(() => listing.next())) {
      for (const { uri, size, etag } of page) yield { uri, size: Number(size), etag };
    }
  } finally {
    listing[Symbol.dispose]();
  }
}

function scan(uri: string, request: Request, to64: To64): Opened {
  const handle = asked(() => tables.open(uri, options(request, to64)));
  const asBigint = new Set(request.columns?.filter(({ type }) => type === "bigint").map(({ name }) => name));
  const columns = handle.columns().map(({ name, type }) => [name, asBigint.has(name) ? "bigint" : type] as const);
  const types = new Map<string, StoredType | "bigint">(columns);
  let isOpen = true;
  const close = () => {
    if (isOpen) handle[Symbol.dispose]();
    isOpen = false;
  };
  function* blocks(): Generator<Block, void, void> {
    try {
      for (let block = asked(() => handle.next()); block; block = asked(() => handle.next()))
        yield arrow(block, types, uri);
    } finally {
      close();
    }
  }
  return { columns: types as ReadonlyMap<string, StoredType>, blocks: blocks(), close };
}

function options(request: Request, to64: To64): tables.ScanOptions {
  const { columns, where, format, header, delimiter, blockRows } = request;
  const wanted = columns?.map(({ name, type, optional }) => {
    return { name, type: type === "bigint" ? ("int64" as const) : (type ?? null), optional };
  });
  return {
    format:
      format === undefined
        ? { tag: "auto" }
        : format === "csv"
          ? { tag: "csv", val: { header: header === undefined, names: [...(header ?? [])], delimiter } }
          : { tag: format },
    compression: "auto",
    columns: wanted ?? null,
    where: where.map(({ column, comparison, value }) => {
      return { column, comparison: COMPARISONS[comparison], value: value === undefined ? null : literal(value, to64) };
    }),
    blockRows,
    encoding: "arrow-ipc",
  };
}

function literal(value: NonNullable<Asked["value"]>, to64: To64): tables.Literal {
  switch (typeof value) {
    case "boolean":
      return { tag: "boolean", val: value };
    case "number":
      return Number.isSafeInteger(value) ? { tag: "int64", val: to64(value) } : { tag: "float64", val: value };
    default:
      // The host casts a text to the column's type: so a 64-bit number reaches it whole from every engine.
      return { tag: "text", val: String(value) };
  }
}

/** What a call of the host gives; its errors as failures, each of its own kind. */
function asked<T>(ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    throw fromHost(error);
  }
}

function fromHost(error: unknown): Failure {
  const { tag, val } = payload<objects.Error>(error);
  return objectFailure(tag, val);
}

/** The contract's error within the engine's; what is none goes on as it is. */
function payload<T extends { tag: string }>(error: unknown): T {
  const found = (error as { payload?: T } | undefined)?.payload;
  if (found?.tag === undefined) throw error;
  return found;
}
