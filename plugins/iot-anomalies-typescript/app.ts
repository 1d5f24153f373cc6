/**
 * Sensor readings that leave their thresholds: one row for each reading.
 *
 * An item is a file of readings (`{ uri: "s3://..." }`), which is cheap, or a reading itself, as Step Functions' own
 * readers of Parquet and CSV give it.
 */

import { definePlugin, Failure, reject } from "gristmill";

import { fileOf, readingOf } from "./items.ts";
import { Judge } from "./logic.ts";

const COLUMNS = {
  deviceid: "text",
  timestamp: "text",
  temperature: "float64?",
  humidity: "float64?",
  batterylevel: "float64?",
  latitude: "float64?",
  longitude: "float64?",
} as const;

export default definePlugin({
  name: "iot-anomalies-typescript",
  version: "0.1.0",
  description: "Sensor readings that leave their thresholds.",
  outputs: {
    readings: {
      description: "What each reading says of its device's health.",
      columns: {
        deviceid: "text",
        readingtimestamp: "text",
        analysisdate: "date",
        readingscount: "int64",
        metrics: "json",
        anomalies: "json",
        anomalycount: "int64",
        healthstatus: "text",
      },
    },
  },
  settings: {
    temperature_max: { type: "number", default: 35, description: "The highest healthy temperature in °C." },
    temperature_min: { type: "number", default: -10, description: "The lowest healthy temperature in °C." },
    humidity_max: { type: "number", default: 95, description: "The highest healthy humidity in %." },
    humidity_min: { type: "number", default: 5, description: "The lowest healthy humidity in %." },
    battery_min: { type: "number", default: 20, description: "The lowest healthy battery level in %." },
  },
  process(ctx, item: unknown) {
    const judge = new Judge(ctx.settings);
    const uri = fileOf(item);
    if (uri === undefined) {
      ctx.emit("readings", judge.summary(readingOf(item)));
    } else {
      for (const reading of ctx.table(uri, { columns: COLUMNS }).rows()) {
        try {
          ctx.emit("readings", judge.summary(reading));
        } catch (error) {
          if (!(error instanceof Failure)) throw error;
          reject(error.code, `${uri}, row ${judge.readings + 1}: ${error.message}`);
        }
      }
    }
    return { readings: judge.readings, with_anomalies: judge.withAnomalies };
  },
});
