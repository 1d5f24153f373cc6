/** What the component makes of the contract: every error of the host keeps its kind, and every handle is given back. */

import { beforeEach, expect, test, vi } from "vitest";
import { itemProcessor } from "../src/component/component.ts";
import { definePlugin, type Context } from "../src/index.ts";

// In the place of the contract's modules, which only a component has.
const contract = vi.hoisted(() => {
  const calls: unknown[][] = [];
  const fail: { next: unknown } = { next: undefined };
  const said = (...call: unknown[]) => {
    calls.push(call);
    if (fail.next !== undefined) throw Object.assign(new Error("of the engine"), { payload: fail.next });
  };
  const dropped = (name: string) => ({ [Symbol.dispose]: () => void calls.push(["drop", name]) });
  const pieces = (name: string, ...values: unknown[]) => ({
    next: () => (said(`${name}.next`), values.shift() ?? null),
    ...dropped(name),
  });
  return {
    calls,
    fail,
    objects: {
      open: (uri: string) => {
        said("open", uri);
        return {
          metadata: () => ({ uri, size: 3n, etag: "e" }),
          read: (...given: unknown[]) => (said("read", ...given), Uint8Array.of(1)),
          chunks: (...given: unknown[]) => (
            said("chunks", ...given),
            pieces("chunks", Uint8Array.of(97, 10), Uint8Array.of(98))
          ),
          ...dropped("object"),
        };
      },
      list: (prefix: string) => {
        said("list", prefix);
        const pages = [[{ uri: "s3://b/1", size: 1n, etag: "e" }], []];
        return { next: () => (said("listing.next"), pages.shift()), ...dropped("listing") };
      },
    },
    tables: {
      open: (uri: string, options: unknown) => {
        said("table", uri, options);
        return { columns: () => [{ name: "a", type: "text", nullable: true }], ...pieces("scan", Uint8Array.of(1)) };
      },
    },
    output: {
      emit: (name: string, rows: { val: Uint8Array }) => said("emit", name, new TextDecoder().decode(rows.val)),
    },
    metrics: {
      count: (...given: unknown[]) => said("count", ...given),
      observe: (...given: unknown[]) => said("observe", ...given),
    },
    logging: { log: (...given: unknown[]) => calls.push(["log", ...given]) },
  };
});
vi.mock("gristmill:plugin/objects@0.1.0", () => contract.objects);
vi.mock("gristmill:plugin/tables@0.1.0", () => contract.tables);
vi.mock("gristmill:plugin/output@0.1.0", () => contract.output);
vi.mock("gristmill:plugin/metrics@0.1.0", () => contract.metrics);
vi.mock("wasi:logging/logging@0.1.0-draft", () => contract.logging);

const ENGINE = { to64: BigInt, settle: <T>(promise: Promise<T>) => promise };
const ITEM = { index: 4, body: "{}" };
const GIVEN = { dataset: "d", batchInput: "null", settings: "{}" };

beforeEach(() => {
  contract.calls.length = 0;
  contract.fail.next = undefined;
});

async function processed(process: (ctx: Context<any, any>) => unknown, app = {}) {
  const plugin = definePlugin({
    name: "p",
    version: "1.0.0",
    description: "d",
    outputs: { rows: { a: "text?" } },
    process,
  });
  try {
    return await itemProcessor({ default: plugin, ...app }, "app.ts", ENGINE).process(GIVEN, ITEM);
  } catch (fault) {
    return fault;
  }
}

const ASKS: Record<string, (ctx: Context<any, any>) => unknown> = {
  open: (ctx) => ctx.open("s3://b/k"),
  list: (ctx) => [...ctx.list("s3://b/")],
  table: (ctx) => ctx.table("s3://b/k"),
};
const TAGS = [
  ["not-found", "reject", "ObjectNotFound"],
  ["denied", "reject", "ObjectDenied"],
  ["invalid", "reject", "ObjectInvalid"],
  ["unavailable", "retry", "ObjectUnavailable"],
  ["too-large", "reject", "ObjectTooLarge"],
  ["changed", "retry", "ObjectChanged"],
] as const;

test.for(TAGS.flatMap((tag) => Object.keys(ASKS).map((ask) => [...tag, ask] as const)))(
  "%s is a %s as %s, of %4$s",
  async ([tag, kind, code, ask]) => {
    contract.fail.next = { tag, val: "s3://b/k: why" };
    expect(await processed(ASKS[ask] ?? (() => {}))).toEqual({ tag: kind, val: { code, message: "s3://b/k: why" } });
  },
);

test.for([
  ["no-such-output", "NoSuchOutput"],
  ["invalid", "OutputInvalid"],
  ["too-large", "OutputTooLarge"],
] as const)("%s of rows is a rejection as %s", async ([tag, code]) => {
  const fault = await processed((ctx) => {
    contract.fail.next = { tag, val: "why" };
    ctx.emit("rows", { a: "x" });
  });
  expect(fault).toEqual({ tag: "reject", val: { code, message: "output rows: why" } });
});

test("what fails in the middle of reading keeps its kind, and the handles are given back", async () => {
  const fault = await processed((ctx) => {
    for (const _ of ctx.chunks("s3://b/k")) contract.fail.next = { tag: "changed", val: "s3://b/k was replaced" };
  });
  expect(fault).toEqual({ tag: "retry", val: { code: "ObjectChanged", message: "s3://b/k was replaced" } });
  expect(contract.calls.slice(-2)).toEqual([
    ["drop", "chunks"],
    ["drop", "object"],
  ]);
});

test("what is read is asked for once, and given back", async () => {
  expect(await processed((ctx) => [...ctx.lines("s3://b/k")])).toBe('["a","b"]');
  expect(contract.calls.map(([name, what]) => `${name} ${typeof what === "string" ? what : ""}`.trim())).toEqual([
    "open s3://b/k",
    "chunks",
    "chunks.next",
    "chunks.next",
    "chunks.next",
    "drop chunks",
    "drop object",
  ]);
  contract.calls.length = 0;
  expect(await processed((ctx) => Array.from(ctx.list("s3://b/"), ({ size }) => size))).toBe("[1]");
  expect(contract.calls.at(-1)).toEqual(["drop", "listing"]);
  const left = await processed((ctx) => {
    for (const _ of ctx.open("s3://b/k").lines()) return "early";
    return "never";
  });
  expect(left).toBe('"early"');
  expect(contract.calls.slice(-2)).toEqual([
    ["drop", "chunks"],
    ["drop", "object"],
  ]);
});

test("a table is asked for in the contract's words", async () => {
  const options = {
    columns: { n: "bigint", t: "text?" },
    where: [
      ["n", ">", 1],
      ["x", "<", 0.5],
      ["b", "==", true],
      ["n", "!=", 2n ** 60n],
      ["t", "is null"],
    ],
    format: "csv",
    header: ["n", "t"],
    delimiter: ";",
    blockRows: 10,
  } as const;
  const fault = await processed((ctx) => [...ctx.table("s3://b/k", options)]);
  expect(fault).toMatchObject({ tag: "reject", val: { code: "TableInvalid" } });
  expect(contract.calls.find(([name]) => name === "table")?.[2]).toEqual({
    format: { tag: "csv", val: { header: false, names: ["n", "t"], delimiter: ";" } },
    compression: "auto",
    columns: [
      { name: "n", type: "int64", optional: false },
      { name: "t", type: "text", optional: true },
    ],
    where: [
      { column: "n", comparison: "greater", value: { tag: "int64", val: 1n } },
      { column: "x", comparison: "less", value: { tag: "float64", val: 0.5 } },
      { column: "b", comparison: "equal", value: { tag: "boolean", val: true } },
      { column: "n", comparison: "not-equal", value: { tag: "text", val: String(2n ** 60n) } },
      { column: "t", comparison: "is-null", value: null },
    ],
    blockRows: 10,
    encoding: "arrow-ipc",
  });
  expect(contract.calls.at(-1)).toEqual(["drop", "scan"]);
  contract.calls.length = 0;
  expect(await processed((ctx) => [...ctx.table("s3://b/k").types.keys()])).toBe('["a"]');
  expect(contract.calls.at(-1)).toEqual(["drop", "scan"]);
});

test("rows, numbers and log lines reach the host", async () => {
  const original = globalThis.console;
  await processed((ctx) => {
    ctx.emit("rows", { a: "ø" });
    ctx.count("seen", 2);
    ctx.observe("size", 1.5);
    console.log("a", { b: 1 }, 2n);
    console.warn(new Error("why"));
    console.debug(undefined);
  });
  globalThis.console = original;
  expect(contract.calls).toEqual([
    ["count", "seen", 2n],
    ["observe", "size", 1.5],
    ["log", "info", "plugin", 'a {"b":1} 2'],
    ["log", "warn", "plugin", expect.stringMatching(/^Error: why\n {2}at component\.test\.ts:\d+/)],
    ["log", "debug", "plugin", "undefined"],
    ["emit", "rows", '{"a":"ø"}\n'],
  ]);
});

test("a manifest is what was declared", () => {
  const plugin = definePlugin({
    name: "p",
    version: "1.2.3",
    description: "What it does.",
    settings: { a: 1 },
    outputs: { one: { pk: "text", n: "int64?" }, two: { description: "Two.", columns: { j: "json" } } },
    process() {},
  });
  expect(itemProcessor({ plugin }, "app.ts", ENGINE).describe()).toEqual({
    name: "p",
    version: "1.2.3",
    description: "What it does.",
    settingsSchema: JSON.stringify(plugin.settingsSchema),
    outputs: [
      {
        name: "one",
        description: "",
        columns: [
          { name: "pk", type: "text", nullable: false },
          { name: "n", type: "int64", nullable: true },
        ],
      },
      { name: "two", description: "Two.", columns: [{ name: "j", type: "json", nullable: false }] },
    ],
  });
});

test("a module has one plugin", () => {
  const named = (name: string) =>
    definePlugin({ name, version: "1.0.0", outputs: { rows: { a: "text" } }, process() {} });
  const [one, other] = [named("one"), named("other")];
  expect(() => itemProcessor({}, "app.ts", ENGINE)).toThrow("app.ts exports no plugin, and has to export one");
  expect(() => itemProcessor({ one, other }, "app.ts", ENGINE)).toThrow("app.ts exports 2 plugins");
  expect(itemProcessor({ default: one, one, more: 1 }, "app.ts", ENGINE).describe().name).toBe("one");
});
