/** Where the columns of a block lie: one schema and one record batch of an Arrow IPC stream (see wit/tables.wit). */

import { checked, Damaged, Flat } from "./flat.ts";
import type { StoredType } from "./request.ts";

/** Kinds of messages, as Arrow's `Message.fbs` numbers them. */
const SCHEMA = 1;
const BATCH = 3;
/** How a message begins. A stream may end with it and no length. */
const MARK = 0xffffffff;

/** Bytes of a value, where all have equally many. */
export const WIDTHS = { int64: 8, float64: 8, timestamp: 8, date: 4 } as const;

/** One column's buffers. Nothing is copied. */
export interface Place {
  readonly name: string;
  /** A JSON text cannot be told from another: both are `text` here. */
  readonly type: StoredType;
  readonly nulls: number;
  /** A bit for each row. Of no importance where there are no nulls. */
  readonly validity: Uint8Array;
  /** The ends of texts and bytes; empty for the other types. */
  readonly offsets: Uint8Array;
  readonly values: Uint8Array;
}

/** The number of rows and the columns. Throws `Damaged` where the bytes are no block. */
export function read(block: Uint8Array): { rows: number; places: Place[] } {
  const schema = message(block, 0, SCHEMA);
  const fields = readFields(schema.header);
  const { header: batch, body, rest } = message(block, schema.rest, BATCH);
  if (!isEnd(block.subarray(rest))) throw new Damaged("something follows its record batch");
  if (batch.table(3) !== undefined) throw new Damaged("its buffers are compressed");
  const rows = batch.long(0);
  if (rows < 0 || rows >= 2 ** 31) throw new Damaged("it has an impossible number of rows");
  const [nodes, buffers] = [batch.pairs(1), batch.pairs(2)];
  if (nodes === undefined || buffers === undefined || nodes.length !== fields.length) {
    throw new Damaged("it has not one node for each column");
  }
  let used = 0;
  const next = () => {
    const found = buffers[used++];
    if (found === undefined) throw new Damaged("a buffer is missing");
    const [start, length] = found;
    if (start < 0 || length < 0 || start + length > body.length) throw new Damaged("a buffer lies outside of it");
    return body.subarray(start, start + length);
  };
  const places = fields.map(([name, type], i): Place => {
    const [length, nulls] = nodes[i] ?? [0, 0];
    if (length !== rows) throw new Damaged("its columns are not of one length");
    const validity = next();
    const offsets = isVariable(type) ? next() : body.subarray(0, 0);
    const place = { name, type, nulls, validity, offsets, values: next() };
    check(place, rows);
    return place;
  });
  if (used !== buffers.length) throw new Damaged("it has more buffers than its columns need");
  return { rows, places };
}

/** Whether a row of a column is not null. */
export function isValid(validity: Uint8Array, row: number): boolean {
  return (((validity[row >> 3] ?? 0) >> (row & 7)) & 1) === 1;
}

function isVariable(type: StoredType): boolean {
  return type === "text" || type === "binary";
}

/** A message's header, its body, and where the next message begins. */
function message(block: Uint8Array, at: number, kind: number): { header: Flat; body: Uint8Array; rest: number } {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  if (checked(() => view.getUint32(at, true)) !== MARK) throw new Damaged("a message does not begin as one");
  const start = at + 8;
  const end = start + checked(() => view.getUint32(at + 4, true));
  if (end > block.length) throw new Damaged("it is cut off");
  const root = Flat.root(new DataView(block.buffer, block.byteOffset + start, end - start));
  if (root.byte(1) !== kind) throw new Damaged("it is not one schema and one record batch");
  const length = root.long(3);
  if (length < 0 || end + length > block.length) throw new Damaged("it is cut off");
  const header = root.table(2);
  if (header === undefined) throw new Damaged("a message has no header");
  return { header, body: block.subarray(end, end + length), rest: end + length };
}

function isEnd(rest: Uint8Array): boolean {
  return rest.length === 0 || (rest.length === 8 && rest.every((byte, place) => byte === (place < 4 ? 0xff : 0)));
}

function readFields(schema: Flat): (readonly [string, StoredType])[] {
  if (schema.short(0) !== 0) throw new Damaged("it is big-endian");
  const fields = schema.tables(1);
  if (fields === undefined) throw new Damaged("its schema has no columns");
  return fields.map((field) => {
    if (field.table(4) !== undefined) throw new Damaged("a column has a dictionary");
    const [name, type] = [field.text(0), typeOf(field)];
    if (name === undefined) throw new Damaged("a column has no name");
    if (type === undefined) throw new Damaged(`column ${name} is of a type that blocks do not have`);
    return [name, type] as const;
  });
}

/** The numbers are those of Arrow's `Schema.fbs`. */
function typeOf(field: Flat): StoredType | undefined {
  const detail = field.table(3);
  switch (detail && field.byte(2)) {
    case 2:
      return detail?.int(0) === 64 && detail.byte(1) === 1 ? "int64" : undefined;
    case 3:
      return detail?.short(0) === 2 ? "float64" : undefined;
    case 4:
      return "binary";
    case 5:
      return "text";
    case 6:
      return "boolean";
    case 8:
      return detail?.short(0, 1) === 0 ? "date" : undefined;
    case 10:
      return detail?.short(0) === 2 ? "timestamp" : undefined;
    default:
      return undefined;
  }
}

function check({ name, type, nulls, validity, offsets, values }: Place, rows: number): void {
  const bits = (rows + 7) >> 3;
  // Without rows even the first of the offsets may be missing.
  const isEnough = isVariable(type)
    ? offsets.length >= 4 * (rows + 1) || rows === 0
    : values.length >= (type === "boolean" ? bits : WIDTHS[type as keyof typeof WIDTHS] * rows);
  if (!isEnough || (nulls !== 0 && validity.length < bits)) throw new Damaged("a buffer is shorter than its rows");
  if (nulls === 0) return;
  let found = 0;
  for (let row = 0; row < rows; row++) if (!isValid(validity, row)) found++;
  if (found !== nulls) throw new Damaged(`column ${name} has another number of nulls than it says`);
}
