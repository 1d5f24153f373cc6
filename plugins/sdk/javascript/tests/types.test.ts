/** What the compiler finds before anything runs: `tsc` fails where a line below is not the error that it says. */

import { expectTypeOf, test } from "vitest";
import { definePlugin } from "../src/index.ts";

test("mistakes are errors of the compiler", () => {
  definePlugin({
    name: "types",
    version: "1.0.0",
    settings: { limit: 5, name: { type: "string" }, on: false },
    outputs: {
      rows: { pk: "text", n: "int64", x: "float64?", day: "date?" },
      other: { description: "d", columns: { a: "json" } },
    },
    process(ctx, item: { uri: string }) {
      expectTypeOf(ctx.settings.limit).toEqualTypeOf<number>();
      expectTypeOf(ctx.settings.name).toEqualTypeOf<string>();
      expectTypeOf(ctx.settings.on).toEqualTypeOf<boolean>();
      // @ts-expect-error: no such setting.
      ctx.settings.limt;

      ctx.emit("rows", { pk: "a", n: 1n, x: null });
      ctx.emit("rows", [{ pk: "a", n: 1, day: new Date(0) }]);
      ctx.emit("other", { a: { any: ["thing"] } });
      ctx.emitColumns("rows", { pk: ["a"], n: BigInt64Array.of(1n), x: [null] });
      // @ts-expect-error: no such output.
      ctx.emit("row", { pk: "a", n: 1 });
      // @ts-expect-error: no such column.
      ctx.emit("rows", { pk: "a", n: 1, y: 2 });
      // @ts-expect-error: a column is missing.
      ctx.emit("rows", { pk: "a" });
      // @ts-expect-error: another type.
      ctx.emit("rows", { pk: 5, n: 1 });

      for (const block of ctx.table(item.uri, {
        columns: { id: "text", x: "float64?", n: "bigint" },
        where: [["x", ">", 1]],
      })) {
        expectTypeOf(block.column("n")[0]).toEqualTypeOf<bigint | null | undefined>();
        // @ts-expect-error: no such column.
        block.column("y");
        for (const row of block.rows())
          expectTypeOf(row).toEqualTypeOf<{ id: string | null; x: number | null; n: bigint | null }>();
      }
      // @ts-expect-error: no such type.
      ctx.table(item.uri, { columns: { id: "string" } });
      // @ts-expect-error: no such comparison.
      ctx.table(item.uri, { where: [["x", "=", 1]] });
      // @ts-expect-error: no such option.
      ctx.table(item.uri, { colums: ["x"] });
    },
  });
  // @ts-expect-error: no such type.
  const wrong = () => definePlugin({ name: "a", version: "1.0.0", outputs: { rows: { a: "int" } }, process() {} });
  expectTypeOf(wrong).toBeFunction();
});
