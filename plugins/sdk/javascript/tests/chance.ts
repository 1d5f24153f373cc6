/** Chance that a seed repeats. */
export function chance(seed: number) {
  let state = seed;
  const real = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (bound: number) => Math.floor(real() * bound);
  const pick = <T>(values: readonly T[]): T => values[below(values.length)] as T;
  return { real, below, pick };
}
