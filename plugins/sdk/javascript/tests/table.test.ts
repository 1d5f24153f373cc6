/** Tables at the desk: what the host would give for the same question. */

import { describe, expect, test } from "vitest";
import { definePlugin, type TableOptions, type WantedColumns } from "../src/index.ts";
import { request } from "../src/request.ts";
import { type Given, run } from "../src/testing.ts";

const URI = "s3://b/part-0";
const READINGS = [
  { id: "a", x: 1.5, n: 1 },
  { id: "b", x: Number.NaN, n: null },
  { id: null, x: 3, n: 3 },
  { id: "d", x: null, n: 4 },
];

async function scanned(given: Given, options: TableOptions<WantedColumns> = {}) {
  const found: { types: Record<string, string>; blocks: unknown[][]; columns: unknown[] } = {
    types: {},
    blocks: [],
    columns: [],
  };
  const plugin = definePlugin({
    name: "desk",
    version: "1.0.0",
    outputs: { rows: { pk: "text" } },
    process(ctx) {
      const table = ctx.table(URI, options);
      found.types = Object.fromEntries(table.types);
      for (const block of table) {
        found.blocks.push(Array.from(block.rows(), (row) => Object.values(row)));
        found.columns.push(...[...block.types.keys()].map((name) => block.column(name as never)));
      }
    },
  });
  await run(plugin, {}, { tables: { [URI]: given } });
  return found;
}

async function rows(given: Given, options: TableOptions<WantedColumns> = {}) {
  return (await scanned(given, options)).blocks.flat();
}

test("rows and columns are the same table", async () => {
  const byColumn = { id: ["a", "b", null, "d"], x: [1.5, Number.NaN, 3, null], n: [1, null, 3, 4] };
  expect(await scanned(byColumn)).toEqual(await scanned(READINGS));
  expect((await scanned(READINGS)).types).toEqual({ id: "text", x: "float64", n: "int64" });
});

test("only what is asked for is given", async () => {
  expect(await rows(READINGS, { columns: ["n", "id"] })).toEqual([
    [1, "a"],
    [null, "b"],
    [3, null],
    [4, "d"],
  ]);
  expect((await rows(READINGS, { columns: { n: "float64", none: "int64?" } })).slice(0, 1)).toEqual([[1, null]]);
  await expect(rows(READINGS, { columns: ["none"] })).rejects.toThrow(`${URI}: it has no column \`none\``);
  await expect(rows(READINGS, { columns: { id: "float64" } })).rejects.toThrow(
    `${URI}: column \`id\`: "a" is no float64`,
  );
});

test.for<[TableOptions<WantedColumns>["where"], unknown[]]>([
  [[["x", ">", 1.5]], [3]],
  [
    [
      ["x", ">=", 1.5],
      ["id", "is not null"],
    ],
    [1],
  ],
  [[["x", "!=", 1.5]], [null, 3]], // NaN is not equal to anything.
  [[["x", "<", 99]], [1, 3]],
  [[["x", "is null"]], [4]],
  [[["id", "<=", "b"]], [1, null]],
  [{ id: "d", n: 4 }, [4]],
  [[["n", "==", 4n]], [4]],
  [[], [1, null, 3, 4]],
])("rows meet all conditions: %o", async ([where, found]) => {
  expect(await rows(READINGS, { columns: ["n"], where: where ?? [] })).toEqual(found.map((n) => [n]));
});

test("every type is given as the host gives it", async () => {
  const given = {
    on: [true],
    raw: [Uint8Array.of(1)],
    at: [new Date(1000)],
    any: [{ a: ["ø"] }],
    big: ["9007199254740993"],
  };
  const found = await scanned(given);
  expect(Object.values(found.types)).toEqual(["boolean", "binary", "timestamp", "json", "text"]);
  expect(found.blocks).toEqual([[[true, Uint8Array.of(1), 1_000_000, { a: ["ø"] }, "9007199254740993"]]]);
  expect(await rows(given, { columns: { big: "bigint", at: "text" } })).toEqual([
    [9007199254740993n, "1970-01-01T00:00:01.000Z"],
  ]);
  const texts = { day: ["1970-01-02"], at: ["1970-01-01T01:00:01+01:00"], x: ["1.5"], n: ["7"], any: ["[1]"] };
  const columns = { day: "date", at: "timestamp", x: "float64", n: "int64", any: "json" } as const;
  const cast = await scanned(texts, { columns });
  expect(cast.blocks).toEqual([[[1, 1_000_000, 1.5, 7, [1]]]]);
  expect(cast.columns).toEqual([
    Int32Array.of(1),
    Float64Array.of(1e6),
    Float64Array.of(1.5),
    Float64Array.of(7),
    [[1]],
  ]);
});

test("blocks are cut as they are wanted, and a table is read once", async () => {
  const numbers = { n: Array.from({ length: 10 }, (_, n) => n) };
  expect((await scanned(numbers, { blockRows: 4 })).blocks.map((block) => block.length)).toEqual([4, 4, 2]);
  expect((await scanned({ n: [] })).blocks).toEqual([]);
  const plugin = definePlugin({
    name: "desk",
    version: "1.0.0",
    outputs: { rows: { pk: "text" } },
    process(ctx) {
      const table = ctx.table(URI);
      return [...table.rows()].length + [...table.rows()].length;
    },
  });
  await expect(run(plugin, {}, { tables: { [URI]: numbers } })).rejects.toThrow("a table is read once; open it again");
  await expect(run(plugin, {})).rejects.toThrow(
    `${URI}: there is no such table; the desk has those that \`tables\` gives`,
  );
});

describe("what is asked for", () => {
  test("is read into the contract's words", () => {
    expect(
      request({
        columns: { a: "int64", b: "text?" },
        where: [
          ["a", "<", 1],
          ["b", "is null"],
        ],
        blockRows: 5,
      }),
    ).toEqual({
      columns: [
        { name: "a", type: "int64", optional: false },
        { name: "b", type: "text", optional: true },
      ],
      where: [
        { column: "a", comparison: "<", value: 1 },
        { column: "b", comparison: "is null", value: undefined },
      ],
      format: undefined,
      header: undefined,
      delimiter: ",",
      blockRows: 5,
    });
    expect(request({ where: { a: new Date(0) } }).where).toEqual([
      { column: "a", comparison: "==", value: "1970-01-01T00:00:00.000Z" },
    ]);
  });

  test.for([
    [{ columns: "temperature" }, 'columns are a list of names or an object from name to type, not "temperature"'],
    [{ columns: { a: "float" } }, 'column a: unknown type "float"'],
    [{ where: [["a", "=", 1]] }, 'column a: no comparison "="; there are ==, !=, <'],
    [{ where: [["a", "<"]] }, "column a: < takes one value"],
    [{ where: [["a", "is null", 1]] }, "column a: is null takes no value"],
    [{ where: ["a"] }, 'a condition is a list such as ["n", ">", 1], not "a"'],
    [{ where: { a: null } }, "column a: compare it with a boolean, a number, a text or a date, not null"],
    [{ where: { a: 2n ** 63n } }, "column a: 9223372036854775808 has more than 64 bits"],
    [{ where: { a: 2 ** 53 } }, "is beyond 2^53, where numbers have gaps; give a bigint (9007199254740992n)"],
    [{ format: "xml" }, 'unknown format "xml"; there are parquet, csv, json-lines'],
    [{ delimiter: ";" }, '`header` and `delimiter` belong to `format: "csv"`'],
    [{ format: "csv", header: "a" }, 'header is a list of names, not "a"'],
    [{ colums: ["a"] }, 'ctx.table has no option "colums", did you mean columns?'],
  ])("fails where it stands if it makes no sense: %o", ([options, message]) => {
    expect(() => request(options as never)).toThrow(message as string);
  });
});
