/** What comes of an app before an engine has it: one module, a map of its lines, or a sentence on what is wrong. */

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";

const SDK = fileURLToPath(new URL("..", import.meta.url));
const GOOD = `import { definePlugin } from "gristmill";
import { later } from "./later.ts";
export default definePlugin({
  name: "app", version: "1.0.0", outputs: { rows: { pk: "text" } },
  async process(ctx) { for await (const pk of later()) ctx.emit("rows", { pk }); },
});
`;
const LATER = `export async function* later(): AsyncGenerator<string> {
  yield await Promise.resolve("a");
}
`;

const BAD = `function early() {
  throw new Error("at once");
}
export default early();
`;

let build: typeof import("../src/build/build.ts");

beforeAll(async () => {
  // As it is published: the build takes this package's compiled modules in.
  execFileSync("npm", ["run", "--silent", "build"], { cwd: SDK });
  build = await import(`${SDK}/dist/build/build.js`);
});

function folder(files: Record<string, string>): string {
  const made = mkdtempSync(join(tmpdir(), "app-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(made, name), text);
  return made;
}

async function bundled(files: Record<string, string>, engine: "quickjs" | "starling" = "quickjs") {
  return await build.bundled(join(folder({ "later.ts": LATER, ...files }), "app.ts"), engine);
}

test("async functions become generators where the engine waits for nothing", async () => {
  expect((await bundled({ "app.ts": GOOD })).source).not.toMatch(/\basync (function|process|\*|\()|\bawait\b/);
  expect((await bundled({ "app.ts": GOOD }, "starling")).source).toMatch(/async function\* later/);
});

test("the map has the author's lines and none of this package's", async () => {
  const { source, map } = await bundled({ "app.ts": GOOD });
  expect(map.files).toEqual(["app.ts", "later.ts"]);
  const lines = source.split("\n");
  const of = (part: string) => map.lines[lines.findIndex((line) => line.includes(part)) + 1];
  expect(of('name: "app"')?.slice(-2)).toEqual([0, 4]);
  expect(of('Promise.resolve("a")')?.slice(1, 3)).toEqual([1, 2]);
  expect(of("class Plugin")).toBeUndefined();
});

test.for([
  [
    "import fs from 'node:fs'; fs;",
    /app\.ts:1:16: node:fs does not work in a plugin: there are no files; read objects with ctx\.open/,
  ],
  ["import 'https';", /https does not work in a plugin: there is no network/],
  [
    "import '@aws-sdk/client-s3';",
    /@aws-sdk\/client-s3 does not work in a plugin: read objects with ctx\.open, and give rows/,
  ],
  ["import 'worker_threads';", /worker_threads does not work in a plugin: Node's own modules are not there/],
  ["import 'left-pad';", /Could not resolve "left-pad"/],
  ["const a = ;", /app\.ts:1:\d+: Unexpected ";"/],
] as const)("what cannot work is found before an engine has it: %s", async ([text, said]) => {
  await expect(bundled({ "app.ts": text })).rejects.toThrow(said);
});

function command(...given: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`${SDK}/bin/gristmill-build.js`, ...given], {
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

test("the command makes a component, or says what is wrong and leaves nothing", () => {
  const made = folder({ "app.ts": GOOD, "later.ts": LATER, "none.ts": "export const a = 1;", "bad.ts": BAD });
  const app = join(made, "app.ts");
  expect(command(app)).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/app\.wasm: \d\.\d MB \(quickjs\)\n$/),
  });
  expect([...readFileSync(join(made, "app.wasm")).subarray(0, 4)]).toEqual([0, 0x61, 0x73, 0x6d]);
  const none = command(join(made, "none.ts"));
  expect(none.stderr).toContain(
    "none.ts exports no plugin, and has to export one: export default definePlugin({ ... })",
  );
  expect(none.status).toBe(1);
  const bad = command(join(made, "bad.ts")).stderr;
  expect(bad).toMatch(
    /bad\.ts: it cannot be evaluated: Error: at once \(at bad\.ts:2 in early, called by bad\.ts:4\)\n$/,
  );
  expect(["none.wasm", "bad.wasm"].filter((name) => existsSync(join(made, name)))).toEqual([]);
  expect(command(join(made, "absent.ts")).stderr).toMatch(/^error: .*absent\.ts: there is no such file\n$/);
  expect(command(app, "--engine", "v8").stderr).toBe("error: there is no engine v8; there are quickjs and starling\n");
  expect(command(app, "--ouput", "x").stderr).toMatch(/^error: Unknown option '--ouput'/);
  expect(command("--help").stdout).toContain("Usage: gristmill-build APP");
});

test("the lock file names no registry", () => {
  const lock = JSON.parse(readFileSync(new URL("../../../package-lock.json", import.meta.url), "utf8")) as {
    packages: Record<string, { resolved?: string }>;
  };
  const named = Object.values(lock.packages).filter(({ resolved }) => resolved?.includes("://"));
  expect(named).toEqual([]);
  expect(Object.keys(lock.packages).length).toBeGreaterThan(20);
});
