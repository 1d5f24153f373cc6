/** `console.log` and its kin become log lines; the host adds dataset, batch and item. */

import type { Host, Level } from "../host.ts";
import { places } from "../places.ts";

const LEVELS: Readonly<Record<string, Level>> = {
  trace: "trace",
  debug: "debug",
  log: "info",
  info: "info",
  warn: "warn",
  error: "error",
};

export function installConsole(host: Host): void {
  const methods = Object.entries(LEVELS).map(([name, level]) => {
    return [name, (...values: unknown[]) => host.log(level, values.map(text).join(" "))];
  });
  globalThis.console = { ...globalThis.console, ...Object.fromEntries(methods) };
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  if (value instanceof Error) return [`${value.name}: ${value.message}`, ...places(value)].join("\n  at ");
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}
