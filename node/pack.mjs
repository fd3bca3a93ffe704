// Packs what users get into FOLDER: the package, and the platform packages of which the addon was built. With ADDONS, a folder
// of addons for other systems, their platform packages alone.
//
//     node pack.mjs FOLDER [ADDONS]
import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const here = import.meta.dirname;
const out = resolve(process.argv[2] ?? "packed");
const addons = process.argv[3] && resolve(process.argv[3]);
const manifest = read(join(here, "package.json"));
const binary = manifest.napi.binaryName;
const licences = ["LICENSE-APACHE", "LICENSE-MIT"];

rmSync(join(here, "npm"), { recursive: true, force: true });
mkdirSync(out, { recursive: true });

execFileSync(join(here, "node_modules/.bin/napi"), ["create-npm-dirs"], { cwd: here });
const platforms = readdirSync(join(here, "npm"));
for (const platform of platforms) {
    const addon = `${binary}.${platform}.node`;
    const built = join(addons ?? join(here, "native"), addon);
    if (existsSync(built)) {
        copyFileSync(built, join(here, "npm", platform, addon));
        complete(join(here, "npm", platform), addon);
        pack(join(here, "npm", platform));
    }
}
if (!addons) {
    pack(staged());
}

/** A platform's package: the addon, with the licences of all that is linked into it. */
function complete(folder, addon) {
    const described = read(join(folder, "package.json"));
    const { author, homepage, bugs, publishConfig } = manifest;
    const files = [addon, ...licences, "THIRD-PARTY.md"];
    write(join(folder, "package.json"), { ...described, author, homepage, bugs, publishConfig, files });
    copyRoot(folder, [...licences, "THIRD-PARTY.md"]);
    const purpose = `The addon of [${manifest.name}](https://www.npmjs.com/package/${manifest.name}) for one platform.`;
    writeFileSync(join(folder, "README.md"), `# ${described.name}\n\n${purpose} npm chooses it by itself.\n`);
}

/** The package itself: without what only its developers need, and with the platforms' packages. */
function staged() {
    const folder = join(here, "npm", manifest.name);
    mkdirSync(folder);
    for (const part of ["dist", "man"]) {
        cpSync(join(here, part), join(folder, part), { recursive: true });
    }
    mkdirSync(join(folder, "native"));
    for (const file of ["binding.js", "binding.d.ts"]) {
        copyFileSync(join(here, "native", file), join(folder, "native", file));
    }
    copyFileSync(join(here, "README.md"), join(folder, "README.md"));
    copyRoot(folder, licences);
    const { devDependencies, scripts, napi, ...kept } = manifest;
    const ofPlatforms = platforms.map((platform) => [`${napi.packageName}-${platform}`, manifest.version]);
    const optionalDependencies = { ...kept.optionalDependencies, ...Object.fromEntries(ofPlatforms) };
    write(join(folder, "package.json"), { ...kept, optionalDependencies });
    return folder;
}

function copyRoot(folder, files) {
    for (const file of files) {
        copyFileSync(join(here, "..", file), join(folder, file));
    }
}

function read(file) {
    return JSON.parse(readFileSync(file, "utf8"));
}

function write(file, value) {
    writeFileSync(file, `${JSON.stringify(value, undefined, 2)}\n`);
}

function pack(folder) {
    execFileSync("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", out], { cwd: folder });
}
