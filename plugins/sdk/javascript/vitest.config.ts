import { defineConfig } from "vitest/config";

// The contract's modules, which only a component has. tests/component.test.ts says what is in them.
const contract = {
  name: "contract",
  resolveId: (id: string) => (/^(gristmill|wasi):/.test(id) ? `\0${id}` : undefined),
  load: (id: string) => (/^\0(gristmill|wasi):/.test(id) ? "" : undefined),
};

// Some tests build components, which takes seconds on a busy machine.
export default defineConfig({
  plugins: [contract],
  test: { include: ["tests/*.test.ts"], testTimeout: 120_000, hookTimeout: 120_000 },
});
