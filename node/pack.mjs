// Packs what users get into FOLDER: the package, and the platform packages of which the addon was built.
//
//     node pack.mjs FOLDER
import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const here = import.meta.dirname;
const out = resolve(process.argv[2] ?? "packed");
const manifest = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
const binary = manifest.napi.binaryName;

rmSync(join(here, "npm"), { recursive: true, force: true });
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });

execFileSync(join(here, "node_modules/.bin/napi"), ["create-npm-dirs"], { cwd: here });
const platforms = readdirSync(join(here, "npm"));
for (const platform of platforms) {
    const folder = join(here, "npm", platform);
    copyFileSync(join(folder, "package.json"), join(out, `${platform}.json`));
    const addon = `${binary}.${platform}.node`;
    if (existsSync(join(here, "native", addon))) {
        copyFileSync(join(here, "native", addon), join(folder, addon));
        pack(folder);
    }
}
pack(staged());

/** The package itself: without what only its developers need, and with the platforms' packages. */
function staged() {
    const folder = join(here, "npm", manifest.name);
    mkdirSync(folder);
    cpSync(join(here, "dist"), join(folder, "dist"), { recursive: true });
    mkdirSync(join(folder, "native"));
    for (const file of ["binding.js", "binding.d.ts"]) {
        copyFileSync(join(here, "native", file), join(folder, "native", file));
    }
    copyFileSync(join(here, "README.md"), join(folder, "README.md"));
    for (const file of ["LICENSE-APACHE", "LICENSE-MIT"]) {
        copyFileSync(join(here, "..", file), join(folder, file));
    }
    const { devDependencies, scripts, napi, ...kept } = manifest;
    const optionalDependencies = Object.fromEntries(
        platforms.map((platform) => [`${napi.packageName}-${platform}`, manifest.version]),
    );
    writeFileSync(join(folder, "package.json"), JSON.stringify({ ...kept, optionalDependencies }, undefined, 2));
    return folder;
}

function pack(folder) {
    execFileSync("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", out], { cwd: folder });
}
