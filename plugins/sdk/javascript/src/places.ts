/** Where an error happened, in the author's own files: `app.ts:12 in process`. */

/** Frames of a stack: the place and how the code came there, within the host's bound for a log line. */
const FRAMES = 5;

/**
 * The lines of the bundle that are the author's: for each, by column, the file and the line that it came from. The
 * build puts it behind the bundle; there is none at the desk, whose stacks name the files already.
 */
export interface PlaceMap {
  readonly files: readonly string[];
  /** From a line of the bundle to a flat list of (column, file, line). */
  readonly lines: Readonly<Record<string, readonly number[]>>;
}

declare global {
  var gristmillPlaces: PlaceMap | undefined;
}

/** A short stack, innermost first, without this package and what lies around the bundle. */
export function places(error: Error): string[] {
  return placesOf(String(error.stack ?? ""), globalThis.gristmillPlaces);
}

/** The same of a stack's text; at the desk there is no map. */
export function placesOf(stack: string, map: PlaceMap | undefined): string[] {
  const frames = stack.split("\n").map((line) => frame(line, map));
  return frames.filter((place) => place !== undefined).slice(0, FRAMES);
}

// V8 and QuickJS: `    at name (file:12:34)` or `    at file:12:34`. SpiderMonkey: `name@file:12:34`.
const V8 = /^\s*at (?:async )?(?:(.+?) \()?(?:file:\/\/)?(.+?):(\d+):(\d+)\)?$/;
const SPIDERMONKEY = /^(?:async\*)?([^@]*)@(.+?):(\d+):(\d+)$/;

function frame(line: string, map: PlaceMap | undefined): string | undefined {
  const [, name = "", file = "", row, column] = V8.exec(line) ?? SPIDERMONKEY.exec(line) ?? [];
  if (row === undefined) return undefined;
  const place = map === undefined ? atDesk(file, row) : inBundle(Number(row), Number(column), map);
  // SpiderMonkey and the bundler decorate names: `process/<`, `Judge.summary`, `__async`.
  const bare = name
    .trim()
    .replace(/^(?:Object|Plugin)\./, "")
    .replace(/(?: \[as .*\]|[/<]+)$/, "");
  return place && (bare && bare !== "<anonymous>" ? `${place} in ${bare}` : place);
}

function inBundle(row: number, column: number, map: PlaceMap): string | undefined {
  const found = map.lines[row];
  if (found === undefined) return undefined;
  let at = 0;
  while (at + 3 < found.length && (found[at + 3] as number) < column) at += 3;
  return `${map.files[found[at + 1] as number]}:${found[at + 2]}`;
}

function atDesk(file: string, row: string): string | undefined {
  const isOurs = file.startsWith(HERE) || file.startsWith("node:") || file.includes("/node_modules/");
  return isOurs ? undefined : `${file.slice(file.lastIndexOf("/") + 1)}:${row}`;
}

/** This package's own folder. In a bundle there is none, and the build leaves this package's lines out of the map. */
const HERE = folder(import.meta.url);

function folder(url: string | undefined): string {
  const path = (url ?? "").replace(/^file:\/\//, "");
  return path.slice(0, path.lastIndexOf("/") + 1) || "\0";
}
