// The contract, by tests/wit.ts from wit/*.wit.

declare module "wasi:logging/logging@0.1.0-draft" {
  export type Level = "trace" | "debug" | "info" | "warn" | "error" | "critical";
  export function log(level: Level, context: string, message: string): void;
}

declare module "gristmill:plugin/types@0.1.0" {
  export type Json = string;
  export interface Item {
    index: number;
    body: Json;
  }
  export interface Context {
    dataset: string;
    batchInput: Json;
    settings: Json;
  }
  export interface Fault {
    code: string;
    message: string;
  }
  export type Failure = { tag: "reject"; val: Fault } | { tag: "retry"; val: Fault };
  export type ColumnType = "boolean" | "int64" | "float64" | "text" | "date" | "timestamp" | "json";
  export interface Column {
    name: string;
    type: ColumnType;
    nullable: boolean;
  }
  export interface OutputShape {
    name: string;
    description: string;
    columns: Column[];
  }
  export interface Manifest {
    name: string;
    version: string;
    description: string;
    settingsSchema: Json;
    outputs: OutputShape[];
  }
}

declare module "gristmill:plugin/item-processor@0.1.0" {
  import type { Context, Item, Manifest, Failure, Json } from "gristmill:plugin/types@0.1.0";
  export interface ItemProcessor {
  describe(): Manifest;
  process(context: Context, item: Item): Json | null;
  }
}

declare module "gristmill:plugin/objects@0.1.0" {
  export type Error = { tag: "not-found"; val: string } | { tag: "denied"; val: string } | { tag: "invalid"; val: string } | { tag: "unavailable"; val: string } | { tag: "too-large"; val: string } | { tag: "changed"; val: string };
  export interface Metadata {
    uri: string;
    size: bigint;
    etag: string;
  }
  export type Compression = "auto" | "none" | "gzip" | "zstd" | "bzip2";
  export interface ChunkOptions {
    size: number;
    compression: Compression;
  }
  export class Object {
    metadata(): Metadata;
    read(offset: bigint, length: number): Uint8Array;
    chunks(options: ChunkOptions): Chunks;
    [Symbol.dispose](): void;
  }
  export class Chunks {
    next(): Uint8Array | null;
    [Symbol.dispose](): void;
  }
  export interface Entry {
    uri: string;
    size: bigint;
    etag: string;
  }
  export class Listing {
    next(): Entry[];
    [Symbol.dispose](): void;
  }
  export function open(uri: string): Object;
  export function list(prefix: string): Listing;
}

declare module "gristmill:plugin/output@0.1.0" {
  export type Rows = { tag: "json-lines"; val: Uint8Array } | { tag: "arrow-ipc"; val: Uint8Array };
  export type Error = { tag: "no-such-output"; val: string } | { tag: "invalid"; val: string } | { tag: "too-large"; val: string };
  export function emit(output: string, rows: Rows): void;
}

declare module "gristmill:plugin/metrics@0.1.0" {
  export function count(name: string, value: bigint): void;
  export function observe(name: string, value: number): void;
}

declare module "gristmill:plugin/sql@0.1.0" {
  import type { Column, Encoding } from "gristmill:plugin/tables@0.1.0";
  export type Error = { tag: "denied"; val: string } | { tag: "invalid"; val: string } | { tag: "unavailable"; val: string } | { tag: "too-large"; val: string };
  export type Value = { tag: "null" } | { tag: "boolean"; val: boolean } | { tag: "int64"; val: bigint } | { tag: "float64"; val: number } | { tag: "text"; val: string } | { tag: "binary"; val: Uint8Array };
  export interface QueryOptions {
    blockRows: number;
    encoding: Encoding;
  }
  export class Rows {
    columns(): Column[];
    next(): Uint8Array | null;
    [Symbol.dispose](): void;
  }
  export function query(connection: string, statement: string, parameters: Value[], options: QueryOptions): Rows;
}

declare module "gristmill:plugin/tables@0.1.0" {
  import type { Error, Compression } from "gristmill:plugin/objects@0.1.0";
  export type Format = { tag: "auto" } | { tag: "parquet" } | { tag: "csv"; val: CsvOptions } | { tag: "json-lines" };
  export interface CsvOptions {
    header: boolean;
    names: string[];
    delimiter: string;
  }
  export type ValueType = "boolean" | "int64" | "float64" | "text" | "binary" | "date" | "timestamp" | "json";
  export interface Wanted {
    name: string;
    type: ValueType | null;
    optional: boolean;
  }
  export interface Column {
    name: string;
    type: ValueType;
    nullable: boolean;
  }
  export type Comparison = "equal" | "not-equal" | "less" | "less-or-equal" | "greater" | "greater-or-equal" | "is-null" | "is-not-null";
  export type Literal = { tag: "boolean"; val: boolean } | { tag: "int64"; val: bigint } | { tag: "float64"; val: number } | { tag: "text"; val: string };
  export interface Predicate {
    column: string;
    comparison: Comparison;
    value: Literal | null;
  }
  export type Encoding = "arrow-ipc" | "json-lines";
  export interface ScanOptions {
    format: Format;
    compression: Compression;
    columns: Wanted[] | null;
    where: Predicate[];
    blockRows: number;
    encoding: Encoding;
  }
  export class Scan {
    columns(): Column[];
    next(): Uint8Array | null;
    [Symbol.dispose](): void;
  }
  export function open(uri: string, options: ScanOptions): Scan;
}
