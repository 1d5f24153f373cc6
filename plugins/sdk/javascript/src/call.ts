/** One call of a plugin, the same in the component and at the desk: JSON in, rows out, a JSON value or a failure. */

import { Context } from "./context.ts";
import { Failure, Reject } from "./failure.ts";
import type { Host } from "./host.ts";
import { places } from "./places.ts";
import type { Plugin } from "./plugin.ts";
import { seedRandom } from "./random.ts";

/** What a call is given, as the contract has it. */
export interface Call {
  readonly dataset: string;
  readonly batchInput: string;
  readonly settings: string;
  readonly index: number;
  readonly body: string;
}

/** Calls `process`. Whatever the plugin throws comes out as it is; `verdict` makes a failure of it. */
export async function call(plugin: Plugin, host: Host, given: Call): Promise<string | null> {
  seedRandom(given.body);
  const [batchInput, settings] = [JSON.parse(given.batchInput), JSON.parse(given.settings)];
  const ctx = new Context(plugin, host, { dataset: given.dataset, batchInput, settings, index: given.index });
  try {
    const value: unknown = await plugin.process(ctx, JSON.parse(given.body));
    ctx.flush();
    return value === undefined || value === null ? null : report(value);
  } finally {
    ctx.close();
  }
}

/** The failure that an error means. One that is none of ours is a bug or bad data: never worth a repetition. */
export function verdict(error: unknown, host: Host): Failure {
  if (error instanceof Failure) return error;
  if (!(error instanceof Error)) {
    return new Reject(
      "NoError",
      `process threw ${JSON.stringify(error) ?? String(error)}; throw an Error, or call reject()`,
    );
  }
  const [place = "an unknown place", ...callers] = places(error);
  const said = error.message || error.name;
  host.log("error", `${error.name}: ${said} at ${[place, ...callers].join(", called by ")}`);
  const code = error.name.replace(/[^A-Za-z0-9._-]/g, "_").slice(0, 64) || "Error";
  return new Reject(code, `${said} (at ${place})`);
}

function report(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw new Reject(
      "BadReport",
      `what process returned is no JSON: ${error instanceof Error ? error.message : error}`,
    );
  }
  return text ?? reportless(value);
}

function reportless(value: unknown): never {
  throw new Reject("BadReport", `what process returned is no JSON but a ${typeof value}`);
}
