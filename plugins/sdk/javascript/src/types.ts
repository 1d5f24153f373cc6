/** What the compiler knows of a plugin: its outputs' rows, its settings and the tables' columns, from their declarations. */

/** The type of a column of an output. */
export type ColumnType = "boolean" | "int64" | "float64" | "text" | "date" | "timestamp" | "json";

/** The same as declared: with a question mark, rows may leave the column out. */
export type ColumnSpec = ColumnType | `${ColumnType}?`;

/** The columns of an output, in the order in which they are written. */
export type Columns = Readonly<Record<string, ColumnSpec>>;

/** An output with a sentence for people; plain columns do where none is needed. */
export type Output = Columns | { readonly description: string; readonly columns: Columns };

/** All outputs by name. */
export type Outputs = Readonly<Record<string, Output>>;

/** The columns of an output, however it was declared. */
export type ColumnsOf<O> = O extends { readonly columns: infer C extends Columns } ? C : O extends Columns ? O : never;

interface Written {
  boolean: boolean;
  int64: number | bigint;
  float64: number;
  /** UTF-8 text. */
  text: string;
  /** `YYYY-MM-DD`, or a `Date` whose day in UTC counts. */
  date: string | Date;
  /** RFC 3339, or a `Date`. */
  timestamp: string | Date;
  json: unknown;
}

type Bare<S extends string> = S extends `${infer T}?` ? T : S;
type Value<S extends string> = Bare<S> extends keyof Written ? Written[Bare<S>] : never;
type OptionalNames<C> = { [K in keyof C]: C[K] extends `${string}?` ? K : never }[keyof C];

/** A row of an output: an object from column to value. */
export type Row<C extends Columns> = { [K in Exclude<keyof C, OptionalNames<C>>]: Value<C[K]> } & {
  [K in OptionalNames<C>]?: Value<C[K]> | null | undefined;
};

/** Many rows of an output: an object from column to its values, which are equally many. */
export type RowColumns<C extends Columns> = { [K in Exclude<keyof C, OptionalNames<C>>]: ArrayLike<Value<C[K]>> } & {
  [K in OptionalNames<C>]?: ArrayLike<Value<C[K]> | null | undefined>;
};

/** Settings by name: a default (`35`, `"x"`, `false`), or a JSON Schema; one without a default is required. */
export type Settings = Readonly<Record<string, unknown>>;

type SettingOf<S> = S extends number
  ? number
  : S extends string
    ? string
    : S extends boolean
      ? boolean
      : S extends readonly (infer E)[]
        ? readonly SettingOf<E>[]
        : S extends { readonly type: "number" | "integer" }
          ? number
          : S extends { readonly type: "string" }
            ? string
            : S extends { readonly type: "boolean" }
              ? boolean
              : any;

/** The settings as `ctx.settings` has them. */
export type SettingsOf<S extends Settings> = { readonly [K in keyof S]: SettingOf<S[K]> };

/** The type of a column of a table. `bigint` is `int64` for numbers beyond 2^53. */
export type ValueType = "boolean" | "int64" | "bigint" | "float64" | "text" | "binary" | "date" | "timestamp" | "json";

/** The same as wanted: with a question mark, a file may lack the column, whose values are null then. */
export type ValueSpec = ValueType | `${ValueType}?`;

/** The columns that are wanted of a table: their names, or an object from name to type. */
export type WantedColumns = readonly string[] | Readonly<Record<string, ValueSpec>>;

interface ReadAs {
  boolean: boolean;
  int64: number;
  bigint: bigint;
  float64: number;
  text: string;
  binary: Uint8Array;
  /** Days since 1970-01-01. */
  date: number;
  /** Microseconds since 1970-01-01 in UTC. */
  timestamp: number;
  json: any;
}

type ReadValue<S> = S extends string ? (Bare<S> extends keyof ReadAs ? ReadAs[Bare<S>] : never) : any;

/** The names of the columns. */
export type NamesOf<W> = W extends readonly (infer N extends string)[] ? N : Extract<keyof W, string>;

type SpecOf<W, N> = W extends readonly string[] ? unknown : N extends keyof W ? W[N] : unknown;

/** The values of a column: a typed array of numbers without nulls, else an array, with null for null. */
export type Column<T> = ArrayLike<T | null> & Iterable<T | null>;

/** The column of a name. */
export type ColumnOf<W, N> = Column<ReadValue<SpecOf<W, N>>>;

/** A row of a table. */
export type TableRow<W> = { [N in NamesOf<W>]: ReadValue<SpecOf<W, N>> | null };

/** How a column is compared with a value. */
export type Comparison = "==" | "!=" | "<" | "<=" | ">" | ">=";

/** What a column is compared with; dates and instants may also be text. */
export type Literal = boolean | number | bigint | string | Date;

/** A condition on one column. */
export type Condition<N extends string = string> =
  | readonly [column: N, comparison: Comparison, value: Literal]
  | readonly [column: N, comparison: "is null" | "is not null"];

/** Conditions that all have to be met, or an object from column to the one value that is wanted. */
export type Where = readonly Condition[] | Readonly<Record<string, Literal>>;

/** How a table is read. */
export interface TableOptions<W extends WantedColumns> {
  /** The names, or an object from name to type; all columns without it. */
  readonly columns?: W;
  /** What every row meets. */
  readonly where?: Where;
  /** Where neither the key's ending nor the first bytes say it. */
  readonly format?: "parquet" | "csv" | "json-lines";
  /** Of CSV: the names of the columns, where they are not its first row. */
  readonly header?: readonly string[];
  /** Of CSV: what stands between fields. */
  readonly delimiter?: string;
  /** The most rows of a block; the host chooses without it. */
  readonly blockRows?: number;
}
