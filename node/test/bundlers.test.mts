/** Programs that are bundled log in: with the one line that the README gives for each bundler. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { caFile, Server } from "mailbearer/testing";
import { APP } from "./places.mjs";

const USER = "joe@gmail.com";

/** It uses every entry, a peer of each, and a class across two entries. */
const PROGRAM = `
    import { connect, LoginFailed } from "mailbearer";
    import * as imapflow from "mailbearer/imapflow";
    import { transport } from "mailbearer/nodemailer";

    async function main() {
        const { login, imap, smtp } = JSON.parse(process.env.WAY);
        const connection = await connect({ protocol: "imap", ...login, ...imap });
        await connection.close();
        const client = await imapflow.connect({ ...login, ...imap });
        await client.logout();
        const outgoing = transport({ ...login, ...smtp });
        await outgoing.verify();
        outgoing.close();
        const refused = await imapflow.connect({ ...login, ...imap, token: "expired" }).catch((error) => error);
        console.log("logged in", connection.mechanism, refused instanceof LoginFailed);
    }
    void main();
`;

let server: Server;
let folder: string;
let entry: string;
before(async () => {
    server = await Server.start();
    // Within the project: what is external is found there.
    folder = mkdtempSync(join(APP, "bundled-"));
    entry = join(folder, "program.mjs");
    writeFileSync(entry, PROGRAM);
});
after(async () => {
    rmSync(folder, { recursive: true });
    await server.stop();
});

/** What the bundle says when it is run. */
async function run(file: string): Promise<string> {
    const ca = readFileSync(caFile, "utf8");
    const at = (protocol: "imap" | "smtp") => ({ host: "localhost", port: server.port(protocol), tlsOptions: { ca } });
    const login = { user: USER, token: server.issueToken(USER) };
    const WAY = JSON.stringify({ login, imap: at("imap"), smtp: at("smtp") });
    const { stdout } = await promisify(execFile)(process.execPath, [file], { env: { ...process.env, WAY } });
    return stdout;
}

/** Each gives the file that it has written. */
const BUNDLERS: Record<string, () => Promise<string>> = {
    esbuild: async () => {
        const outfile = join(folder, "esbuild.mjs");
        const { build } = await import("esbuild");
        await build({
            entryPoints: [entry],
            bundle: true,
            platform: "node",
            format: "esm",
            external: ["mailbearer"],
            outfile,
            logLevel: "silent",
        });
        return outfile;
    },
    "Vite, for a server": async () => {
        const { build } = await import("vite");
        const outDir = join(folder, "vite");
        // It leaves packages out of what it builds for a server.
        await build({ root: folder, configFile: false, logLevel: "error", build: { ssr: entry, outDir } });
        return join(outDir, "program.js");
    },
    webpack: async () => {
        const { default: webpack } = await import("webpack");
        const config = {
            mode: "production",
            target: "node20",
            entry,
            output: { path: folder, filename: "webpack.cjs" },
            externals: /^mailbearer/,
            externalsType: "node-commonjs",
        } as const;
        await new Promise<void>((resolve, reject) => {
            webpack(config, (error, stats) => {
                const failed = error ?? (stats?.hasErrors() ? new Error(stats.toString("errors-only")) : undefined);
                return failed === undefined ? resolve() : reject(failed);
            });
        });
        return join(folder, "webpack.cjs");
    },
    Rollup: async () => {
        const { rollup } = await import("rollup");
        const bundle = await rollup({ input: entry, external: /^(mailbearer|node:)/, onwarn: assert.fail });
        const file = join(folder, "rollup.mjs");
        await bundle.write({ file, format: "es" });
        return file;
    },
};

describe("a program that is bundled logs in, from", () => {
    for (const [name, bundle] of Object.entries(BUNDLERS)) {
        it(name, async () => {
            assert.match(await run(await bundle()), /^logged in \w+ true$/m);
        });
    }

    it("esbuild, where every package is left out", async () => {
        const { build } = await import("esbuild");
        const outfile = join(folder, "external.cjs");
        await build({ entryPoints: [entry], bundle: true, platform: "node", packages: "external", outfile });
        assert.match(await run(outfile), /^logged in \w+ true$/m);
    });
});
