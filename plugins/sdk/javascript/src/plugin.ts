/** What a plugin says of itself: `definePlugin`, its outputs and its settings. */

import type { Context } from "./context.ts";
import { reject } from "./failure.ts";
import { hint, shown } from "./names.ts";
import type { Columns, ColumnType, Outputs, Settings, SettingsOf } from "./types.ts";

export const COLUMN_TYPES: readonly ColumnType[] = ["boolean", "int64", "float64", "text", "date", "timestamp", "json"];

/** What an author declares. */
export interface Definition<S extends Settings, O extends Outputs, I> {
  /** The plugin's name, as in `noaa-precipitation`. */
  readonly name: string;
  /** Its version (semver.org). */
  readonly version: string;
  /** A sentence for people. */
  readonly description?: string;
  /** For each setting its default, or its JSON Schema; one without a default is required. Unknown settings are refused. */
  readonly settings?: S;
  /** For each output its columns and their types, in the order in which they are written. */
  readonly outputs: O;
  /** Works on one item. What it returns is the item's entry in the batch's report (JSON, at most 4 KiB). */
  readonly process: (ctx: Context<S, O>, item: I) => unknown;
}

/** One column of an output. */
export interface ColumnShape {
  readonly name: string;
  readonly type: ColumnType;
  readonly nullable: boolean;
}

/** An output as it was declared, checked. */
export interface OutputShape {
  readonly name: string;
  readonly description: string;
  readonly columns: readonly ColumnShape[];
}

/** The JSON Schema of the settings. */
export interface SettingsSchema {
  readonly $schema: string;
  readonly type: "object";
  readonly properties: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly required: readonly string[];
  readonly additionalProperties: false;
}

/** A declared plugin. */
export class Plugin<S extends Settings = Settings, O extends Outputs = Outputs, I = any> {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly outputs: ReadonlyMap<string, OutputShape>;
  readonly settingsSchema: SettingsSchema;
  readonly process: Definition<S, O, I>["process"];

  constructor(definition: Definition<S, O, I>) {
    const { name, version, description = "", settings = {}, outputs, process } = definition;
    if (typeof name !== "string" || name === "") throw new TypeError(`a plugin needs a name, not ${shown(name)}`);
    if (!/^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$/.test(version)) {
      throw new TypeError(`plugin ${name}: version ${shown(version)} is not of the form 1.2.3 (semver.org)`);
    }
    if (typeof process !== "function")
      throw new TypeError(`plugin ${name}: process is no function but ${shown(process)}`);
    if (typeof outputs !== "object" || outputs === null) {
      throw new TypeError(`plugin ${name}: outputs is an object from output to columns, not ${shown(outputs)}`);
    }
    this.name = name;
    this.version = version;
    this.description = description;
    this.outputs = new Map(Object.entries(outputs).map(([key, output]) => [key, shape(key, output)]));
    this.settingsSchema = settingsSchema(settings);
    this.process = process;
  }

  /** The settings with their defaults. The host has checked their types; here only the names are. */
  settings(given: Readonly<Record<string, unknown>>): SettingsOf<S> {
    const { properties, required } = this.settingsSchema;
    for (const key of Object.keys(given)) {
      if (!(key in properties))
        reject("BadSettings", `settings: unknown key ${key}${hint(key, Object.keys(properties))}`);
    }
    for (const key of required) {
      if (!(key in given)) reject("BadSettings", `settings: ${key} is missing and has no default`);
    }
    const defaults = Object.entries(properties).filter(([, schema]) => "default" in schema);
    return { ...Object.fromEntries(defaults.map(([key, schema]) => [key, schema.default])), ...given } as SettingsOf<S>;
  }
}

/** Makes a plugin of a function from a context and an item to (optionally) a value for the batch's report. */
export function definePlugin<const O extends Outputs, const S extends Settings = {}, I = any>(
  definition: Definition<S, O, I>,
): Plugin<S, O, I> {
  return new Plugin(definition);
}

function shape(name: string, output: Outputs[string]): OutputShape {
  const { columns, description } = isDescribed(output) ? output : { columns: output, description: "" };
  const shapes = Object.entries(columns).map(([column, spec]): ColumnShape => {
    const bare = String(spec).replace(/\?$/, "");
    const type = COLUMN_TYPES.find((known) => known === bare);
    if (type === undefined) {
      throw new TypeError(`output ${name}, column ${column}: unknown type ${shown(spec)}${hint(bare, COLUMN_TYPES)}`);
    }
    return { name: column, type, nullable: bare !== spec };
  });
  if (shapes.length === 0) throw new TypeError(`output ${name} has no columns`);
  return { name, description, columns: shapes };
}

function isDescribed(output: Outputs[string]): output is Exclude<Outputs[string], Columns> {
  return typeof output.columns === "object";
}

function settingsSchema(settings: Settings): SettingsSchema {
  const properties = Object.fromEntries(Object.entries(settings).map(([key, value]) => [key, schemaOf(key, value)]));
  const required = Object.keys(properties).filter((key) => !("default" in (properties[key] ?? {})));
  const $schema = "https://json-schema.org/draft/2020-12/schema";
  return { $schema, type: "object", properties, required, additionalProperties: false };
}

function schemaOf(key: string, given: unknown): Readonly<Record<string, unknown>> {
  if (Array.isArray(given)) return { type: "array", default: given };
  if (typeof given === "object" && given !== null) return { ...given };
  if (typeof given === "boolean" || typeof given === "string") return { type: typeof given, default: given };
  if (typeof given === "number" && Number.isFinite(given)) return { type: "number", default: given };
  throw new TypeError(`setting ${key}: give a default (true, 1, "text", a list) or a JSON Schema, not ${shown(given)}`);
}
