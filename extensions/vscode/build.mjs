// Bundles the extension into dist/extension.js and each unit test into dist/test/: esbuild only strips the types, `npm run check` reads them.
import { build } from "esbuild";
import { readdirSync, rmSync } from "node:fs";

const common = { bundle: true, platform: "node", format: "cjs", target: "node16", logLevel: "warning" };
const minify = process.argv.includes("--minify");
const tests = readdirSync("test").filter((name) => name.endsWith(".test.ts"));

rmSync("dist", { recursive: true, force: true });
await build({ ...common, entryPoints: ["src/extension.ts"], outfile: "dist/extension.js", external: ["vscode"], minify });
await build({ ...common, entryPoints: tests.map((name) => `test/${name}`), outdir: "dist/test", target: "node20", sourcemap: "inline" });
