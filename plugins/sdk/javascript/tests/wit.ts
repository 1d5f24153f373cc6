/** The contract (wit/*.wit) as TypeScript declarations, as both engines give it to JavaScript. */

/** Everything of an interface by the name of its module. */
export function declarations(wit: string): string {
  const tokens =
    wit.replace(/\/\/.*$/gm, "").match(/"[^"]*"|->|%?[A-Za-z_][\w-]*(?:[:/@][\w.:/@-]+)?|[{}()<>,;:=.]/g) ?? [];
  let at = 0;
  const peek = () => tokens[at] ?? "";
  const take = (expected?: string) => {
    const found = tokens[at++] ?? "the end";
    if (expected !== undefined && found !== expected)
      throw new Error(`${expected} expected, not ${found}, at token ${at}`);
    return found;
  };
  const all = (open: string, close: string, one: () => string) => {
    const found: string[] = [];
    for (take(open); peek() !== close;) {
      found.push(one());
      if (peek() === ",") take();
    }
    take(close);
    return found;
  };

  const type = (): string => {
    const name = take();
    const of = () => all("<", ">", type);
    switch (name) {
      case "list": {
        const [element] = of();
        return element === "u8" ? "Uint8Array" : `${element}[]`;
      }
      case "option":
        return `${of()[0]} | null`;
      case "tuple":
        return `[${of().join(", ")}]`;
      case "result":
        // The error is thrown.
        return of()[0] ?? "void";
      case "_":
        return "void";
      default:
        return PRIMITIVES[name] ?? pascal(name);
    }
  };
  const param = () => {
    const name = take();
    take(":");
    return `${camel(name)}: ${primitive(type())}`;
  };
  const signature = () => {
    const params = all("(", ")", param).join(", ");
    if (peek() !== "->") return `(${params}): void`;
    take();
    return `(${params}): ${primitive(type())}`;
  };
  const func = () => {
    const name = camel(take());
    take(":");
    take("func");
    const found = `${name}${signature()};`;
    take(";");
    return found;
  };

  const declaration = (isExport: boolean): string => {
    const keyword = take();
    switch (keyword) {
      case "use": {
        const from = take();
        take(".");
        const names = all("{", "}", take).map(pascal);
        take(";");
        return `import type { ${names.join(", ")} } from "${module(from)}";`;
      }
      case "type": {
        const name = pascal(take());
        take("=");
        const alias = `export type ${name} = ${primitive(type())};`;
        take(";");
        return alias;
      }
      case "record":
        return `export interface ${pascal(take())} {\n${all("{", "}", param)
          .map((field) => `    ${field};\n`)
          .join("")}  }`;
      case "enum":
        return `export type ${pascal(take())} = ${all("{", "}", take)
          .map((name) => `"${name}"`)
          .join(" | ")};`;
      case "variant": {
        const name = pascal(take());
        const cases = all("{", "}", () => {
          const tag = take();
          return peek() === "(" ? `{ tag: "${tag}"; val: ${all("(", ")", type).map(primitive)} }` : `{ tag: "${tag}" }`;
        });
        return `export type ${name} = ${cases.join(" | ")};`;
      }
      case "resource": {
        const name = pascal(take());
        const methods: string[] = [];
        for (take("{"); peek() !== "}";) methods.push(func());
        take("}");
        return `export class ${name} {\n${methods.map((method) => `    ${method}\n`).join("")}    [Symbol.dispose](): void;\n  }`;
      }
      default:
        at--;
        return isExport ? `  ${func()}` : `export function ${func()}`;
    }
  };

  let pkg = "";
  const module = (name: string) => pkg.replace(/@.*/, (version) => `/${name}${version}`);
  const found: string[] = [];
  while (at < tokens.length) {
    switch (take()) {
      case "package":
        pkg = take();
        take(";");
        break;
      case "interface": {
        const name = take();
        const isExport = EXPORTED.includes(name);
        const parts: string[] = [];
        for (take("{"); peek() !== "}";) parts.push(declaration(isExport));
        take("}");
        found.push(wrapped(module(name), name, parts, isExport));
        break;
      }
      default:
        // A world: what it imports and exports is what the interfaces have.
        while (take() !== "}");
    }
  }
  return found.join("\n");
}

/** What the plugin gives to the host: an object to implement, and no functions to call. */
const EXPORTED = ["item-processor"];
const PRIMITIVES: Readonly<Record<string, string>> = {
  bool: "boolean",
  u8: "u8",
  u32: "number",
  s32: "number",
  f64: "number",
  // Small engines take and give numbers here; `To64` knows.
  u64: "bigint",
  s64: "bigint",
  char: "string",
  string: "string",
};

function wrapped(module: string, name: string, parts: string[], isExport: boolean): string {
  const [functions, others] = [
    parts.filter((part) => part.startsWith("  ")),
    parts.filter((part) => !part.startsWith("  ")),
  ];
  const body = isExport ? [...others, `export interface ${pascal(name)} {\n${functions.join("\n")}\n  }`] : parts;
  return `declare module "${module}" {\n${body.map((part) => `  ${part}\n`).join("")}}\n`;
}

function primitive(type: string): string {
  return type === "u8" ? "number" : type;
}

function camel(name: string): string {
  return name.replace(/^%/, "").replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function pascal(name: string): string {
  const found = camel(name);
  return found.charAt(0).toUpperCase() + found.slice(1);
}
