/** The large engine: SpiderMonkey, by ComponentizeJS. It has 64-bit numbers as bigints, and waits for promises itself. */

import type { ItemProcessor } from "gristmill:plugin/item-processor@0.1.0";

import { itemProcessor } from "./component.ts";

export function exported(app: Readonly<Record<string, unknown>>, file: string): ItemProcessor {
  return itemProcessor(app, file, { to64: BigInt, settle: (promise) => promise });
}
