/** The values of one column. */

import { Damaged } from "./flat.ts";
import { isValid, type Place } from "./layout.ts";
import type { Column, ValueType } from "./types.ts";

/** All values in order, null for null. Throws `Damaged` where a text is no text. */
export function values(place: Place, type: ValueType, rows: number): Column<unknown> {
  const found = dense(place, type, rows);
  if (place.nulls === 0) return found;
  const nullable: unknown[] = new Array(rows);
  for (let row = 0; row < rows; row++) nullable[row] = isValid(place.validity, row) ? found[row] : null;
  return type === "json" ? nullable.map((text) => (text === null ? null : json(place, text as string))) : nullable;
}

/** The values without regard to nulls. JSON is parsed where there is none: the text of a null may be no JSON. */
function dense(place: Place, type: ValueType, rows: number): Column<unknown> {
  switch (type) {
    case "float64":
      return new Float64Array(...aligned(place.values, rows, 8));
    case "bigint":
      return new BigInt64Array(...aligned(place.values, rows, 8));
    case "int64":
    case "timestamp":
      return numbers(place, rows);
    case "date":
      return new Int32Array(...aligned(place.values, rows, 4));
    case "boolean":
      return Array.from({ length: rows }, (_, row) => isValid(place.values, row));
    case "binary":
      return pieces(place, rows, (start, end) => place.values.slice(start, end));
    case "text":
      return texts(place, rows);
    case "json":
      return place.nulls === 0 ? texts(place, rows).map((text) => json(place, text)) : texts(place, rows);
  }
}

/** The bytes as a typed array takes them: where the host put them, if they lie well. */
function aligned(bytes: Uint8Array, rows: number, width: number): [ArrayBuffer, number, number] {
  const lying = bytes.byteOffset % width === 0 ? bytes : bytes.slice(0, rows * width);
  return [lying.buffer as ArrayBuffer, lying.byteOffset, rows];
}

/** 64-bit numbers as JavaScript has them, where all of them can be one. */
function numbers(place: Place, rows: number): Float64Array {
  const words = new Int32Array(...aligned(place.values, 2 * rows, 4));
  const found = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    const high = words[2 * row + 1] as number;
    const value = high * 2 ** 32 + ((words[2 * row] as number) >>> 0);
    if ((high >= 2 ** 21 || high < -(2 ** 21)) && (place.nulls === 0 || isValid(place.validity, row))) {
      throw new Unsafe(place.name, new DataView(words.buffer, words.byteOffset).getBigInt64(8 * row, true));
    }
    found[row] = value;
  }
  return found;
}

/** A number that JavaScript's would round. */
export class Unsafe extends Error {
  constructor(column: string, value: bigint) {
    super(`column ${column} has ${value}, which is beyond 2^53; ask for it as "bigint" or "text"`);
  }
}

function pieces<T>(place: Place, rows: number, cut: (start: number, end: number) => T): T[] {
  const found: T[] = new Array(rows);
  if (rows === 0) return found;
  const ends = new Int32Array(...aligned(place.offsets, rows + 1, 4));
  let start = ends[0] as number;
  let isIn = start >= 0;
  for (let row = 0; row < rows && isIn; row++) {
    const end = ends[row + 1] as number;
    isIn = start <= end && end <= place.values.length;
    if (isIn) found[row] = cut(start, end);
    start = end;
  }
  if (!isIn) throw new Damaged(`column ${place.name}: a value lies outside of its buffer`);
  return found;
}

function texts(place: Place, rows: number): string[] {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    const whole = decoder.decode(place.values);
    // As many letters as bytes: every byte is a letter, and one decoding does for all.
    if (whole.length === place.values.length) return pieces(place, rows, (start, end) => whole.slice(start, end));
    return pieces(place, rows, (start, end) => decoder.decode(place.values.subarray(start, end)));
  } catch (error) {
    throw error instanceof Damaged ? error : new Damaged(`column ${place.name}: a text is not UTF-8`);
  }
}

function json(place: Place, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Damaged(`column ${place.name}: a value is no JSON`);
  }
}
