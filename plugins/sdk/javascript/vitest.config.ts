import { defineConfig } from "vitest/config";

// Some tests build components, which takes seconds on a busy machine.
export default defineConfig({ test: { include: ["tests/*.test.ts"], testTimeout: 120_000, hookTimeout: 120_000 } });
