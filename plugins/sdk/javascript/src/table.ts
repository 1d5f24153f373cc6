/** A table that the host reads: block by block, or row by row. */

import type { Block } from "./block.ts";
import type { TableRow, ValueType, WantedColumns } from "./types.ts";

/** A table: `for (const block of table)` gives its blocks, and `rows()` its rows. It is read once. */
export class Table<W extends WantedColumns = WantedColumns> {
  readonly uri: string;
  /** The names and types of the columns, known before the first block. */
  readonly types: ReadonlyMap<string, ValueType>;
  readonly #blocks: Iterable<Block>;
  #isRead = false;

  constructor(uri: string, types: ReadonlyMap<string, ValueType>, blocks: Iterable<Block>) {
    this.uri = uri;
    this.types = types;
    this.#blocks = blocks;
  }

  [Symbol.iterator](): Iterator<Block<W>, void, void> {
    if (this.#isRead) throw new TypeError(`${this.uri}: a table is read once; open it again with ctx.table`);
    this.#isRead = true;
    return this.#blocks[Symbol.iterator]() as Iterator<Block<W>, void, void>;
  }

  /** All rows as objects. Columns, block by block, are cheaper. */
  *rows(): Generator<TableRow<W>, void, void> {
    for (const block of this) yield* block.rows();
  }
}
