/** What `process` gets beside its item. */

import { reject } from "./failure.ts";
import type { Entry, Host } from "./host.ts";
import { hint } from "./names.ts";
import { type ReadOptions, StoredObject } from "./objects.ts";
import type { Plugin } from "./plugin.ts";
import { request } from "./request.ts";
import { RowBuffer } from "./rows.ts";
import { Table } from "./table.ts";
import type {
  ColumnsOf,
  Outputs,
  Row,
  RowColumns,
  Settings,
  SettingsOf,
  TableOptions,
  ValueType,
  WantedColumns,
} from "./types.ts";

/** What the item's batch is. */
export interface Batch {
  readonly dataset: string;
  readonly batchInput: unknown;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly index: number;
}

/** The batch that the item belongs to, and everything that the plugin can reach. */
export class Context<S extends Settings = Settings, O extends Outputs = Outputs> {
  /** The dataset's name. */
  readonly dataset: string;
  /** `BatchInput` of the Distributed Map, parsed; null if there is none. */
  readonly batchInput: any;
  /** The dataset file's `[settings]`, with the plugin's defaults filled in. */
  readonly settings: SettingsOf<S>;
  /** The item's place within its batch, from 0. A result must not depend on it. */
  readonly index: number;
  readonly #host: Host;
  readonly #buffers: ReadonlyMap<string, RowBuffer>;
  readonly #opened: { close(): void }[] = [];

  constructor(plugin: Plugin<S, O>, host: Host, batch: Batch) {
    this.#host = host;
    const send = (output: string, jsonLines: string) => host.emit(output, jsonLines);
    this.#buffers = new Map([...plugin.outputs].map(([name, shape]) => [name, new RowBuffer(shape, send)]));
    this.dataset = batch.dataset;
    this.batchInput = batch.batchInput;
    this.settings = plugin.settings(batch.settings);
    this.index = batch.index;
  }

  /** The `s3://` URI of an object of a listing: the item's `Bucket` or else the batch input's, and its `Key`. */
  uri(item: { readonly Key?: unknown; readonly Bucket?: unknown }): string {
    const bucket = [item?.Bucket, this.batchInput?.Bucket].find((found) => typeof found === "string" && found !== "");
    if (bucket === undefined) {
      const advice = `give the dataset's map a batch input of {"Bucket": "<name>"}`;
      reject("BadBatchInput", `item ${this.index}: neither it nor BatchInput has a Bucket; ${advice}`);
    }
    if (typeof item?.Key !== "string" || item.Key === "") {
      reject("BadItem", `item ${this.index}: has no Key; the items must be objects of a listing`);
    }
    return `s3://${bucket}/${item.Key}`;
  }

  /** Opens `s3://bucket/key`, which the dataset file must grant. */
  open(uri: string): StoredObject {
    const object = new StoredObject(this.#host.open(uri));
    this.#opened.push(object);
    return object;
  }

  /** A whole object as one text in UTF-8, decompressed. */
  text(uri: string, options?: ReadOptions): string {
    return this.open(uri).text(options);
  }

  /** The lines of an object, a text in UTF-8, without their ends; decompressed. */
  lines(uri: string, options?: ReadOptions): Iterable<string> {
    return this.open(uri).lines(options);
  }

  /** The bytes of an object in order, decompressed. */
  chunks(uri: string, options?: ReadOptions & { readonly size?: number }): Iterable<Uint8Array> {
    return this.open(uri).chunks(options);
  }

  /** Opens a table: Parquet, CSV or JSON lines. The host decodes it, and reads only what is asked for. */
  table<const W extends WantedColumns = readonly string[]>(uri: string, options: TableOptions<W> = {}): Table<W> {
    const asked = request(options as TableOptions<WantedColumns>);
    const opened = this.#host.scan(uri, asked);
    this.#opened.push(opened);
    return new Table<W>(uri, opened.columns as ReadonlyMap<string, ValueType>, opened.blocks);
  }

  /** All objects whose URI starts with `prefix`, in ascending order. The prefix must lie within one grant. */
  list(prefix: string): Iterable<Entry> {
    return this.#host.list(prefix);
  }

  /** Adds a row, or a list of rows. They count only if `process` returns. */
  emit<N extends keyof O & string>(output: N, rows: Row<ColumnsOf<O[N]>> | readonly Row<ColumnsOf<O[N]>>[]): void {
    const buffer = this.#buffer(output);
    for (const row of Array.isArray(rows) ? rows : [rows]) buffer.add(row);
  }

  /** Adds as many rows as the columns have values. */
  emitColumns<N extends keyof O & string>(output: N, columns: RowColumns<ColumnsOf<O[N]>>): void {
    this.#buffer(output).addColumns(columns as Readonly<Record<string, ArrayLike<unknown>>>);
  }

  /** Adds to a counter on the worker's /metrics. The name matches `[a-z][a-z0-9_]{0,62}`. */
  count(name: string, value = 1): void {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new TypeError(`counter ${name}: ${value} is no whole number from 0`);
    this.#host.count(name, value);
  }

  /** Adds one observation to a distribution on the worker's /metrics. */
  observe(name: string, value: number): void {
    this.#host.observe(name, value);
  }

  /** Sends what is still buffered. The SDK does it when `process` has returned. */
  flush(): void {
    for (const buffer of this.#buffers.values()) buffer.flush();
  }

  /** Gives back what is open. The SDK does it at the end of the item. */
  close(): void {
    for (const object of this.#opened.splice(0)) object.close();
  }

  #buffer(output: string): RowBuffer {
    const found = this.#buffers.get(output);
    return (
      found ?? reject("NoSuchOutput", `the plugin declares no output ${output}${hint(output, this.#buffers.keys())}`)
    );
  }
}
