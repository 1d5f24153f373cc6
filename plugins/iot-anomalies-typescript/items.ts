/** What an item may be: a file of readings, or one reading, as Step Functions' own readers give it. */

import { reject } from "gristmill";

import { METRICS, type Reading } from "./logic.ts";

const NUMBER = /^[+-]?(?:inf|infinity|nan|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)$/i;

/** The file's URI; undefined for a reading. */
export function fileOf(item: unknown): string | undefined {
  if (!isObject(item)) return bad(`it is no object but ${JSON.stringify(item)}`);
  if (!("uri" in item)) return undefined;
  return typeof item.uri === "string" ? item.uri : bad(`\`uri\` is no text but ${JSON.stringify(item.uri)}`);
}

/** The reading that an item is. */
export function readingOf(item: unknown): Reading {
  if (!isObject(item) || (!("deviceid" in item) && !("timestamp" in item))) {
    return bad("it is neither a file (`uri`) nor a reading (`deviceid`, `timestamp`)");
  }
  const metrics = METRICS.map((name) => [name, number(item, name)]);
  return { deviceid: text(item, "deviceid"), timestamp: text(item, "timestamp"), ...Object.fromEntries(metrics) };
}

function text(item: Record<string, unknown>, name: string): string | null {
  const found = item[name] ?? null;
  if (found === null || typeof found === "string") return found;
  return bad(`\`${name}\` is no text but ${JSON.stringify(found)}`);
}

/** A number. The rows of a CSV file have texts, which are empty where there is no value. */
function number(item: Record<string, unknown>, name: string): number | null {
  const found = item[name] ?? "";
  if (found === "") return null;
  if (typeof found === "number" && Number.isFinite(found)) return found;
  if (typeof found === "string" && NUMBER.test(found)) return Number(found.replace(/inf(inity)?/i, "Infinity"));
  return bad(`\`${name}\` is no number but ${JSON.stringify(found)}`);
}

function isObject(item: unknown): item is Record<string, unknown> {
  return typeof item === "object" && item !== null && !Array.isArray(item);
}

function bad(message: string): never {
  return reject("BadItem", message);
}
