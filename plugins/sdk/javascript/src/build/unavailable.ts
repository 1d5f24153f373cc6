/** What cannot work in a plugin is found when it is built, with what to use instead. */

import { builtinModules } from "node:module";
import type { Plugin } from "esbuild";

const INSTEAD: readonly (readonly [RegExp, string])[] = [
  [/^fs(\/|$)/, "there are no files; read objects with ctx.open, ctx.text or ctx.lines"],
  [/^(https?|net|tls|dgram|dns|http2|undici)(\/|$)/, "there is no network; read objects with ctx.open"],
  [/^(crypto)(\/|$)/, "take a package in plain JavaScript, such as @noble/hashes"],
  [/^zlib$/, "the host decompresses objects whose keys end in .gz, .zst or .bz2"],
  [
    /^(aws-sdk|@aws-sdk\/.*|@smithy\/.*)$/,
    "read objects with ctx.open, and give rows to ctx.emit: the host writes them",
  ],
  [/^(axios|node-fetch|got)$/, "there is no network; read objects with ctx.open"],
  [/^(path|url|util|buffer|events|assert|stream|string_decoder|querystring)(\/|$)/, "take a package for browsers"],
];

export const unavailable: Plugin = {
  name: "unavailable",
  setup(build) {
    build.onResolve({ filter: /^[^./]/ }, async ({ path, kind, importer, resolveDir, pluginData }) => {
      const bare = path.replace(/^node:/, "");
      const instead = INSTEAD.find(([pattern]) => pattern.test(bare))?.[1];
      const isNodes = path.startsWith("node:") || builtinModules.includes(bare);
      if (pluginData === unavailable || (instead === undefined && !isNodes)) return undefined;
      // A package of that name may be there for browsers.
      if (isNodes && !path.startsWith("node:")) {
        const found = await build.resolve(path, { kind, importer, resolveDir, pluginData: unavailable });
        if (found.errors.length === 0) return found;
      }
      return {
        errors: [{ text: `${path} does not work in a plugin: ${instead ?? "Node's own modules are not there"}` }],
      };
    });
  },
};
