// Makes a new project in FOLDER, and installs what pack.mjs has put into PACKED, as users do: npm chooses the platform's
// package by itself, from a registry on loopback.
//
//     node install.mjs PACKED FOLDER
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { basename, join, resolve } from "node:path";

const [packed, folder] = process.argv.slice(2).map((path) => resolve(path));
const manifest = JSON.parse(readFileSync(join(import.meta.dirname, "package.json"), "utf8"));
const scope = manifest.napi.packageName.split("/")[0];

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
const registry = createServer(answer).listen(0, "127.0.0.1");
registry.on("listening", async () => {
    const { port } = registry.address();
    const { typescript, "@types/node": types, ...others } = manifest.devDependencies;
    const libraries = ["imapflow", "nodemailer", "imap", "node-pop3", "google-auth-library", "@azure/msal-node"];
    const optional = ["socks", "pino", "express"];
    const bundlers = ["esbuild", "vite", "webpack", "rollup"];
    const used = [...libraries, ...optional, ...bundlers].map((name) => [name, others[name]]);
    const dependencies = {
        mailbearer: `file:${packed}/mailbearer-${manifest.version}.tgz`,
        ...Object.fromEntries(used),
    };
    const devDependencies = { typescript, "@types/node": types };
    writeFileSync(
        join(folder, "package.json"),
        JSON.stringify({ private: true, type: "module", dependencies, devDependencies }),
    );
    writeFileSync(
        join(folder, ".npmrc"),
        `${scope}:registry=http://127.0.0.1:${port}/\npackage-lock=false\naudit=false\nfund=false\n`,
    );
    const npm = spawn("npm", ["install", "--prefer-offline", "--loglevel=error"], { cwd: folder, stdio: "inherit" });
    npm.on("exit", (status) => {
        registry.close();
        registry.closeAllConnections();
        process.exitCode = status ?? 1;
    });
});

/** What a registry says of a package, or a package itself. */
function answer(request, response) {
    const path = decodeURIComponent(request.url);
    if (path.endsWith(".tgz")) {
        response.end(readFileSync(join(packed, basename(path))));
        return;
    }
    const name = path.slice(1);
    const platform = name.replace(`${manifest.napi.packageName}-`, "");
    const description = join(import.meta.dirname, "npm", platform, "package.json");
    if (!existsSync(description)) {
        response.writeHead(404).end();
        return;
    }
    const file = `${name.slice(1).replace("/", "-")}-${manifest.version}.tgz`;
    const tarball = `http://127.0.0.1:${registry.address().port}/${file}`;
    const content = existsSync(join(packed, file)) ? readFileSync(join(packed, file)) : "";
    const integrity = `sha512-${createHash("sha512").update(content).digest("base64")}`;
    const version = { ...JSON.parse(readFileSync(description, "utf8")), dist: { tarball, integrity } };
    const versions = { [manifest.version]: version };
    response.end(JSON.stringify({ name, "dist-tags": { latest: manifest.version }, versions }));
}
