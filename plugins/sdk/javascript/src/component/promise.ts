/**
 * Promises whose callbacks are run on demand. The small engine never runs those of its own while a call lasts; so the
 * build makes generators of async functions, which rest on the global `Promise`, and that is this one.
 */

import { Reject } from "../failure.ts";

type Callback = () => void;
type State = "pending" | "fulfilled" | "rejected";

const queue: Callback[] = [];

/** Runs a callback when the code that runs now has ended. */
export function queueMicrotask(callback: Callback): void {
  queue.push(callback);
}

/** What a promise comes to. Everything that can be done is done first. */
export function settled<T>(promise: Promise<T>): T {
  // What an earlier item left behind has nothing to do with this one, but its own order is kept.
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) next();
  const { state, value } = promise as unknown as SyncPromise;
  if (state === "fulfilled") return value as T;
  if (state === "rejected") throw value;
  throw new Reject(
    "NothingToWaitFor",
    "process waits for a promise that nothing fulfils: a plugin has no timers and no network",
  );
}

/** Of the standard (ECMAScript 2024, 27.2), but for subclasses. */
export class SyncPromise {
  state: State = "pending";
  value: unknown;
  #waiting: Callback[] = [];

  constructor(executor: (resolve: (value?: unknown) => void, reject: (reason?: unknown) => void) => void) {
    const { resolve, reject } = this.#once();
    try {
      executor(resolve, reject);
    } catch (error) {
      reject(error);
    }
  }

  then(onFulfilled?: unknown, onRejected?: unknown): SyncPromise {
    return new SyncPromise((resolve, reject) => {
      const react = () => {
        const handler = this.state === "fulfilled" ? onFulfilled : onRejected;
        if (typeof handler !== "function") return this.state === "fulfilled" ? resolve(this.value) : reject(this.value);
        try {
          resolve(handler(this.value));
        } catch (error) {
          reject(error);
        }
      };
      if (this.state === "pending") this.#waiting.push(react);
      else queueMicrotask(react);
    });
  }

  catch(onRejected?: unknown): SyncPromise {
    return this.then(undefined, onRejected);
  }

  finally(onEnd?: unknown): SyncPromise {
    if (typeof onEnd !== "function") return this.then(onEnd, onEnd);
    return this.then(
      (value: unknown) => SyncPromise.resolve(onEnd()).then(() => value),
      (reason: unknown) => SyncPromise.resolve(onEnd()).then(() => SyncPromise.reject(reason)),
    );
  }

  /** The two functions that settle it, of which the first call counts. */
  #once() {
    let isDecided = false;
    const first = (act: (value: unknown) => void) => (value?: unknown) => {
      if (isDecided) return;
      isDecided = true;
      act(value);
    };
    return {
      resolve: first((value) => this.#resolve(value)),
      reject: first((reason) => this.#settle("rejected", reason)),
    };
  }

  #resolve(value: unknown): void {
    if (value === this) return this.#settle("rejected", new TypeError("a promise cannot wait for itself"));
    if ((typeof value !== "object" || value === null) && typeof value !== "function")
      return this.#settle("fulfilled", value);
    try {
      const then: unknown = (value as { then?: unknown }).then;
      if (typeof then !== "function") return this.#settle("fulfilled", value);
      queueMicrotask(() => {
        const { resolve, reject } = this.#once();
        try {
          then.call(value, resolve, reject);
        } catch (error) {
          reject(error);
        }
      });
    } catch (error) {
      this.#settle("rejected", error);
    }
  }

  #settle(state: State, value: unknown): void {
    [this.state, this.value] = [state, value];
    for (const react of this.#waiting.splice(0)) queueMicrotask(react);
  }

  static resolve(value?: unknown): SyncPromise {
    return value instanceof SyncPromise ? value : new SyncPromise((resolve) => resolve(value));
  }

  static reject(reason?: unknown): SyncPromise {
    return new SyncPromise((_, reject) => reject(reason));
  }

  static withResolvers() {
    let [resolve, reject]: ((value?: unknown) => void)[] = [];
    const promise = new SyncPromise((...both) => {
      [resolve, reject] = both;
    });
    return { promise, resolve, reject };
  }

  static all(values: Iterable<unknown>): SyncPromise {
    return collect(values, (promise, done, _, reject) => promise.then(done, reject));
  }

  static allSettled(values: Iterable<unknown>): SyncPromise {
    return collect(values, (promise, done) => {
      promise.then(
        (value: unknown) => done({ status: "fulfilled", value }),
        (reason: unknown) => done({ status: "rejected", reason }),
      );
    });
  }

  static race(values: Iterable<unknown>): SyncPromise {
    return new SyncPromise((resolve, reject) => {
      for (const value of values) SyncPromise.resolve(value).then(resolve, reject);
    });
  }

  static any(values: Iterable<unknown>): SyncPromise {
    const failed = (errors: unknown) => new AggregateError(errors as unknown[], "All promises were rejected");
    return collect(values, (promise, done, resolve) => promise.then(resolve, done)).then((errors: unknown) => {
      if (errors instanceof Kept) return errors.value;
      throw failed(errors);
    });
  }

  get [Symbol.toStringTag](): string {
    return "Promise";
  }
}

/** A value that ended `collect` early. */
class Kept {
  readonly value: unknown;

  constructor(value: unknown) {
    this.value = value;
  }
}

type Watch = (
  promise: SyncPromise,
  done: (value: unknown) => void,
  resolve: (value: unknown) => void,
  reject: (reason: unknown) => void,
) => void;

/** The results of all, in their order; `resolve` and `reject` end it early. */
function collect(values: Iterable<unknown>, watch: Watch): SyncPromise {
  return new SyncPromise((resolve, reject) => {
    const found: unknown[] = [];
    let missing = 1;
    const oneLess = () => {
      missing--;
      if (missing === 0) resolve(found);
    };
    let place = 0;
    for (const value of values) {
      const at = place++;
      missing++;
      const done = (result: unknown) => {
        found[at] = result;
        oneLess();
      };
      watch(SyncPromise.resolve(value), done, (kept) => resolve(new Kept(kept)), reject);
    }
    oneLess();
  });
}
