/** What is asked of a table: its columns and the rows that are wanted, checked before the host sees them. */

import { hint, shown } from "./names.ts";
import type { Comparison, TableOptions, ValueType, WantedColumns, Where } from "./types.ts";

/** The types that the contract has. */
export type StoredType = Exclude<ValueType, "bigint">;

const VALUE_TYPES: readonly ValueType[] = [
  "boolean",
  "int64",
  "bigint",
  "float64",
  "text",
  "binary",
  "date",
  "timestamp",
  "json",
];
const FORMATS = ["parquet", "csv", "json-lines"] as const;
const COMPARISONS: readonly (Comparison | Unary)[] = ["==", "!=", "<", "<=", ">", ">=", "is null", "is not null"];

type Unary = "is null" | "is not null";

/** A column that is wanted. */
export interface Wanted {
  readonly name: string;
  /** Undefined for the one that follows from the file. */
  readonly type: ValueType | undefined;
  /** Whether a file may lack it: then all its values are null. */
  readonly optional: boolean;
}

/** A condition on one column. */
export interface Asked {
  readonly column: string;
  readonly comparison: Comparison | Unary;
  /** Undefined for `is null` and `is not null`. */
  readonly value: boolean | number | bigint | string | undefined;
}

/** What is asked of one table. */
export interface Request {
  /** Undefined for all. */
  readonly columns: readonly Wanted[] | undefined;
  readonly where: readonly Asked[];
  readonly format: (typeof FORMATS)[number] | undefined;
  /** The names of the columns of CSV; undefined where they are its first row. */
  readonly header: readonly string[] | undefined;
  readonly delimiter: string;
  /** The most rows of a block; 0 leaves it to the host. */
  readonly blockRows: number;
}

/** Reads what `ctx.table` is given. What makes no sense is the author's mistake: a `TypeError`. */
export function request(options: TableOptions<WantedColumns>): Request {
  const { columns, where, format, header, delimiter, blockRows = 0 } = options;
  const extra = Object.keys(options).find((key) => !OPTIONS.includes(key));
  if (extra !== undefined) throw new TypeError(`ctx.table has no option ${shown(extra)}${hint(extra, OPTIONS)}`);
  if (format !== undefined && !FORMATS.includes(format)) {
    throw new TypeError(`unknown format ${shown(format)}; there are ${FORMATS.join(", ")}`);
  }
  if (format !== "csv" && (header !== undefined || delimiter !== undefined)) {
    throw new TypeError('`header` and `delimiter` belong to `format: "csv"`');
  }
  if (header !== undefined && (!Array.isArray(header) || header.length === 0)) {
    throw new TypeError(`header is a list of names, not ${shown(header)}`);
  }
  return {
    columns: wantedColumns(columns),
    where: conditions(where),
    format,
    header,
    delimiter: delimiter ?? ",",
    blockRows,
  };
}

const OPTIONS = ["columns", "where", "format", "header", "delimiter", "blockRows"];

function wantedColumns(columns: WantedColumns | undefined): readonly Wanted[] | undefined {
  if (columns === undefined) return undefined;
  if (typeof columns !== "object" || columns === null) {
    throw new TypeError(`columns are a list of names or an object from name to type, not ${shown(columns)}`);
  }
  if (Array.isArray(columns)) return columns.map((name) => ({ name, type: undefined, optional: false }));
  return Object.entries(columns).map(([name, spec]) => {
    const bare = String(spec).replace(/\?$/, "");
    const type = VALUE_TYPES.find((known) => known === bare);
    if (type === undefined)
      throw new TypeError(`column ${name}: unknown type ${shown(spec)}${hint(bare, VALUE_TYPES)}`);
    return { name, type, optional: spec.endsWith("?") };
  });
}

function conditions(where: Where | undefined): readonly Asked[] {
  if (where === undefined) return [];
  if (!Array.isArray(where)) return Object.entries(where).map(([column, value]) => condition(column, "==", value));
  return where.map((given: unknown) => {
    if (!Array.isArray(given)) throw new TypeError(`a condition is a list such as ["n", ">", 1], not ${shown(given)}`);
    return condition(...(given as [string, string]));
  });
}

function condition(column: string, comparison: string, ...values: unknown[]): Asked {
  const found = COMPARISONS.find((known) => known === comparison);
  if (found === undefined) {
    throw new TypeError(`column ${column}: no comparison ${shown(comparison)}; there are ${COMPARISONS.join(", ")}`);
  }
  const isUnary = found.startsWith("is");
  if (values.length !== (isUnary ? 0 : 1)) {
    throw new TypeError(`column ${column}: ${found} takes ${isUnary ? "no" : "one"} value`);
  }
  return { column, comparison: found, value: isUnary ? undefined : literal(column, values[0]) };
}

function literal(column: string, value: unknown): NonNullable<Asked["value"]> {
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.toISOString();
  if (typeof value === "bigint" && BigInt.asIntN(64, value) !== value) {
    throw new TypeError(`column ${column}: ${value} has more than 64 bits`);
  }
  if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new TypeError(
      `column ${column}: ${value} is beyond 2^53, where numbers have gaps; give a bigint (${BigInt(value)}n)`,
    );
  }
  if (["boolean", "number", "bigint", "string"].includes(typeof value)) return value as NonNullable<Asked["value"]>;
  throw new TypeError(`column ${column}: compare it with a boolean, a number, a text or a date, not ${shown(value)}`);
}
