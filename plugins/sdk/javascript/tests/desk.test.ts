/** What an author can do and get wrong, at the desk; the component does the same through the same code. */

import { mkdtempSync, mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { Context } from "../src/index.ts";
import { definePlugin, Failure, Reject, reject, Retry, retry } from "../src/index.ts";
import { verdict } from "../src/call.ts";
import type { Host } from "../src/host.ts";
import { type Desk, run } from "../src/testing.ts";

const URI = "s3://b/a.txt";
const SHAPE = {
  pk: "text",
  n: "int64?",
  x: "float64?",
  day: "date?",
  at: "timestamp?",
  any: "json?",
  on: "boolean?",
} as const;

/** A plugin of one function. */
function made(process: (ctx: Context<any, any>, item: any) => unknown, settings: Record<string, unknown> = {}) {
  return definePlugin({
    name: "desk",
    version: "1.0.0",
    outputs: { rows: SHAPE, other: { pk: "text" } },
    settings,
    process,
  });
}

/** What a function gives. */
function given(process: (ctx: Context<any, any>, item: any) => unknown, desk: Desk = {}, item: unknown = {}) {
  return run(made(process), item, desk);
}

async function emitted(...rows: Record<string, unknown>[]) {
  const result = await given((ctx) => rows.forEach((row) => ctx.emit("rows", row)));
  return result.rows.rows;
}

describe("objects", () => {
  test("are text, lines, bytes and chunks", async () => {
    const text = "\ufeffone\r\ntwo\nø\n\nlast";
    const lines = (await given((ctx) => [...ctx.lines(URI)], { objects: { [URI]: text } })).value;
    expect(lines).toEqual(["one", "two", "ø", "", "last"]);
    expect((await given((ctx) => ctx.text(URI), { objects: { [URI]: text } })).value).toBe(text.slice(1));
    const big = "x".repeat(10_000);
    const chunks = await given((ctx) => [...ctx.chunks(URI, { size: 4096 })].map((c) => c.length), {
      objects: { [URI]: big },
    });
    expect(chunks.value).toEqual([4096, 4096, 1808]);
    const read = await given((ctx) => [...ctx.open(URI).read(1, 2)], { objects: { [URI]: "abcd" } });
    expect(read.value).toEqual([98, 99]);
    const { value } = await given((ctx) => ctx.open(URI).size, { objects: { [URI]: "ø" } });
    expect(value).toBe(2);
  });

  test("are decompressed by their ending", async () => {
    const objects = { "s3://b/a.gz": gzipSync("one\ntwo\n") };
    expect((await given((ctx) => [...ctx.lines("s3://b/a.gz")], { objects })).value).toEqual(["one", "two"]);
    await expect(given((ctx) => ctx.text("s3://b/a.gz"), { objects: { "s3://b/a.gz": "no" } })).rejects.toThrow(
      "damaged gzip",
    );
    const whole = (await given((ctx) => ctx.open("s3://b/a.gz").bytes({ compression: "none" }).length, { objects }))
      .value;
    expect(whole).toBe(objects["s3://b/a.gz"].length);
  });

  test("may lie in a folder or in files", async () => {
    const folder = mkdtempSync(join(tmpdir(), "desk-"));
    mkdirSync(join(folder, "b/c"), { recursive: true });
    writeFileSync(join(folder, "b/c/2.txt"), "two");
    writeFileSync(join(folder, "b/c/1.txt"), "one");
    const listed = await given((ctx) => Array.from(ctx.list("s3://b/c/"), ({ uri }) => ctx.text(uri)), { folder });
    expect(listed.value).toEqual(["one", "two"]);
    const file = new URL(`file://${folder}/b/c/1.txt`);
    expect((await given((ctx) => ctx.text(URI), { objects: { [URI]: file } })).value).toBe("one");
  });

  test.for([
    [URI, {}, Reject, "ObjectNotFound", `${URI}: there is no such object`],
    ["b/a", {}, Reject, "ObjectInvalid", "b/a: not of the form s3://bucket/key"],
    [URI, { objects: { [URI]: "x" }, read: ["s3://c/"] }, Reject, "ObjectDenied", "the dataset file does not grant it"],
    [URI, { objects: { [URI]: Uint8Array.of(0xff) } }, Reject, "NotUtf8", `${URI} is not UTF-8, at line 1 or later`],
  ] as const)("that cannot be had are said: %s %o", async ([uri, desk, kind, code, message]) => {
    const failure = await given((ctx) => ctx.text(uri), desk as Desk).catch((error: Failure) => error);
    expect(failure).toBeInstanceOf(kind);
    expect(failure).toMatchObject({ code, message: expect.stringContaining(message) });
  });

  test("of a listing have a URI", async () => {
    const uri = (item: unknown, batchInput: unknown) => given((ctx, item) => ctx.uri(item), { batchInput }, item);
    expect((await uri({ Key: "k" }, { Bucket: "b" })).value).toBe("s3://b/k");
    expect((await uri({ Key: "k", Bucket: "own" }, { Bucket: "b" })).value).toBe("s3://own/k");
    await expect(uri({ Key: "k" }, null)).rejects.toThrow(
      "neither it nor BatchInput has a Bucket; give the dataset's map",
    );
    await expect(uri({ key: "k" }, { Bucket: "b" })).rejects.toThrow("has no Key");
    await expect(uri("text", { Bucket: "b" })).rejects.toThrow("has no Key");
  });
});

describe("rows", () => {
  test("come out as they went in", async () => {
    const day = new Date("2026-02-28T23:59:59.123Z");
    const rows = await emitted(
      { pk: 'a"\n', n: 1, x: 0.1, any: { a: [1, "ø"] }, on: true },
      { pk: "b", n: 5n, day, at: day },
      { pk: "c", n: undefined, x: null, day: "2026-02-28", at: "2026-02-28T01:02:03+01:00", any: "text" },
    );
    expect(rows).toEqual([
      { pk: 'a"\n', n: 1, x: 0.1, any: { a: [1, "ø"] }, on: true },
      { pk: "b", n: 5, day: "2026-02-28", at: "2026-02-28T23:59:59.123Z" },
      { pk: "c", x: null, day: "2026-02-28", at: "2026-02-28T01:02:03+01:00", any: "text" },
    ]);
  });

  test("may be lists, or columns", async () => {
    const list = await given((ctx) => ctx.emit("other", [{ pk: "a" }, { pk: "b" }]));
    expect(list.rows.other).toEqual([{ pk: "a" }, { pk: "b" }]);
    const columns = { pk: ["a", "b"], n: BigInt64Array.of(1n, 2n), x: Float64Array.of(0.5, 1), any: [null, { a: 1 }] };
    const result = await given((ctx) => ctx.emitColumns("rows", columns));
    expect(result.rows.rows).toEqual([
      { pk: "a", n: 1, x: 0.5, any: null },
      { pk: "b", n: 2, x: 1, any: { a: 1 } },
    ]);
    await expect(given((ctx) => ctx.emitColumns("rows", { pk: ["a", "b"], n: [1] }))).rejects.toThrow(
      "output rows, row 1: column n has 1 values where another has 2",
    );
  });

  test("are as many as one likes, in their order", async () => {
    const result = await given((ctx) => {
      for (let n = 0; n < 20_000; n++) ctx.emit("rows", { pk: `row ${n}`, n });
    });
    expect(result.rows.rows?.map(({ n }) => n)).toEqual(Array.from({ length: 20_000 }, (_, n) => n));
  });

  test("keep the digits of large numbers", async () => {
    const result = await given((ctx) => ctx.emit("rows", { pk: "a", n: 2n ** 63n - 1n }));
    expect(result.rows.rows).toHaveLength(1);
    await expect(emitted({ pk: "a", n: 2n ** 63n })).rejects.toThrow("n is 9223372036854776000, not int64 or null");
  });

  test.for([
    [{ pk: "a", temprature: 1 }, 'output rows, row 1: "temprature" is no column of this output; there are pk, n, x'],
    [{ pk: "a", DAY: 1 }, '"DAY" is no column of this output, did you mean day?'],
    [{ pk: "a", x: Number.NaN }, "column x is NaN, which no format has; give null"],
    [{ pk: "a", x: 1 / 0 }, "column x is Infinity"],
    [{ pk: "a", n: 1.5 }, "n is 1.5, not int64 or null"],
    [{ n: 1 }, "pk is null, not text"],
    [{ pk: 5 }, "pk is 5, not text"],
    [{ pk: { a: 1 } }, 'column pk is {"a":1}, not text'],
    [{ pk: "a", any: 1n }, "column any is a bigint, and json"],
    [{ pk: "a", any: { a: 1n } }, "BigInt"],
    [{ pk: "a", any: () => 1 }, "column any is a function, which does not go into JSON"],
    [{ pk: "a", day: "2026-02-30" }, 'day is "2026-02-30", not date or null'],
    [{ pk: "a", day: new Date("x") }, "column day is an invalid Date"],
    [{ pk: "a", at: "2026-02-28T01:02:03" }, "not timestamp or null"],
  ] as const)("that do not fit are said: %o", async ([row, message]) => {
    const failure = await emitted(row).catch((error: Failure) => error);
    expect(failure).toMatchObject({ name: "Reject", code: "OutputInvalid", message: expect.stringContaining(message) });
  });

  test("go to an output that there is", async () => {
    await expect(given((ctx) => ctx.emit("row", { pk: "a" }))).rejects.toThrow(
      new Reject("NoSuchOutput", "the plugin declares no output row, did you mean rows?"),
    );
    await expect(given((ctx) => ctx.emit("rows", null as never))).rejects.toThrow("a row is an object, not null");
  });
});

describe("what process returns and throws", () => {
  test("is the report, also after a while", async () => {
    expect((await given(() => ({ a: 1 }))).value).toEqual({ a: 1 });
    expect((await given(() => undefined)).value).toBeNull();
    const later = await given(async (ctx) => {
      for await (const line of [Promise.resolve("a"), "b"]) ctx.emit("other", { pk: line });
      return (await Promise.all([1, Promise.resolve(2)])).length;
    });
    expect(later).toMatchObject({ value: 2, rows: { other: [{ pk: "a" }, { pk: "b" }] } });
    await expect(given(() => 1n)).rejects.toThrow("what process returned is no JSON");
    await expect(given(() => () => 1)).rejects.toThrow("what process returned is no JSON but a function");
  });

  test("decides what becomes of the item", async () => {
    await expect(given(() => reject("Bad", "it is bad"))).rejects.toThrow(new Reject("Bad", "it is bad"));
    await expect(given(() => retry("Later", "not yet"))).rejects.toBeInstanceOf(Retry);
    await expect(given(() => reject("Bad code", "x"))).rejects.toThrow('"Bad code" is no failure code');
  });

  test("names the author's own line", async () => {
    const logged: string[] = [];
    const host = { log: (_, message) => logged.push(message) } as Partial<Host> as Host;
    const thrown = await given(function outer() {
      return (null as unknown as { x: number }).x;
    }).catch((error: unknown) => error);
    const failure = verdict(thrown, host);
    expect(failure.code).toBe("TypeError");
    expect(failure.message).toMatch(
      /^Cannot read properties of null \(reading 'x'\) \(at desk\.test\.ts:\d+ in outer\)$/,
    );
    expect(logged).toEqual([expect.stringMatching(/^TypeError: Cannot read .* at desk\.test\.ts:\d+ in outer/)]);
    expect(verdict("text", host)).toEqual(
      new Reject("NoError", 'process threw "text"; throw an Error, or call reject()'),
    );
  });

  test("chance follows from the item", async () => {
    const random = async (item: unknown) => (await given(() => [Math.random(), Math.random()], {}, item)).value;
    expect(await random({ a: 1 })).toEqual(await random({ a: 1 }));
    expect(await random({ a: 1 })).not.toEqual(await random({ a: 2 }));
  });
});

test("numbers for the operator are counted", async () => {
  const result = await given((ctx) => {
    ctx.count("files");
    ctx.count("files", 2);
    ctx.observe("size", 1.5);
    expect(() => ctx.count("files", -1)).toThrow("counter files: -1 is no whole number from 0");
  });
  expect(result).toMatchObject({ counts: { files: 3 }, observations: { size: [1.5] } });
});

describe("settings", () => {
  const plugin = made((ctx) => ctx.settings, { limit: 5, name: { type: "string" }, on: false });

  test("have defaults, and are required without", async () => {
    expect((await run(plugin, {}, { settings: { name: "a" } })).value).toEqual({ limit: 5, name: "a", on: false });
    await expect(run(plugin, {})).rejects.toThrow(
      new Reject("BadSettings", "settings: name is missing and has no default"),
    );
    await expect(run(plugin, {}, { settings: { name: "a", limt: 1 } })).rejects.toThrow(
      "unknown key limt, did you mean limit?",
    );
  });

  test("become a schema", () => {
    expect(plugin.settingsSchema).toMatchObject({
      properties: {
        limit: { type: "number", default: 5 },
        name: { type: "string" },
        on: { type: "boolean", default: false },
      },
      required: ["name"],
      additionalProperties: false,
    });
  });
});

test.for([
  [{ name: "" }, 'a plugin needs a name, not ""'],
  [{ version: "1" }, 'version "1" is not of the form 1.2.3'],
  [{ outputs: { rows: {} } }, "output rows has no columns"],
  [{ outputs: { rows: { a: "int" } } }, 'output rows, column a: unknown type "int"'],
  [{ outputs: { rows: { a: "float46" } } }, "did you mean float64?"],
  [{ outputs: { rows: { description: "d", columns: { a: "txt?" } } } }, 'unknown type "txt?", did you mean text?'],
  [{ process: undefined }, "process is no function but undefined"],
  [{ settings: { a: null } }, "setting a: give a default"],
])("a declaration that makes no sense fails where it stands: %o", ([change, message]) => {
  const good = { name: "p", version: "1.0.0", outputs: { rows: { a: "text" } }, process: () => undefined };
  expect(() => definePlugin({ ...good, ...(change as object) } as never)).toThrow(message as string);
});
