/** Tables that a test gives at the desk as plain values, in place of what the host would decode. */

import { Block } from "./block.ts";
import { objectFailure } from "./failure.ts";
import type { Opened } from "./host.ts";
import { shown } from "./names.ts";
import type { Asked, Request, StoredType } from "./request.ts";
import type { Column, Comparison, ValueType } from "./types.ts";

/** Rows as objects, or columns as arrays. null is null. */
export type Given = readonly Readonly<Record<string, unknown>>[] | Readonly<Record<string, ArrayLike<unknown>>>;

const BLOCK_ROWS = 16 * 1024;

type Named = ReadonlyMap<string, readonly unknown[]>;
type Typed = readonly [type: ValueType, values: readonly unknown[]];

/** The table as the host would give it: of the types, columns and rows that are asked for. */
export function scan(uri: string, given: Given, request: Request): Opened {
  const there = byColumn(given);
  const count = Math.max(0, ...[...there.values()].map((column) => column.length));
  const wanted = request.columns ?? [...there.keys()].map((name) => ({ name, type: undefined, optional: false }));
  const columns = new Map<string, Typed>();
  for (const { name, type, optional } of wanted) {
    const isAbsent = optional && !there.has(name);
    columns.set(name, isAbsent ? [type ?? "text", new Array(count).fill(null)] : column(uri, there, name, type));
  }
  let kept = Array.from({ length: count }, (_, row) => row);
  for (const asked of request.where) {
    const type = wanted.find(({ name }) => name === asked.column)?.type;
    const [found, values] = columns.get(asked.column) ?? column(uri, there, asked.column, type);
    const meets = test(uri, asked, found);
    kept = kept.filter((row) => meets(values[row]));
  }
  const types = new Map([...columns].map(([name, [type]]) => [name, type]));
  const blocks = cut(columns, types, kept, request.blockRows || BLOCK_ROWS);
  return { columns: types as ReadonlyMap<string, StoredType>, blocks, close: () => {} };
}

function byColumn(given: Given): Named {
  if (!Array.isArray(given)) {
    const columns = Object.entries(given).map(
      ([name, values]) => [name, Array.from(values as ArrayLike<unknown>)] as const,
    );
    if (new Set(columns.map(([, values]) => values.length)).size > 1) {
      throw new TypeError("the columns of a table must have the same length");
    }
    return new Map(columns);
  }
  const names = new Set(given.flatMap((row) => Object.keys(row)));
  return new Map([...names].map((name) => [name, given.map((row) => row[name] ?? null)]));
}

function column(uri: string, there: Named, name: string, type: ValueType | undefined): Typed {
  const values = there.get(name);
  if (values === undefined) throw objectFailure("invalid", `${uri}: it has no column \`${name}\``);
  const found = type ?? natural(values);
  return [found, values.map((value) => (value === null || value === undefined ? null : cast(uri, name, value, found)))];
}

/** The type that all values have by themselves. */
function natural(values: readonly unknown[]): ValueType {
  const kinds = new Set(values.filter((value) => value !== null && value !== undefined).map(kind));
  const [only, ...others] = kinds;
  if (only === undefined) return "text";
  if (others.length === 0) return only;
  return [...kinds].every((type) => type === "int64" || type === "float64") ? "float64" : "text";
}

function kind(value: unknown): ValueType {
  if (typeof value === "boolean") return "boolean";
  if (typeof value === "bigint" || Number.isSafeInteger(value)) return "int64";
  if (typeof value === "number") return "float64";
  if (typeof value === "string") return "text";
  return value instanceof Uint8Array ? "binary" : value instanceof Date ? "timestamp" : "json";
}

function cast(uri: string, name: string, value: unknown, type: ValueType): unknown {
  const found = converted(value, type);
  if (found !== undefined) return found;
  throw objectFailure("invalid", `${uri}: column \`${name}\`: ${shown(value)} is no ${type}`);
}

/** A value as a column of this type has it, of those that the host can cast; undefined for the others. */
function converted(value: unknown, type: ValueType): unknown {
  const text = typeof value === "string" ? value.trim() : undefined;
  switch (type) {
    case "boolean":
      return typeof value === "boolean" ? value : undefined;
    case "float64":
      if (typeof value === "number" || typeof value === "bigint") return Number(value);
      return text && !Number.isNaN(Number(text)) ? Number(text) : text === "NaN" ? Number.NaN : undefined;
    case "int64":
    case "bigint": {
      const isWhole = typeof value === "bigint" || Number.isSafeInteger(value) || /^[+-]?\d+$/.test(text ?? "");
      if (!isWhole) return undefined;
      const whole = BigInt(typeof value === "string" ? value.trim().replace(/^\+/, "") : (value as number | bigint));
      return type === "bigint" ? whole : Number.isSafeInteger(Number(whole)) ? Number(whole) : undefined;
    }
    case "text":
      if (value instanceof Date) return value.toISOString();
      return typeof value === "string"
        ? value
        : ["number", "bigint"].includes(typeof value)
          ? String(value)
          : undefined;
    case "binary":
      return value instanceof Uint8Array ? value : undefined;
    case "date": {
      const time =
        value instanceof Date
          ? value.getTime()
          : /^\d{4}-\d\d-\d\d$/.test(text ?? "")
            ? Date.parse(text ?? "")
            : Number.NaN;
      return Number.isNaN(time) ? undefined : Math.floor(time / 86_400_000);
    }
    case "timestamp": {
      const hasZone = value instanceof Date || /([Zz]|[+-]\d\d:\d\d)$/.test(text ?? "");
      const time = hasZone ? new Date(value as string | Date).getTime() : Number.NaN;
      return Number.isNaN(time) ? undefined : time * 1000;
    }
    case "json":
      return typeof value === "string" ? parsed(value) : value;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const SIGNS: Readonly<Record<Comparison, (a: never, b: never) => boolean>> = {
  "==": (a, b) => a === b,
  "!=": (a, b) => a !== b,
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
};

function test(uri: string, { column, comparison, value }: Asked, type: ValueType): (value: unknown) => boolean {
  if (comparison === "is null") return (found) => found === null;
  if (comparison === "is not null") return (found) => found !== null;
  const literal = converted(value, type);
  if (literal === undefined) {
    throw objectFailure("invalid", `${uri}: the condition on column \`${column}\`: ${shown(value)} is no ${type}`);
  }
  return (found) => found !== null && SIGNS[comparison](found as never, literal as never);
}

const ARRAYS: Readonly<Record<string, (values: readonly unknown[]) => Column<unknown>>> = {
  float64: (values) => Float64Array.from(values as number[]),
  int64: (values) => Float64Array.from(values as number[]),
  timestamp: (values) => Float64Array.from(values as number[]),
  date: (values) => Int32Array.from(values as number[]),
  bigint: (values) => BigInt64Array.from(values as bigint[]),
};

function* cut(
  columns: ReadonlyMap<string, Typed>,
  types: ReadonlyMap<string, ValueType>,
  kept: readonly number[],
  most: number,
): Generator<Block, void, void> {
  for (let start = 0; start < kept.length; start += most) {
    const rows = kept.slice(start, start + most);
    yield new Block(rows.length, types, (name) => {
      const [type, values] = columns.get(name) ?? ["text", []];
      const found = rows.map((row) => values[row]);
      // As in the component: numbers without nulls are a typed array.
      return found.includes(null) ? found : (ARRAYS[type]?.(found) ?? found);
    });
  }
}
