/**
 * `Math.random` follows from the item: the same item gives the same numbers, on any engine and in any order of items.
 * Engines keep the seed that they had when the component was built, which would differ from build to build.
 */

/** Begins the numbers of an item. */
export function seedRandom(text: string): void {
  let state = fnv1a(text);
  // Mulberry32.
  Math.random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}
