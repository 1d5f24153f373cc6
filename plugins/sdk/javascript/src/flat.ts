/** Just enough of FlatBuffers to read Arrow's metadata. Every look is checked: what lies outside is damage. */

/** Bytes that are not what they should be, in the end of a sentence. */
export class Damaged extends Error {}

/** A table of FlatBuffers: the place of its fields is looked up in its vtable. */
export class Flat {
  readonly #view: DataView;
  readonly #at: number;

  constructor(view: DataView, at: number) {
    this.#view = view;
    this.#at = at;
  }

  static root(view: DataView): Flat {
    return new Flat(view, follow(view, 0));
  }

  byte(field: number): number {
    const place = this.#place(field);
    return place === undefined ? 0 : checked(() => this.#view.getUint8(place));
  }

  short(field: number, otherwise = 0): number {
    const place = this.#place(field);
    return place === undefined ? otherwise : checked(() => this.#view.getInt16(place, true));
  }

  int(field: number): number {
    const place = this.#place(field);
    return place === undefined ? 0 : checked(() => this.#view.getInt32(place, true));
  }

  long(field: number): number {
    const place = this.#place(field);
    return place === undefined ? 0 : long(this.#view, place);
  }

  table(field: number): Flat | undefined {
    const place = this.#place(field);
    return place === undefined ? undefined : new Flat(this.#view, follow(this.#view, place));
  }

  text(field: number): string | undefined {
    const found = this.#vector(field);
    if (found === undefined) return undefined;
    const [start, length] = found;
    if (start + length > this.#view.byteLength) throw new Damaged("it is cut off");
    const bytes = new Uint8Array(this.#view.buffer, this.#view.byteOffset + start, length);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw new Damaged("a name is not UTF-8");
    }
  }

  /** A vector of structs of two 64-bit numbers. */
  pairs(field: number): (readonly [number, number])[] | undefined {
    const found = this.#vector(field);
    if (found === undefined) return undefined;
    const [start, count] = found;
    if (start + 16 * count > this.#view.byteLength) throw new Damaged("it is cut off");
    return Array.from({ length: count }, (_, i) => [
      long(this.#view, start + 16 * i),
      long(this.#view, start + 16 * i + 8),
    ]);
  }

  /** A vector of tables. */
  tables(field: number): Flat[] | undefined {
    const found = this.#vector(field);
    if (found === undefined) return undefined;
    const [start, count] = found;
    if (start + 4 * count > this.#view.byteLength) throw new Damaged("it is cut off");
    return Array.from({ length: count }, (_, i) => new Flat(this.#view, follow(this.#view, start + 4 * i)));
  }

  #place(field: number): number | undefined {
    const view = this.#view;
    const vtable = this.#at - checked(() => view.getInt32(this.#at, true));
    const slot = 4 + 2 * field;
    if (slot + 2 > checked(() => view.getUint16(vtable, true))) return undefined;
    const offset = checked(() => view.getUint16(vtable + slot, true));
    return offset === 0 ? undefined : this.#at + offset;
  }

  #vector(field: number): readonly [start: number, count: number] | undefined {
    const place = this.#place(field);
    if (place === undefined) return undefined;
    const start = follow(this.#view, place);
    return [start + 4, checked(() => this.#view.getUint32(start, true))];
  }
}

/** What a look gives, where a place outside of the view is damage. */
export function checked(look: () => number): number {
  try {
    return look();
  } catch {
    throw new Damaged("it is cut off");
  }
}

/** A 64-bit number. None that a block has is beyond 2^53. */
function long(view: DataView, at: number): number {
  const found = checked(() => view.getInt32(at + 4, true)) * 2 ** 32 + view.getUint32(at, true);
  if (!Number.isSafeInteger(found)) throw new Damaged("it has an impossible length");
  return found;
}

function follow(view: DataView, at: number): number {
  return at + checked(() => view.getUint32(at, true));
}
