/** The plugin as a component: what the contract asks for, from what an app's module exports. */

import type { ItemProcessor } from "gristmill:plugin/item-processor@0.1.0";
import type { Context as Given, Failure as Fault, Item, Manifest } from "gristmill:plugin/types@0.1.0";

import { call, verdict } from "../call.ts";
import { type Failure, Retry } from "../failure.ts";
import { Plugin } from "../plugin.ts";
import { installConsole } from "./console.ts";
import { componentHost, type To64 } from "./host.ts";

/** What engines do differently. */
export interface Engine {
  readonly to64: To64;
  /** Waits for a promise, or leaves that to the engine. */
  readonly settle: <T>(promise: Promise<T>) => T | Promise<T>;
}

/** The exported interface. */
export function itemProcessor(app: Readonly<Record<string, unknown>>, file: string, engine: Engine): ItemProcessor {
  const plugin = theOne(app, file);
  const host = componentHost(engine.to64);
  installConsole(host);
  const work = async (given: Given, item: Item) => {
    try {
      return await call(plugin, host, { ...given, ...item });
    } catch (error) {
      throw fault(verdict(error, host));
    }
  };
  return {
    describe: () => manifest(plugin),
    process: (given, item) => {
      try {
        return engine.settle(work(given, item)) as string | null;
      } catch (error) {
        // A promise that nothing fulfils.
        throw error instanceof Error ? fault(verdict(error, host)) : error;
      }
    },
  };
}

function theOne(app: Readonly<Record<string, unknown>>, file: string): Plugin {
  const found = new Set(Object.values(app).filter((value) => value instanceof Plugin));
  const [plugin] = found;
  if (plugin !== undefined && found.size === 1) return plugin;
  const many = found.size === 0 ? "no plugin" : `${found.size} plugins`;
  throw new TypeError(`${file} exports ${many}, and has to export one: export default definePlugin({ ... })`);
}

function manifest(plugin: Plugin): Manifest {
  return {
    name: plugin.name,
    version: plugin.version,
    description: plugin.description,
    settingsSchema: JSON.stringify(plugin.settingsSchema),
    outputs: [...plugin.outputs.values()].map(({ name, description, columns }) => {
      return { name, description, columns: columns.map((column) => ({ ...column })) };
    }),
  };
}

/** A failure as the contract has it: what is thrown becomes the error of the result. */
function fault(failure: Failure): Fault {
  const { code, message } = failure;
  return { tag: failure instanceof Retry ? "retry" : "reject", val: { code, message } };
}
