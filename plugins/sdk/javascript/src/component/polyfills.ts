/** What the small engine lacks, and this package or an author's library needs. Evaluated before anything else. */

import { queueMicrotask, SyncPromise } from "./promise.ts";
import { Utf8Decoder, Utf8Encoder } from "./utf8.ts";

Object.assign(globalThis, {
  Promise: SyncPromise,
  queueMicrotask,
  TextDecoder: Utf8Decoder,
  TextEncoder: Utf8Encoder,
});
