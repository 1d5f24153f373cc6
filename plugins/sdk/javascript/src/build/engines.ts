/** The engines that run a plugin: the small one, and the one that browsers have. A bundle goes in, a component comes out. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { BuildError } from "./error.ts";

/** `quickjs`: QuickJS, 1.7 MB. `starling`: SpiderMonkey, 12 MB. */
export type Engine = "quickjs" | "starling";

interface Made {
  /** What esbuild has to rewrite, because the engine does not have it. */
  readonly supported: Record<string, boolean>;
  readonly componentize: (source: string, wit: string) => Promise<Uint8Array>;
}

export const ENGINES: Readonly<Record<Engine, Made>> = {
  quickjs: {
    // It has them, but nobody would run their callbacks during a call: see component/promise.ts.
    supported: { "async-await": false, "async-generator": false, "for-await": false },
    componentize: quickjs,
  },
  starling: { supported: {}, componentize: starling },
};

async function quickjs(source: string, wit: string): Promise<Uint8Array> {
  const { componentize } = await import("componentize-qjs");
  const options = { witPath: wit, world: "plugin", jsSource: source, sync: true };
  return (await componentize(options)).component;
}

/** Installed by those who want it: with what it needs it is twenty times as large as everything else. */
async function starling(source: string, wit: string): Promise<Uint8Array> {
  const { componentize } = await import("@bytecodealliance/componentize-js").catch(() => {
    const packages = "@bytecodealliance/componentize-js@0.23.0 @bytecodealliance/jco@1.15.4";
    throw new BuildError(`the engine starling is not installed: npm install --save-dev ${packages}`);
  });
  const folder = await mkdtemp(join(tmpdir(), "gristmill-build-"));
  try {
    const sourcePath = join(folder, "plugin.js");
    await writeFile(sourcePath, source);
    const options = {
      sourcePath,
      witPath: wit,
      worldName: "plugin",
      disableFeatures: ["http" as const, "fetch-event" as const],
    };
    return (await componentize(options)).component;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
