/**
 * The logic of a gristmill dataset, written in JavaScript or TypeScript: one function from an item to rows.
 *
 * `gristmill-build app.ts` makes a component of it; `gristmill/testing` runs it on local files, in Node.
 */

export type { Block } from "./block.ts";
export type { Context } from "./context.ts";
export { Failure, Reject, reject, Retry, retry } from "./failure.ts";
export type { Compression, Entry } from "./host.ts";
export type { ReadOptions, StoredObject } from "./objects.ts";
export { type Definition, definePlugin, type Plugin } from "./plugin.ts";
export type { Table } from "./table.ts";
export type * from "./types.ts";
