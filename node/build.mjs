// What tsc does not do: the ES module entries, and the certificates of the testing server, which has one copy in git.
import { copyFileSync, mkdirSync, rmSync, writeFileSync, chmodSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const require = createRequire(import.meta.url);

for (const file of ["ca.pem", "localhost.pem"]) {
    copyFileSync(here(`../python/src/mailbearer/testing/${file}`), here(`dist/${file}`));
}

// One module owns the classes, whoever loads it: the ES module entries give out what the CommonJS ones have.
rmSync(here("dist/esm"), { recursive: true, force: true });
mkdirSync(here("dist/esm"));
for (const entry of ["index", "imapflow", "nodemailer", "testing"]) {
    const names = Object.keys(require(here(`dist/${entry}.js`)));
    writeFileSync(here(`dist/esm/${entry}.mjs`), `export { ${names.join(", ")} } from "../${entry}.js";\n`);
    writeFileSync(here(`dist/esm/${entry}.d.mts`), `export * from "../${entry}.js";\n`);
}
chmodSync(here("dist/command.js"), 0o755);
chmodSync(here("dist/testing_command.js"), 0o755);
