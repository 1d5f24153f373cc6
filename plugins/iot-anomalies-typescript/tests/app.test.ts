/** The plugin as a whole, held to the Rust plugin's golden rows: one dataset, whatever the language and the items. */

import { readFileSync } from "node:fs";
import { Failure, Reject } from "gristmill";
import { run } from "gristmill/testing";
import { expect, test } from "vitest";

import plugin from "../app.ts";
import { rounded } from "../logic.ts";

const URI = "s3://data/unload/part-0";
const GOLDEN = new URL("../../iot-anomalies/golden/readings.jsonl", import.meta.url);
const METRIC_OF: Record<string, string> = {
  temperature_spike: "temperature",
  humidity_anomaly: "humidity",
  low_battery: "batterylevel",
};
const READING = { deviceid: "d", timestamp: "2026-02-28T01:02:03Z" };

interface Golden {
  deviceid: string;
  readingtimestamp: string;
  metrics: Record<string, number | null>;
  anomalies: { type: string; value: number }[];
  anomalycount: number;
}

const golden = readFileSync(GOLDEN, "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line) as Golden);

/** A reading of which this is the row; its anomalies have the values as they were measured. */
function measured({ deviceid, readingtimestamp, metrics, anomalies }: Golden) {
  const unrounded = Object.fromEntries(anomalies.map(({ type, value }) => [METRIC_OF[type], value]));
  return { deviceid, timestamp: readingtimestamp, ...metrics, ...unrounded };
}

function fileWith(readings: Record<string, unknown>[], settings = {}) {
  return run(plugin, { uri: URI }, { settings, tables: { [URI]: readings } });
}

test("a file gives the golden rows", async () => {
  expect(golden).toHaveLength(80);
  const result = await fileWith(golden.map(measured));
  expect(result.rows.readings).toEqual(golden);
  const withAnomalies = golden.filter(({ anomalycount }) => anomalycount > 0).length;
  expect(result.value).toEqual({ readings: 80, with_anomalies: withAnomalies });
});

test("readings as items give the golden rows", async () => {
  for (const row of golden) expect((await run(plugin, measured(row))).rows.readings).toEqual([row]);
});

test("a file may lack metrics but not the key", async () => {
  const { rows } = await fileWith([{ ...READING, temperature: 1 }]);
  const none = { humidity: null, batterylevel: null, latitude: null, longitude: null };
  expect(rows.readings[0].metrics).toEqual({ temperature: 1, ...none });
  await expect(fileWith([{ timestamp: "2026-02-28" }])).rejects.toMatchObject({ code: "ObjectInvalid" });
});

test("settings say what is healthy", async () => {
  const { rows } = await fileWith([{ ...READING, temperature: 30.5 }], { temperature_max: 30 });
  const anomalies = [{ type: "temperature_spike", value: 30.5, threshold: 30 }];
  expect(rows.readings[0]).toMatchObject({ anomalies, healthstatus: "anomalies_detected" });
  const edge = { ...READING, temperature: 35, humidity: 5, batterylevel: 20 };
  expect((await fileWith([edge])).rows.readings[0].healthstatus).toBe("healthy");
});

test("a bad reading is named by its row", async () => {
  const bad = fileWith([READING, { deviceid: null, timestamp: "2026-02-28" }]);
  await expect(bad).rejects.toThrow(new Reject("BadReading", `${URI}, row 2: it has no \`deviceid\``));
  await expect(run(plugin, { deviceid: "d", timestamp: null })).rejects.toThrow("it has no `timestamp`");
  for (const timestamp of ["2026-02-29T00:00:00Z", "2026-2-28", "20260228", "2026-02-28x", "2026-02-2é"]) {
    const said = `its timestamp ${JSON.stringify(timestamp)} does not begin with a date`;
    await expect(run(plugin, { deviceid: "d", timestamp })).rejects.toThrow(new Reject("BadReading", said));
  }
});

test("a row is the same reading from Parquet and from CSV", async () => {
  const parquet = { ...READING, temperature: 1.5, humidity: null, batterylevel: 20 };
  const csv = { ...READING, temperature: "1.5", humidity: "", batterylevel: "20" };
  expect(await run(plugin, parquet)).toEqual(await run(plugin, csv));
  const { rows } = await run(plugin, { ...READING, temperature: "-inf", humidity: "NaN" });
  expect(rows.readings[0].metrics.temperature).toBeNull();
});

test.for([
  ["s3://b/k", 'it is no object but "s3://b/k"'],
  [{ Key: "k" }, "it is neither a file (`uri`) nor a reading (`deviceid`, `timestamp`)"],
  [{ uri: 1 }, "`uri` is no text but 1"],
  [{ deviceid: 1 }, "`deviceid` is no text but 1"],
  [{ deviceid: "d", humidity: "wet" }, '`humidity` is no number but "wet"'],
  [{ deviceid: "d", humidity: "1_0" }, '`humidity` is no number but "1_0"'],
  [{ deviceid: "d", humidity: true }, "`humidity` is no number but true"],
] as const)("what is no item is said to be none: %o", async ([item, message]) => {
  const failure = await run(plugin, item).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(Failure);
  expect(failure).toMatchObject({ code: "BadItem", message });
});

test("two decimals are the nearest, the even ones between two", () => {
  const cases = [0.125, 0.375, 0.625, -0.125, 2.5, 1.005, 8.345, -10.004, 1e21, 123456.785, 0, 99.995];
  expect(cases.map(rounded)).toEqual([0.12, 0.38, 0.62, -0.12, 2.5, 1, 8.35, -10, 1e21, 123456.79, 0, 100]);
});
