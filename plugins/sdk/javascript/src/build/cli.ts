/** `gristmill-build app.ts [-o app.wasm] [--engine quickjs|starling]` */

import { parseArgs } from "node:util";

import { build } from "./build.ts";
import { type Engine, ENGINES } from "./engines.ts";
import { BuildError } from "./error.ts";

const USAGE = `Makes a component of a module that exports a plugin (export default definePlugin({ ... })).

Usage: gristmill-build APP [-o FILE] [--engine ENGINE]

  APP                    the module, such as app.ts or app.js
  -o, --output FILE      the component (default: the app's name with .wasm)
      --engine ENGINE    quickjs (default, small) or starling (what browsers have; installed separately)
  -h, --help             this text

Example: gristmill-build app.ts -o rain.wasm`;

async function main(): Promise<void> {
  const { values, positionals } = parsed();
  if (values.help) return console.log(USAGE);
  const [app, ...others] = positionals;
  if (app === undefined || others.length > 0) throw new BuildError(`one module has to be given\n\n${USAGE}`);
  const { engine } = values;
  if (!isEngine(engine))
    throw new BuildError(`there is no engine ${engine}; there are ${Object.keys(ENGINES).join(" and ")}`);
  const target = values.output ?? app.replace(/\.[^./]*$/, ".wasm");
  const size = await build(app, target, engine);
  console.log(`${target}: ${(size / 1e6).toFixed(1)} MB (${engine})`);
}

function parsed() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        output: { type: "string", short: "o" },
        engine: { type: "string", default: "quickjs" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new BuildError(`${(error as Error).message}\n\n${USAGE}`);
  }
}

function isEngine(name: string): name is Engine {
  return Object.hasOwn(ENGINES, name);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
