/**
 * `TextEncoder` and `TextDecoder` of UTF-8 for an engine that has none. A loop over letters takes twenty times as long as
 * what the engine has in C: so bytes go through Base64, and what is no ASCII through the escapes of URIs.
 */

/** Of ECMAScript 2026; the engine has them. */
interface Base64 {
  fromBase64(text: string): Uint8Array;
}
const fromBase64 = (text: string) => (Uint8Array as unknown as Base64).fromBase64(text);
const toBase64 = (bytes: Uint8Array) => (bytes as unknown as { toBase64(): string }).toBase64();

const NO_ASCII = /[\u0080-\uffff]/;

export class Utf8Encoder {
  readonly encoding = "utf-8";

  encode(text = ""): Uint8Array {
    const isAscii = text.search(NO_ASCII) < 0;
    return fromBase64(btoa(isAscii ? text : unescape(encodeURIComponent(text.toWellFormed()))));
  }
}

export class Utf8Decoder {
  readonly encoding = "utf-8";
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  #rest = new Uint8Array();
  #isBegun = false;

  constructor(label = "utf-8", options: { fatal?: boolean; ignoreBOM?: boolean } = {}) {
    if (!/^\s*utf-?8\s*$/i.test(label)) throw new RangeError(`this engine decodes utf-8 only, not ${label}`);
    this.fatal = options.fatal ?? false;
    this.ignoreBOM = options.ignoreBOM ?? false;
  }

  decode(given: ArrayBufferView | ArrayBuffer = new Uint8Array(), options: { stream?: boolean } = {}): string {
    let bytes = bytesOf(given);
    if (this.#rest.length > 0) {
      const both = new Uint8Array(this.#rest.length + bytes.length);
      both.set(this.#rest);
      both.set(bytes, this.#rest.length);
      bytes = both;
    }
    const end = options.stream ? bytes.length - unfinished(bytes) : bytes.length;
    this.#rest = bytes.slice(end);
    const text = this.#text(bytes.subarray(0, end));
    const isFirst = !this.#isBegun;
    this.#isBegun = options.stream === true && (this.#isBegun || text !== "");
    return isFirst && !this.ignoreBOM && text.startsWith("\ufeff") ? text.slice(1) : text;
  }

  #text(bytes: Uint8Array): string {
    const letters = atob(toBase64(bytes));
    if (letters.search(NO_ASCII) < 0) return letters;
    try {
      // One byte a letter, escaped byte by byte, which is what the engine decodes as UTF-8, strictly.
      return decodeURIComponent(escape(letters));
    } catch {
      if (this.fatal) throw new TypeError("the bytes are not UTF-8");
      return replaced(bytes);
    }
  }
}

function bytesOf(given: ArrayBufferView | ArrayBuffer): Uint8Array {
  if (given instanceof Uint8Array) return given;
  return ArrayBuffer.isView(given)
    ? new Uint8Array(given.buffer, given.byteOffset, given.byteLength)
    : new Uint8Array(given);
}

/** How many bytes at the end begin a letter that is not complete. */
function unfinished(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number;
    if ((byte & 0xc0) === 0x80) continue;
    return width(byte) > back ? back : 0;
  }
  return 0;
}

/** How many bytes a letter has by its first one; 1 for what begins none. */
function width(byte: number): number {
  return byte >= 0xc2 && byte < 0xe0 ? 2 : byte >= 0xe0 && byte < 0xf0 ? 3 : byte >= 0xf0 && byte < 0xf5 ? 4 : 1;
}

/** With U+FFFD for each part that is no letter, as the Encoding Standard has it. */
function replaced(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length;) {
    const first = bytes[i] as number;
    const size = width(first);
    // The second byte is bounded: no overlong letters, no surrogates, nothing beyond U+10FFFF.
    let low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    let high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    let code = size === 1 ? first : first & (0x7f >> size);
    let taken = 1;
    for (; taken < size; taken++) {
      const byte = bytes[i + taken];
      if (byte === undefined || byte < low || byte > high) break;
      [low, high] = [0x80, 0xbf];
      code = (code << 6) | (byte & 0x3f);
    }
    text += taken === size && (size > 1 || first < 0x80) ? String.fromCodePoint(code) : "\ufffd";
    i += taken;
  }
  return text;
}
