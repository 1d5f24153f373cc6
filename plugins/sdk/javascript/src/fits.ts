/** What the host takes as a value of a column, so that the desk takes the same. */

import type { ColumnShape } from "./plugin.ts";

const DAY = /^\d{4}-\d\d-\d\d$/;
const INSTANT = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

/** Whether a value, as JSON has it, fits its column; `line` is the row's own JSON. */
export function fits(value: unknown, { name, type, nullable }: ColumnShape, line: string): boolean {
  if (value === null) return nullable;
  switch (type) {
    case "boolean":
      return typeof value === "boolean";
    case "int64":
      return Number.isSafeInteger(value) || (typeof value === "number" && isWholeText(line, name));
    case "float64":
      return typeof value === "number";
    case "text":
      return typeof value === "string";
    case "date":
      return typeof value === "string" && DAY.test(value) && new Date(value).toJSON()?.startsWith(value) === true;
    case "timestamp":
      return typeof value === "string" && INSTANT.test(value) && !Number.isNaN(Date.parse(value));
    case "json":
      return true;
  }
}

/** A bigint is beyond what JSON.parse keeps: its digits are. */
function isWholeText(line: string, name: string): boolean {
  const digits = new RegExp(`${JSON.stringify(name).replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}:(-?\\d+)[,}]`).exec(
    line,
  )?.[1];
  return digits !== undefined && BigInt.asIntN(64, BigInt(digits)) === BigInt(digits);
}
