/** What the small engine gets from this package, held to what Node has. */

import { describe, expect, test } from "vitest";
import { settled, SyncPromise } from "../src/component/promise.ts";
import { Utf8Decoder, Utf8Encoder } from "../src/component/utf8.ts";
import { chance } from "./chance.ts";

type Promises = PromiseConstructor;

// The engine has them, and Node only from version 25 on.
Object.assign(Uint8Array, { fromBase64: (text: string) => new Uint8Array(Buffer.from(text, "base64")) });
Object.assign(Uint8Array.prototype, {
  toBase64(this: Uint8Array) {
    return Buffer.from(this).toString("base64");
  },
});

/** What happens in which order; `P` is the one constructor or the other. */
const SCENES: Record<string, (P: Promises, log: (text: string) => void) => Promise<unknown>> = {
  order: (P, log) => {
    log("start");
    const a = P.resolve(1).then((n) => (log(`a${n}`), n + 1));
    const b = P.resolve()
      .then(() => log("b"))
      .then(() => log("b2"));
    log("end");
    return P.all([a, b]).then((all) => log(JSON.stringify(all)));
  },
  "a promise that resolves to another": (P, log) => {
    const inner = new P<string>((resolve) => resolve("inner"));
    const outer = new P<string>((resolve) => resolve(inner));
    P.resolve()
      .then(() => log("1"))
      .then(() => log("2"))
      .then(() => log("3"));
    return outer.then((value) => log(value));
  },
  "what throws is rejected": (P, log) =>
    P.resolve()
      .then(() => {
        throw new Error("thrown");
      })
      .catch((error: Error) => log(error.message))
      .finally(() => log("finally")),
  "finally passes on, and its own errors win": (P, log) =>
    P.reject(new Error("first"))
      .finally(() => log("f"))
      .finally(() => P.reject(new Error("second")))
      .catch((error: Error) => log(error.message)),
  "only the first decision counts": (P, log) =>
    new P<string>((resolve, reject) => {
      resolve("one");
      reject(new Error("two"));
      throw new Error("three");
    }).then(log),
  "a thenable is taken over": (P, log) => {
    const thenable = {
      then: (resolve: (n: number) => void) => (log("called"), resolve(5)),
    } as unknown as PromiseLike<number>;
    return P.resolve(thenable).then((n) => log(String(n)));
  },
  "a thenable that throws after it has decided": (P, log) => {
    const thenable = {
      then: (resolve: (n: number) => void) => {
        resolve(6);
        throw new Error("too late");
      },
    } as unknown as PromiseLike<number>;
    return P.resolve(thenable).then((n) => log(String(n)));
  },
  "a promise cannot wait for itself": (P, log) => {
    const { promise, resolve } = P.withResolvers<unknown>();
    resolve(promise);
    return promise.catch((error: Error) => log(error.name));
  },
  "all, of which one fails": (P, log) =>
    P.all([1, P.reject(new Error("no")), 2]).catch((error: Error) => log(error.message)),
  "all of none": (P, log) => P.all([]).then((all) => log(JSON.stringify(all))),
  allSettled: (P, log) => P.allSettled([1, P.reject("no")]).then((all) => log(JSON.stringify(all))),
  race: (P, log) => P.race([new P(() => {}), P.resolve("fast"), "faster?"]).then((value) => log(String(value))),
  any: (P, log) => P.any([P.reject("no"), P.resolve("yes")]).then((value) => log(String(value))),
  "any of none": (P, log) =>
    P.any([P.reject("a"), P.reject("b")]).catch((error: AggregateError) => log(JSON.stringify(error.errors))),
};

test.for(Object.entries(SCENES))("promises do the same in the same order: %s", async ([, scene]) => {
  const native: string[] = [];
  // Not in every Node that this package runs on.
  const withResolvers = () => {
    let [resolve, reject]: unknown[] = [];
    const promise = new Promise((...both) => ([resolve, reject] = both));
    return { promise, resolve, reject };
  };
  Promise.withResolvers ??= withResolvers as typeof Promise.withResolvers;
  await scene(Promise, (text) => native.push(text));
  const own: string[] = [];
  settled(scene(SyncPromise as unknown as Promises, (text) => own.push(text)));
  expect(own).toEqual(native);
  expect(own.length).toBeGreaterThan(0);
});

test("a promise comes to its value, its error, or nothing", () => {
  const P = SyncPromise as unknown as Promises;
  expect(settled(P.resolve(1).then((n) => n + 1))).toBe(2);
  expect(() => settled(P.reject(new Error("no")))).toThrow("no");
  expect(() => settled(new P(() => {}))).toThrow("process waits for a promise that nothing fulfils");
});

describe("UTF-8", () => {
  test.for(Array.from({ length: 80 }, (_, seed) => seed))("is what Node makes of it (%i)", (seed) => {
    const { below, pick } = chance(seed);
    const alphabet = pick(["ab\n", "aé\u07ff\u0800", "a\uffff😀\ud800\udc00", "\ufeffx", "a\ud800"]);
    const text = Array.from({ length: below(pick([4, 40, 9000])) }, () => alphabet[below(alphabet.length)]).join("");
    const bytes = new TextEncoder().encode(text);
    expect(new Utf8Encoder().encode(text)).toEqual(bytes);
    if (below(2) === 0)
      for (let i = below(4); i >= 0 && bytes.length > 0; i--)
        bytes[below(bytes.length)] = pick([0x80, 0xc3, 0xed, 0xf0, 0xff]);
    for (const ignoreBOM of [false, true]) {
      for (const fatal of [false, true]) {
        const [own, native] = [
          new Utf8Decoder("utf-8", { fatal, ignoreBOM }),
          new TextDecoder("utf-8", { fatal, ignoreBOM }),
        ];
        const read = (decoder: { decode(bytes: Uint8Array): string }) => {
          try {
            return decoder.decode(bytes);
          } catch (error) {
            return (error as Error).name;
          }
        };
        expect(read(own)).toBe(read(native));
      }
    }
    const [own, native] = [new Utf8Decoder(), new TextDecoder()];
    let [ours, theirs] = ["", ""];
    for (let at = 0, size = 0; at < bytes.length; at += size) {
      size = 1 + below(7);
      ours += own.decode(bytes.subarray(at, at + size), { stream: true });
      theirs += native.decode(bytes.subarray(at, at + size), { stream: true });
    }
    expect(ours + own.decode()).toBe(theirs + native.decode());
  });

  test("is the only encoding", () => {
    expect(() => new Utf8Decoder("latin1")).toThrow("this engine decodes utf-8 only, not latin1");
  });
});
