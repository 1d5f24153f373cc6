/** From a source map to what a plugin needs of it: which lines of the bundle are the author's, and which ones. */

import { decode } from "@jridgewell/sourcemap-codec";

import type { PlaceMap } from "../places.ts";

/** `name` is how a source is called; lines of sources without a name are left out. */
export function placeMap(sourceMap: string, name: (source: string) => string | undefined): PlaceMap {
  const { sources, mappings } = JSON.parse(sourceMap) as { sources: string[]; mappings: string };
  const names = sources.map(name);
  const files = names.filter((found) => found !== undefined);
  const lines: Record<string, number[]> = {};
  for (const [row, segments] of decode(mappings).entries()) {
    const found: number[] = [];
    for (const [column, source, line] of segments) {
      const file = source === undefined ? undefined : names[source];
      if (file === undefined || line === undefined) continue;
      const place = [files.indexOf(file), line + 1];
      const [lastFile, lastLine] = found.slice(-2);
      // Most lines come from one line.
      if (place[0] !== lastFile || place[1] !== lastLine) found.push(column, ...(place as [number, number]));
    }
    if (found.length > 0) lines[row + 1] = found;
  }
  return { files, lines };
}
