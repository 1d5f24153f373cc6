/**
 * One plugin with many ways of doing things, right and wrong, each an item of its own: `{ "way": "..." }`. The host's
 * tests build it with both engines and run it in the real sandbox (host/tests/it/javascript.rs).
 */

import { definePlugin, reject, type Context, type Where } from "gristmill";

type Ctx = Context<any, any>;

let kept = 0;

const WAYS: Readonly<Record<string, (ctx: Ctx) => unknown>> = {
  // What works.
  text: (ctx) => [ctx.text("s3://data/a.txt"), ctx.open("s3://data/a.txt").size],
  lines: (ctx) => [...ctx.lines("s3://data/lines.gz")],
  read: (ctx) => [...ctx.open("s3://data/a.txt").read(1, 3)],
  chunks: (ctx) => Array.from(ctx.chunks("s3://data/large.txt", { size: 4096 }), (chunk) => chunk.length),
  list: (ctx) => Array.from(ctx.list("s3://data/some/"), ({ uri, size }) => [uri, size]),
  rows: (ctx) => [...ctx.table("s3://data/t.csv").rows()],
  columns: (ctx) => {
    const columns = {
      id: "text",
      n: "int64",
      big: "bigint",
      x: "float64",
      day: "date",
      at: "timestamp",
      any: "json",
      no: "text?",
    } as const;
    const table = ctx.table("s3://data/t.jsonl", { columns });
    return [...table].map((block) => Object.keys(columns).map((name) => tell(block.column(name as "id"))));
  },
  where: (ctx) => {
    const columns = { id: "text", n: "int64", big: "bigint", x: "float64", day: "date", at: "timestamp" } as const;
    const ids = (where: Where) => Array.from(ctx.table("s3://data/t.jsonl", { columns, where }).rows(), ({ id }) => id);
    return [
      ids([["n", ">", 1]]),
      ids([["x", "<=", 0.5]]),
      ids({ id: "ø", n: 2 }),
      ids({ big: 9007199254740993n }),
      ids([["day", ">=", "2026-01-02"]]),
      ids([["at", "==", new Date("2026-01-01")]]),
      ids([["n", "is null"]]),
    ];
  },
  csv: (ctx) => [...ctx.table("s3://data/plain", { format: "csv", header: ["a", "b"], delimiter: ";" }).rows()],
  emit: (ctx) => {
    ctx.emit("rows", { pk: "one", n: 2n ** 63n - 1n, day: new Date(0), at: new Date(0), any: { a: ["ø", 0.1] } });
    ctx.emit("rows", [
      { pk: "two", x: 0.5 },
      { pk: "three", on: true },
    ]);
    ctx.emitColumns("rows", { pk: ["four", "five"], x: Float64Array.of(1.5, -0.5) });
  },
  async: async (ctx) => {
    const seen: unknown[] = [];
    for await (const line of later(ctx)) seen.push(line);
    seen.push(
      await Promise.all([
        1,
        later(ctx)
          .next()
          .then(({ value }) => value),
      ]),
    );
    await Promise.reject(new Error("caught")).catch((error: Error) => seen.push(error.message));
    return seen;
  },
  numbers: (ctx) => {
    ctx.count("seen", 3);
    ctx.observe("size", 1.5);
  },
  pure: () => [Math.random(), new Date().getTime() > 0, ++kept],
  // What does not.
  output: (ctx) => ctx.emit("row", { pk: "a" }),
  column: (ctx) => ctx.emit("rows", { pk: "a", temprature: 1 }),
  type: (ctx) => ctx.emit("rows", { pk: "a", n: "many" }),
  nan: (ctx) => ctx.emit("rows", { pk: "a", x: Number.NaN }),
  absent: (ctx) => ctx.text("s3://data/absent"),
  denied: (ctx) => ctx.text("s3://other/a"),
  "denied table": (ctx) => ctx.table("s3://other/a"),
  "no uri": (ctx) => ctx.open("data/a"),
  "no table": (ctx) => [...ctx.table("s3://data/a.txt", { format: "parquet" })],
  "no column": (ctx) => [...ctx.table("s3://data/t.csv", { columns: ["idd"] })],
  cast: (ctx) => [...ctx.table("s3://data/t.csv", { columns: { id: "int64" } })],
  rounded: (ctx) => [...ctx.table("s3://data/t.jsonl", { columns: { big: "int64" } }).rows()],
  "where it is": () => deeper({ uri: undefined }),
  "after a while": async (ctx) => {
    for await (const _ of later(ctx)) deeper({ uri: undefined });
  },
  "no error": () => {
    throw "text";
  },
  rejected: () => reject("Bad", "it is bad"),
  "for ever": () => new Promise(() => {}),
  report: () => ({ a: 1n }),
  clock: () => setTimeout(() => {}, 1),
  loop: () => {
    for (;;);
  },
};

async function* later(ctx: Ctx): AsyncGenerator<string> {
  for (const line of ctx.lines("s3://data/lines.gz")) yield await Promise.resolve(line);
}

function deeper(item: { uri: string | undefined }): number {
  return (item.uri as string).length;
}

/** A column's values with the kind of array that they are in. */
function tell(column: ArrayLike<unknown>): unknown {
  const values = Array.from(column, (value) => (typeof value === "bigint" ? String(value) : value));
  return [column.constructor.name, ...values];
}

export default definePlugin({
  name: "ways",
  version: "0.1.0",
  outputs: {
    rows: { pk: "text", n: "int64?", x: "float64?", on: "boolean?", day: "date?", at: "timestamp?", any: "json?" },
  },
  process(ctx, { way }: { way: string }) {
    console.log("this is", { way });
    return WAYS[way]?.(ctx as Ctx) ?? null;
  },
});
