/** What the SDK believes of the contract is what wit/*.wit says. */

import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { COLUMN_TYPES } from "../src/plugin.ts";
import { declarations } from "./wit.ts";

const WIT = new URL("../../../../wit/", import.meta.url);

function wit(): string {
  const files = readdirSync(WIT, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".wit"));
  return files
    .toSorted()
    .map((name) => declarations(readFileSync(new URL(name, WIT), "utf8")))
    .join("\n");
}

/** After a change of the contract: `npx vitest run -u`, and the compiler says what does not fit any more. */
test("the declarations are those of wit/*.wit", async () => {
  await expect(`// The contract, by tests/wit.ts from wit/*.wit.\n\n${wit()}`).toMatchFileSnapshot(
    "../src/component/contract.d.ts",
  );
});

test("the types of columns are those of the contract", () => {
  const union = /ColumnType = ([^;]*);/.exec(wit())?.[1];
  expect(union).toBe(COLUMN_TYPES.map((type) => `"${type}"`).join(" | "));
});
