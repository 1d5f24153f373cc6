/** Why an item has no result. Throwing one of these decides what becomes of the item; any other error rejects it. */

const CODE = /^[A-Za-z0-9._-]{1,64}$/;

/** What `Reject` and `Retry` have in common: a code that reports count by, and a sentence for a person. */
export abstract class Failure extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    if (!CODE.test(code)) {
      throw new TypeError(`${JSON.stringify(code)} is no failure code: it takes 1 to 64 of A-Z a-z 0-9 . _ -`);
    }
    super(message);
    this.code = code;
  }
}

/** The input is bad: the item is reported and never repeated. */
export class Reject extends Failure {
  override readonly name = "Reject";
}

/** Something outside was not ready: the item is repeated, a bounded number of times. */
export class Retry extends Failure {
  override readonly name = "Retry";
}

/** Ends the item: its input is bad. It is reported and never repeated. */
export function reject(code: string, message: string): never {
  throw new Reject(code, message);
}

/** Ends the item for now: something outside was not ready. It is repeated, a bounded number of times. */
export function retry(code: string, message: string): never {
  throw new Retry(code, message);
}

/** The errors of `objects` and `tables` by their case in the contract: the codes are those of the other SDKs. */
const OBJECT_ERRORS = {
  "not-found": (message: string) => new Reject("ObjectNotFound", message),
  denied: (message: string) => new Reject("ObjectDenied", message),
  invalid: (message: string) => new Reject("ObjectInvalid", message),
  unavailable: (message: string) => new Retry("ObjectUnavailable", message),
  "too-large": (message: string) => new Reject("ObjectTooLarge", message),
  changed: (message: string) => new Retry("ObjectChanged", message),
};

/** Why an object could not be had, as the contract names it. */
export type ObjectErrorTag = keyof typeof OBJECT_ERRORS;

/** The failure that an error of the host means. */
export function objectFailure(tag: ObjectErrorTag, message: string): Failure {
  return OBJECT_ERRORS[tag](message);
}
