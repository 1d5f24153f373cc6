/** Names in messages: what was found, and what was probably meant. */

/** The known name that is most like the word, whatever the case; undefined if there is nothing like it. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let fewest = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const name of known) {
    const edits = distance(word.toLowerCase(), name.toLowerCase());
    if (edits < fewest) [best, fewest] = [name, edits];
  }
  return best;
}

/** The end of a sentence on an unknown name: what was probably meant, or what there is. */
export function hint(word: string, known: Iterable<string>): string {
  const all = [...known];
  const near = nearest(word, all);
  return near === undefined
    ? `; there ${all.length === 1 ? "is" : "are"} ${all.join(", ") || "none"}`
    : `, did you mean ${near}?`;
}

/** A text as a message shows it: in double quotes, at most its first 80 characters. */
export function quoted(text: string): string {
  const letters = [...text.slice(0, 200)];
  return JSON.stringify(letters.length <= 80 ? text : `${letters.slice(0, 80).join("")}...`);
}

/** A value as a message shows it. */
export function shown(value: unknown): string {
  if (typeof value === "string") return quoted(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return "a function";
  if (value instanceof Date) return `the date ${String(value)}`;
  try {
    const text = JSON.stringify(value) ?? String(value);
    return typeof value === "number" ? String(value) : text.length <= 80 ? text : `${text.slice(0, 80)}...`;
  } catch {
    return `a ${typeof value}`;
  }
}

/** Levenshtein's: how many letters have to be changed. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, place) => place);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1] ? 0 : 1;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + same));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
