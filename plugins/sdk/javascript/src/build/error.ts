/** What kept a component from being built, and what to do. */
export class BuildError extends Error {}
