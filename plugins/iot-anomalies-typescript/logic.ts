/** What the dataset is about, wherever the readings come from; the same as the Rust plugin's `logic.rs`. */

import { reject } from "gristmill";

/** What a device measures. */
export const METRICS = ["temperature", "humidity", "batterylevel", "latitude", "longitude"] as const;

/** One reading of a device; its timestamp is in ISO 8601. */
export type Reading = { deviceid: string | null; timestamp: string | null } & Record<
  (typeof METRICS)[number],
  number | null
>;

/** What is still healthy. */
export interface Limits {
  readonly temperature_max: number;
  readonly temperature_min: number;
  readonly humidity_max: number;
  readonly humidity_min: number;
  readonly battery_min: number;
}

/** A value that left its threshold. */
export interface Anomaly {
  readonly type: "temperature_spike" | "humidity_anomaly" | "low_battery";
  readonly value: number;
  readonly threshold: number;
}

/** Sums readings up, one row for each, and counts them. */
export class Judge {
  readonly #limits: Limits;
  // Looking up is cheaper than parsing: readings go day by day.
  readonly #dates = new Set<string>();
  /** All readings. */
  readings = 0;
  /** Those with an anomaly at least. */
  withAnomalies = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** A reading's row. Rejects a reading without a device, or without a timestamp that begins with a date. */
  summary(reading: Reading) {
    const { deviceid, timestamp } = reading;
    if (!deviceid) return reject("BadReading", "it has no `deviceid`");
    if (!timestamp) return reject("BadReading", "it has no `timestamp`");
    const analysisdate = this.#date(timestamp);
    const [temperature, humidity, batterylevel, latitude, longitude] = METRICS.map((name) => finite(reading[name])) as [
      number | null,
      number | null,
      number | null,
      number | null,
      number | null,
    ];
    const anomalies = [...this.#anomalies(temperature, humidity, batterylevel)];
    this.readings++;
    if (anomalies.length > 0) this.withAnomalies++;
    return {
      deviceid,
      readingtimestamp: timestamp,
      analysisdate,
      readingscount: 1,
      metrics: {
        temperature: rounded(temperature),
        humidity: rounded(humidity),
        batterylevel: rounded(batterylevel),
        latitude,
        longitude,
      },
      anomalies,
      anomalycount: anomalies.length,
      healthstatus: anomalies.length > 0 ? "anomalies_detected" : "healthy",
    };
  }

  *#anomalies(temperature: number | null, humidity: number | null, batterylevel: number | null): Generator<Anomaly> {
    const { temperature_max, temperature_min, humidity_max, humidity_min, battery_min } = this.#limits;
    const outside = (type: Anomaly["type"], value: number | null, min: number, max: number): Anomaly[] => {
      if (value === null || (value >= min && value <= max)) return [];
      return [{ type, value, threshold: value > max ? max : min }];
    };
    yield* outside("temperature_spike", temperature, temperature_min, temperature_max);
    yield* outside("humidity_anomaly", humidity, humidity_min, humidity_max);
    yield* outside("low_battery", batterylevel, battery_min, Number.POSITIVE_INFINITY);
  }

  /** The date that an ISO 8601 timestamp begins with. */
  #date(timestamp: string): string {
    const date = timestamp.slice(0, 10);
    if ((this.#dates.has(date) || isDate(date)) && ["", "T", " "].includes(timestamp.charAt(10))) {
      this.#dates.add(date);
      return date;
    }
    return reject("BadReading", `its timestamp ${JSON.stringify(timestamp)} does not begin with a date`);
  }
}

/** JSON has no NaN. It is no anomaly either, because it compares with nothing. */
function finite(value: number | null): number | null {
  return value !== null && Number.isFinite(value) ? value : null;
}

/**
 * The nearest number with two decimals, as Rust and Python give it. `toFixed` is exact too, but where two numbers are
 * equally near it takes the larger one: then the even one is what it should have been.
 */
export function rounded(value: number | null): number | null {
  if (value === null) return null;
  const text = value.toFixed(2);
  // Only odd multiples of an eighth lie exactly between two numbers with two decimals.
  const isBetween = Number.isInteger(value * 8) && !Number.isInteger(value * 4);
  const isOdd = Number(text.at(-1)) % 2 === 1;
  return Number(isBetween && isOdd ? (value - Math.sign(value) * 0.005).toFixed(2) : text);
}

function isDate(text: string): boolean {
  const form = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text);
  // A day that is none, as February 30, comes back as another one.
  return form !== null && new Date(`${text}T00:00:00Z`).toJSON()?.startsWith(text) === true;
}
