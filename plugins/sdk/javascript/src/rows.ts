/** Rows on their way out: buffered and sent as blocks of JSON lines. */

import { Reject } from "./failure.ts";
import { hint, shown } from "./names.ts";
import type { OutputShape } from "./plugin.ts";
import type { ColumnType } from "./types.ts";

/** Letters after which a block is sent: large enough that crossing the sandbox's border costs nothing. */
const BLOCK = 256 * 1024;

/** The rows of one output. */
export class RowBuffer {
  readonly #name: string;
  /** Without a prototype, so that it has no other names: a look into it costs less than into a `Map`. */
  readonly #types: Readonly<Record<string, ColumnType>>;
  readonly #send: (output: string, jsonLines: string) => void;
  #text = "";
  #rows = 0;

  constructor(shape: OutputShape, send: (output: string, jsonLines: string) => void) {
    this.#name = shape.name;
    const types = shape.columns.map(({ name, type }) => [name, type]);
    this.#types = Object.assign(Object.create(null), Object.fromEntries(types));
    this.#send = send;
  }

  add(row: Readonly<Record<string, unknown>>): void {
    if (typeof row !== "object" || row === null) throw this.#bad(`a row is an object, not ${shown(row)}`);
    let isPlain = true;
    for (const name in row) {
      const type = this.#types[name];
      if (type === undefined) throw this.#unknown(name);
      isPlain &&= isPlainJson(row[name], type);
    }
    // The engine's own function is the fastest, and gives what the slow way gives.
    this.#line(isPlain ? this.#json(row) : this.#slow(row));
  }

  /** Adds as many rows as the columns have values. */
  addColumns(columns: Readonly<Record<string, ArrayLike<unknown> | undefined>>): void {
    const given = Object.entries(columns).filter(
      (entry): entry is [string, ArrayLike<unknown>] => entry[1] !== undefined,
    );
    const encoders = given.map(([name, values]) => {
      const type = this.#types[name];
      if (type === undefined) throw this.#unknown(name);
      if (typeof values !== "object" || values === null || typeof values.length !== "number") {
        throw this.#bad(`column ${name} is no list of values but ${shown(values)}`);
      }
      return { key: `${JSON.stringify(name)}:`, name, type, values };
    });
    const count = Math.max(0, ...given.map(([, values]) => values.length));
    const short = given.find(([, values]) => values.length < count);
    if (short !== undefined) {
      throw this.#bad(`column ${short[0]} has ${short[1].length} values where another has ${count}`);
    }
    for (let row = 0; row < count; row++) {
      let line = "";
      for (const { key, name, type, values } of encoders) {
        line += `${line === "" ? "{" : ","}${key}${this.#value(name, type, values[row])}`;
      }
      this.#line(`${line}}`);
    }
  }

  flush(): void {
    if (this.#text === "") return;
    const text = this.#text;
    this.#text = "";
    this.#send(this.#name, text);
  }

  #line(line: string): void {
    this.#text += `${line}\n`;
    this.#rows++;
    if (this.#text.length >= BLOCK) this.flush();
  }

  #slow(row: Readonly<Record<string, unknown>>): string {
    const parts = Object.entries(row).map(([name, value]) => {
      return `${JSON.stringify(name)}:${this.#value(name, this.#types[name] as ColumnType, value)}`;
    });
    return `{${parts.join(",")}}`;
  }

  #value(name: string, type: ColumnType, value: unknown): string {
    if (value === null || value === undefined) return "null";
    switch (typeof value) {
      case "number":
        if (type === "json" || Number.isFinite(value)) break;
        throw this.#bad(`column ${name} is ${value}, which no format has; give null`);
      case "bigint":
        if (type === "int64" || type === "float64") return value.toString();
        throw this.#bad(`column ${name} is a bigint, and ${type}`);
      case "string":
      case "boolean":
        break;
      case "object":
        if (value instanceof Date && type !== "json") return this.#date(name, type, value);
        if (type === "json") break;
        throw this.#bad(`column ${name} is ${shown(value)}, not ${type}`);
      default:
        throw this.#bad(`column ${name} is a ${typeof value}, which does not go into JSON`);
    }
    return this.#json(value);
  }

  #date(name: string, type: ColumnType, value: Date): string {
    if (Number.isNaN(value.getTime())) throw this.#bad(`column ${name} is an invalid Date`);
    const text = value.toISOString();
    return JSON.stringify(type === "date" ? text.slice(0, 10) : text);
  }

  #json(value: unknown): string {
    try {
      return JSON.stringify(value);
    } catch (error) {
      throw this.#bad(error instanceof Error ? error.message : String(error));
    }
  }

  #unknown(name: string): Reject {
    return this.#bad(`${shown(name)} is no column of this output${hint(name, Object.keys(this.#types))}`);
  }

  #bad(what: string): Reject {
    return new Reject("OutputInvalid", `output ${this.#name}, row ${this.#rows + 1}: ${what}`);
  }
}

/** Whether the engine's own JSON is what is wanted of a value. */
function isPlainJson(value: unknown, type: ColumnType): boolean {
  switch (typeof value) {
    case "number":
      return Number.isFinite(value) || type === "json";
    case "object":
      return value === null || type === "json";
    case "string":
    case "boolean":
    case "undefined":
      return true;
    default:
      return false;
  }
}
