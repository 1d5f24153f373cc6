/** Blocks of tables: what Arrow writes is read back, and bytes that nobody made on purpose are one clear error. */

import { readFileSync } from "node:fs";
import * as apache from "apache-arrow";
import { describe, expect, test } from "vitest";
import { arrow } from "../src/block.ts";
import { Reject } from "../src/failure.ts";
import type { ValueType } from "../src/types.ts";
import { chance } from "./chance.ts";

const URI = "s3://b/part-0";
type Columns = Record<string, readonly [ValueType, readonly unknown[]]>;

const APACHE: Partial<Record<ValueType, apache.DataType>> = {
  boolean: new apache.Bool(),
  bigint: new apache.Int64(),
  int64: new apache.Int64(),
  float64: new apache.Float64(),
  text: new apache.Utf8(),
  binary: new apache.Binary(),
  date: new apache.DateDay(),
};

function written(columns: Columns): Uint8Array {
  const vectors = Object.entries(columns).map(([name, [type, values]]) => {
    const given =
      type === "date" ? values.map((day) => (day === null ? null : new Date((day as number) * 86_400_000))) : values;
    const whole = type === "int64" ? given.map((value) => (value === null ? null : BigInt(value as number))) : given;
    return [name, apache.vectorFromArray(whole, APACHE[type] ?? new apache.Utf8())] as const;
  });
  return apache.tableToIPC(new apache.Table(Object.fromEntries(vectors)), "stream");
}

function read(content: Uint8Array, columns: Columns) {
  const types = new Map(Object.entries(columns).map(([name, [type]]) => [name, type]));
  return arrow(content, types, URI);
}

function lookedAt(content: Uint8Array, columns: Columns) {
  const block = read(content, columns);
  return Object.fromEntries(Object.keys(columns).map((name) => [name, Array.from(block.column(name))]));
}

function values(columns: Columns) {
  return Object.fromEntries(Object.entries(columns).map(([name, [, found]]) => [name, found]));
}

test.for(Array.from({ length: 40 }, (_, seed) => seed))("what is written is read back (%i)", (seed) => {
  const { below, pick, real } = chance(seed);
  const rows = pick([1, 7, 8, 9, 40, 1000]);
  const letters = pick(["ab", "aé\u2028😀"]);
  const make: Record<string, () => unknown> = {
    boolean: () => below(2) === 0,
    bigint: () => BigInt.asIntN(64, (BigInt(below(2 ** 32)) << 32n) | BigInt(below(2 ** 32))),
    int64: () => (below(2 ** 32) - 2 ** 31) * below(2 ** 20),
    date: () => below(2 ** 22) - 2 ** 21,
    float64: () => pick([0.1, -0, Number.POSITIVE_INFINITY, 1e308, real()]),
    text: () => Array.from({ length: below(9) }, () => pick([...letters])).join(""),
    binary: () => Uint8Array.from({ length: below(9) }, () => below(256)),
    json: () => pick([1, "ø", null, [1], { a: [true] }]),
  };
  const columns: Columns = Object.fromEntries(
    Object.entries(make).map(([type, one], place) => {
      const nulls = pick([0, 0, 0.3, 1]);
      const found = Array.from({ length: rows }, () => (real() < nulls ? null : one()));
      return [`c${place} ${type}`, [type as ValueType, found]];
    }),
  );
  const asText = Object.entries(columns).map(([name, [type, found]]) => {
    return [
      name,
      [type, type === "json" ? found.map((value) => (value === null ? null : JSON.stringify(value))) : found],
    ];
  });
  const block = read(written(Object.fromEntries(asText)), columns);
  expect(block.length).toBe(rows);
  expect(Object.fromEntries(Object.keys(columns).map((name) => [name, Array.from(block.column(name))]))).toEqual(
    values(columns),
  );
  const expected = Array.from({ length: rows }, (_, row) => {
    return Object.fromEntries(Object.entries(columns).map(([name, [, found]]) => [name, found[row]]));
  });
  expect([...block.rows()]).toEqual(expected);
});

/** A slice of a table, as `RecordBatchStreamWriter` of pyarrow 26 has written it. */
test("what pyarrow wrote is read", () => {
  const columns: Columns = {
    bool: ["boolean", [true, false, null]],
    int: ["bigint", [-(2n ** 63n), null, 2n ** 63n - 1n]],
    float: ["float64", [0.1, -0, null]],
    text: ["text", ["ø", null, "tail"]],
    bytes: ["binary", [Uint8Array.of(255), new Uint8Array(), null]],
    day: ["date", [-1, null, 18262]],
    instant: ["timestamp", [null, -1, 1_577_836_800_000_000]],
  };
  const content = new Uint8Array(readFileSync(new URL("../../python/tests/pyarrow.arrows", import.meta.url)));
  expect(lookedAt(content, columns)).toEqual(values(columns));
  // Where bytes lie is chance: a typed array needs them aligned.
  for (let shift = 1; shift < 8; shift++) {
    const moved = new Uint8Array(content.length + shift).subarray(shift);
    moved.set(content);
    expect(lookedAt(moved, columns)).toEqual(values(columns));
  }
});

test("numbers without nulls are typed arrays that lie where the host put them", () => {
  const columns: Columns = { x: ["float64", [1.5, 2.5]], n: ["bigint", [1n, 2n]], y: ["float64", [1.5, null]] };
  const content = written(columns);
  const block = read(content, columns);
  expect(block.column("x")).toBeInstanceOf(Float64Array);
  expect((block.column("x") as unknown as Float64Array).buffer).toBe(content.buffer);
  expect(block.column("n")).toBeInstanceOf(BigInt64Array);
  expect(block.column("y")).toEqual([1.5, null]);
  expect(block.column("x")).toBe(block.column("x"));
});

describe("a number that JavaScript would round is refused", () => {
  const numbers = (...found: (bigint | null)[]) => {
    return () => lookedAt(written({ n: ["bigint", found] }), { n: ["int64", found] });
  };

  test("beyond 2^53, and not before", () => {
    const most = BigInt(Number.MAX_SAFE_INTEGER);
    expect(numbers(most, -most, null)()).toEqual({ n: [Number(most), Number(-most), null] });
    expect(numbers(2n ** 62n)).toThrow(
      new Reject(
        "NumberTooLarge",
        `${URI}: column n has ${2n ** 62n}, which is beyond 2^53; ask for it as "bigint" or "text"`,
      ),
    );
    expect(numbers(-(2n ** 53n) - 2n)).toThrow("beyond 2^53");
  });
});

test("a column that is not there is said, with its nearest", () => {
  const columns: Columns = { temperature: ["float64", [1]] };
  expect(() => read(written(columns), columns).column("temprature")).toThrow(
    new Reject("NoSuchColumn", "there is no column temprature, did you mean temperature?"),
  );
});

test("bytes that are no block are one clear rejection", () => {
  const columns: Columns = { t: ["text", ["ø", null]], x: ["float64", [1, 2]], j: ["json", ["{}", "1"]] };
  const content = written(columns);
  const { below } = chance(7);
  let damaged = 0;
  for (let round = 0; round < 3000; round++) {
    const changed = content.slice(0, below(4) === 0 ? below(content.length) : undefined);
    for (let i = below(4); i >= 0; i--) changed[below(changed.length)] = below(256);
    try {
      lookedAt(changed, columns);
    } catch (error) {
      expect(error).toBeInstanceOf(Reject);
      expect(String(error)).toMatch(/^Reject: s3:\/\/b\/part-0: a block cannot be read: /);
      damaged++;
    }
  }
  expect(damaged).toBeGreaterThan(1000);
});
