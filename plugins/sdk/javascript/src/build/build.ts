/** Makes a component of an app: esbuild bundles it with this package, and an engine takes it in. */

import { existsSync } from "node:fs";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { basename, dirname, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { type BuildFailure, build as bundle, type Message } from "esbuild";

import { type PlaceMap, placesOf } from "../places.ts";
import { type Engine, ENGINES } from "./engines.ts";
import { BuildError } from "./error.ts";
import { placeMap } from "./place-map.ts";
import { unavailable } from "./unavailable.ts";

/** This package, as it is installed. */
const DIST = fileURLToPath(new URL("../", import.meta.url));

/** The contract's folder: the package's own copy, which its build makes. */
function contract(): string {
  const found = resolve(DIST, "../wit");
  if (existsSync(`${found}/plugin.wit`)) return found;
  throw new BuildError(
    "the contract (wit/plugin.wit) is missing from this installation of gristmill; install it again",
  );
}

/** Builds `target` from the module `app`; what it imports comes along. Gives the size in bytes. */
export async function build(app: string, target: string, engine: Engine): Promise<number> {
  if (!existsSync(app)) throw new BuildError(`${app}: there is no such file`);
  const { source, map } = await bundled(app, engine);
  const component = await evaluated(app, map, () => ENGINES[engine].componentize(source, contract()));
  await mkdir(dirname(resolve(target)), { recursive: true });
  // Moved into place whole: a build that is stopped leaves no half component behind.
  await writeFile(`${target}.partial`, component);
  await rename(`${target}.partial`, target);
  return component.length;
}

/** One module with everything that the app needs, and the map of its lines, which is also behind it. */
export async function bundled(app: string, engine: Engine): Promise<{ source: string; map: PlaceMap }> {
  const folder = dirname(resolve(app));
  const file = basename(app);
  const contents = [
    `import { exported } from ${JSON.stringify(`${DIST}component/${engine}.js`)};`,
    `import * as app from ${JSON.stringify(`./${file}`)};`,
    `export const itemProcessor = exported(app, ${JSON.stringify(file)});`,
  ].join("\n");
  try {
    const { outputFiles } = await bundle({
      stdin: { contents, resolveDir: folder, sourcefile: "gristmill-entry" },
      bundle: true,
      write: false,
      outfile: resolve(folder, "plugin.js"),
      format: "esm",
      target: "es2023",
      platform: "neutral",
      mainFields: ["module", "main"],
      conditions: ["import", "module", "default"],
      external: ["gristmill:*", "wasi:*"],
      // One copy of this package, whichever the app would find: its plugin has to be known here as one.
      alias: { gristmill: `${DIST}index.js` },
      define: { "import.meta.url": "undefined" },
      supported: ENGINES[engine].supported,
      plugins: [unavailable],
      sourcemap: "external",
      sourcesContent: false,
      legalComments: "none",
      charset: "utf8",
      logLevel: "silent",
    });
    const text = (ending: string) => outputFiles.find(({ path }) => path.endsWith(ending))?.text ?? "";
    const map = placeMap(text(".js.map"), (path) => named(resolve(folder, path), folder));
    return { source: `${text(".js")}globalThis.gristmillPlaces = ${JSON.stringify(map)};\n`, map };
  } catch (error) {
    throw isBuildFailure(error) ? new BuildError(error.errors.map((message) => said(message)).join("\n")) : error;
  }
}

/** An engine evaluates the module once, and keeps the memory. What is thrown there is said with the author's own lines. */
async function evaluated<T>(app: string, map: PlaceMap, componentize: () => Promise<T>): Promise<T> {
  try {
    return await componentize();
  } catch (error) {
    if (error instanceof BuildError) throw error;
    const said = error instanceof Error ? error.message : String(error);
    const [what, kind, message] = /(\w*Error): (.*)/.exec(said) ?? [undefined];
    if (what === undefined) throw new BuildError(`${app}: the engine does not take it:\n${said}`);
    const places = placesOf(said, map);
    const where = places.length > 0 ? ` (at ${places.join(", called by ")})` : "";
    throw new BuildError(`${app}: it cannot be evaluated: ${kind}: ${message}${where}`);
  }
}

/** How a file is called in messages; undefined for this package's own. */
function named(path: string, folder: string): string | undefined {
  if (path.startsWith(DIST) || path.endsWith("gristmill-entry")) return undefined;
  const name = relative(folder, path).split(sep).join("/");
  const inside = name.lastIndexOf("node_modules/");
  return inside >= 0 ? name.slice(inside) : name;
}

function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && Array.isArray((error as Partial<BuildFailure>).errors);
}

function said({ text, location, notes }: Message): string {
  const place = location ? `${location.file}:${location.line}:${location.column + 1}: ` : "";
  const line = location?.lineText ? `\n    ${location.lineText.trim()}` : "";
  const advice = notes.filter((note) => note.location === null).slice(0, 1);
  return `${place}${text}${line}${advice.map((note) => `\n  ${note.text}`).join("")}`;
}
