/** The small engine: QuickJS, by componentize-qjs. It lacks what `polyfills.ts` adds, and 64-bit numbers are numbers. */

import "./polyfills.ts";

import type { ItemProcessor } from "gristmill:plugin/item-processor@0.1.0";

import { itemProcessor } from "./component.ts";
import { settled } from "./promise.ts";

export function exported(app: Readonly<Record<string, unknown>>, file: string): ItemProcessor {
  const to64 = (value: number) => value as unknown as bigint;
  return itemProcessor(app, file, { to64, settle: settled });
}
