/** Some rows of a table, column by column. */

import { Reject } from "./failure.ts";
import { Damaged } from "./flat.ts";
import { read } from "./layout.ts";
import { hint } from "./names.ts";
import type { Column, ColumnOf, NamesOf, TableRow, ValueType, WantedColumns } from "./types.ts";
import { Unsafe, values } from "./values.ts";

/** Some rows of a table. A column is decoded when it is asked for first. */
export class Block<W extends WantedColumns = WantedColumns> {
  /** How many rows. */
  readonly length: number;
  /** The names and types of the columns, in order. */
  readonly types: ReadonlyMap<string, ValueType>;
  readonly #load: (name: string) => Column<unknown>;
  readonly #loaded = new Map<string, Column<unknown>>();

  constructor(length: number, types: ReadonlyMap<string, ValueType>, load: (name: string) => Column<unknown>) {
    this.length = length;
    this.types = types;
    this.#load = load;
  }

  /** A column's values: a typed array of numbers without nulls, else an array, with null for null. */
  column<N extends NamesOf<W>>(name: N): ColumnOf<W, N> {
    let found = this.#loaded.get(name);
    if (found === undefined) {
      if (!this.types.has(name)) {
        throw new Reject("NoSuchColumn", `there is no column ${name}${hint(name, this.types.keys())}`);
      }
      found = this.#load(name);
      this.#loaded.set(name, found);
    }
    return found as ColumnOf<W, N>;
  }

  /** The rows as objects. The columns themselves are cheaper. */
  *rows(): Generator<TableRow<W>, void, void> {
    const names = [...this.types.keys()];
    const columns = names.map((name) => this.column(name as NamesOf<W>));
    for (let row = 0; row < this.length; row++) {
      const found: Record<string, unknown> = {};
      for (let i = 0; i < names.length; i++) found[names[i] as string] = columns[i]?.[row];
      yield found as TableRow<W>;
    }
  }
}

/** The block that one Arrow IPC stream holds. Rejects with `TableInvalid` what is not one with these columns. */
export function arrow(content: Uint8Array, types: ReadonlyMap<string, ValueType>, uri: string): Block {
  return invalid(uri, () => {
    const { rows, places } = read(content);
    const expected = [...types].map(([name, type]) => `${name} ${asStored(type)}`);
    if (places.map(({ name, type }) => `${name} ${type}`).join("\n") !== expected.join("\n")) {
      throw new Damaged("its columns are not those of the table");
    }
    const byName = new Map(places.map((place) => [place.name, place]));
    return new Block(rows, types, (name) => {
      const [place, type] = [byName.get(name), types.get(name)];
      if (place === undefined || type === undefined) throw new RangeError(name);
      return invalid(uri, () => values(place, type, rows));
    });
  });
}

function asStored(type: ValueType): ValueType {
  return type === "json" ? "text" : type === "bigint" ? "int64" : type;
}

function invalid<T>(uri: string, look: () => T): T {
  try {
    return look();
  } catch (error) {
    if (error instanceof Unsafe) throw new Reject("NumberTooLarge", `${uri}: ${error.message}`);
    if (!(error instanceof Damaged)) throw error;
    throw new Reject("TableInvalid", `${uri}: a block cannot be read: ${error.message}`);
  }
}
