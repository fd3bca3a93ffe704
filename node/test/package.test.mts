/** The package as npm installed it from its tarball: in ES modules, CommonJS and TypeScript; and the documentation. */
import assert from "node:assert/strict";
import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { APP, ROOT } from "./places.mjs";

const FOLDER = join(APP, "programs");
const INSTALLED = join(APP, "node_modules/mailbearer");

before(() => mkdirSync(FOLDER, { recursive: true }));
after(() => rmSync(FOLDER, { recursive: true, force: true }));

function run(file: string, content: string): Promise<string> {
    writeFileSync(join(FOLDER, file), content);
    // An example that is a test reports to people, not to us.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    return new Promise((resolve, reject) => {
        execFile(process.execPath, [file], { cwd: FOLDER, timeout: 60_000, env }, (error, out, err) =>
            error === null ? resolve(out) : reject(new Error(`${err}\n${out}`, { cause: error })),
        );
    });
}

const PROGRAM = `
    const user = "joe@gmail.com";
    const server = await Server.start();
    const connection = await connect({ protocol: "imap", user, token: server.issueToken(user), ...server.at("imap") });
    console.log(connection.mechanism, connection instanceof Connection);
    await connection.close();
    const client = await imapflow.connect({ user, token: server.issueToken(user), ...server.at("imap") });
    await client.logout();
    const transporter = nodemailer.createTransport(login({ user, token: server.issueToken(user), ...server.at("smtp") }));
    await transporter.sendMail({ from: user, to: user, text: "hello" });
    await server.stop();
`;

const IMPORTS = `
    import { connect, Connection } from "mailbearer";
    import * as imapflow from "mailbearer/imapflow";
    import { login } from "mailbearer/nodemailer";
    import { Server } from "mailbearer/testing";
    import nodemailer from "nodemailer";
`;

const REQUIRES = `
    const { connect, Connection } = require("mailbearer");
    const imapflow = require("mailbearer/imapflow");
    const { login } = require("mailbearer/nodemailer");
    const { Server } = require("mailbearer/testing");
    const nodemailer = require("nodemailer");
`;

describe("the tarball", () => {
    it("works in ES modules", async () => {
        assert.equal(await run("module.mjs", IMPORTS + PROGRAM), "XOAUTH2 true\n");
    });

    it("works in CommonJS", async () => {
        assert.equal(await run("common.cjs", `${REQUIRES} (async () => { ${PROGRAM} })();`), "XOAUTH2 true\n");
    });

    it("has one set of classes for both", async () => {
        const both = `
            import { createRequire } from "node:module";
            import * as module from "mailbearer";
            const common = createRequire(import.meta.url)("mailbearer");
            console.log(Object.keys(common).every((name) => common[name] === module[name]), Object.keys(common).length);
        `;
        assert.match(await run("both.mjs", both), /^true [34]\d\n$/);
    });

    for (const [what, file, imports] of [
        ["an ES module", "strict.mts", IMPORTS],
        [
            "CommonJS",
            "strict.cts",
            `import { connect, Connection } from "mailbearer"; import { Server } from "mailbearer/testing";
            import * as imapflow from "mailbearer/imapflow"; import { login } from "mailbearer/nodemailer";
            import nodemailer = require("nodemailer");`,
        ],
    ] as const) {
        it(`works in strict TypeScript, as ${what}`, () => {
            const narrowed = `
                async function narrowed(): Promise<"token_rejected" | "other"> {
                    try {
                        ${PROGRAM}
                    } catch (error) {
                        if (error instanceof LoginFailed) {
                            const { cause, advice }: { cause: Cause; advice: Advice } = error.failure;
                            return cause === "token_rejected" && advice === "refresh_token" ? cause : "other";
                        }
                    }
                    return "other";
                }
                // @ts-expect-error -- there is no such protocol
                void (() => connect({ protocol: "nntp", user: "a", token: "b" }));
                // @ts-expect-error -- verification cannot be switched off
                void (() => connect({ protocol: "imap", user: "a", token: "b", tlsOptions: { rejectUnauthorized: false } }));
                // @ts-expect-error -- there is no such cause
                const none: Cause = "token_rejectd";
                void none;
                narrowed().then(console.log);
            `;
            const types = 'import { type Advice, type Cause, LoginFailed } from "mailbearer";';
            writeFileSync(join(FOLDER, file), `${imports}\n${types}\n${narrowed}`);
            const options = [
                "--strict",
                "--module",
                "nodenext",
                "--target",
                "es2022",
                "--types",
                "node",
                "--skipLibCheck",
                String(what === "CommonJS"),
            ];
            const tsc = join(APP, "node_modules/.bin/tsc");
            const compiled = spawnSync(tsc, [...options, file], { cwd: FOLDER, encoding: "utf8" });
            assert.equal(compiled.status, 0, compiled.stdout);
            const ran = spawnSync(process.execPath, [file.replace("ts", "js")], { cwd: FOLDER, encoding: "utf8" });
            assert.equal(ran.stdout, "XOAUTH2 true\nother\n", ran.stderr);
        });
    }

    it("got the addon of this platform from npm, and holds no sources or tests", () => {
        const manifest = JSON.parse(readFileSync(join(INSTALLED, "package.json"), "utf8")) as Record<string, object>;
        const optional = Object.keys(manifest["optionalDependencies"] ?? {});
        const platforms = optional.filter((name) => name.startsWith("@mailbearer/"));
        assert.deepEqual(
            optional.filter((name) => !platforms.includes(name)),
            ["@napi-rs/keyring"],
        );
        assert.equal(platforms.length, 8);
        assert.equal(platforms.filter((name) => existsSync(join(APP, "node_modules", name))).length, 1);
        for (const file of ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "dist/index.d.ts", "dist/esm/index.mjs"]) {
            assert.ok(existsSync(join(INSTALLED, file)), file);
        }
        for (const file of ["src", "test", "node_modules", "tsconfig.json"]) {
            assert.ok(!existsSync(join(INSTALLED, file)), file);
        }
        assert.equal(manifest["devDependencies"], undefined);
    });

    it("has the version of the workspace", () => {
        const [, version] = /^version = "(.*)"$/m.exec(readFileSync(join(ROOT, "Cargo.toml"), "utf8")) ?? [];
        const manifest = JSON.parse(readFileSync(join(INSTALLED, "package.json"), "utf8")) as { version: string };
        assert.equal(manifest.version, version);
    });
});

describe("the documentation", () => {
    // What an example takes from its surroundings: the server in place of the provider's, and what it does not define.
    const around = `
        import * as fs from "node:fs";
        import { createRequire } from "node:module";
        import { Server } from "mailbearer/testing";
        const require = createRequire(import.meta.url);
        const settings = require("../node_modules/mailbearer/dist/settings.js");
        const server = await Server.start({ tokenLifetime: 1_000 });
        const resolve = settings.resolve;
        // An example that is a test runs when this one is over.
        const places = Object.fromEntries(["imap", "pop3", "smtp"].map((protocol) => [protocol, server.at(protocol)]));
        settings.resolve = (protocol, options) => resolve(protocol, { ...places[protocol], ...options });
        const getAccessToken = async () => server.issueToken("joe@gmail.com");
        {
            // As if \`mailbearer login\` had been there.
            process.env.MAILBEARER_HOME = fs.mkdtempSync("home-");
            const path = process.env.MAILBEARER_HOME + "/accounts/joe@gmail.com.json";
            fs.mkdirSync(process.env.MAILBEARER_HOME + "/accounts");
            const kept = {
                grant: { refresh_token: "1", access_token: await getAccessToken(), expires_at: Date.now() / 1000 + 3600 },
                authorization: { token_endpoint: "https://localhost:1/token" },
            };
            const account = { version: 1, user: "joe@gmail.com", provider: "gmail", store: "file", client_id: "a", scopes: [] };
            fs.writeFileSync(path, JSON.stringify({ ...account, ...kept }), { mode: 0o600 });
        }
        process.on("exit", () => console.log("happened", ...server.events().map((one) => one.what)));
        // Long enough for a renewal, where an example goes on for ever.
        setTimeout(() => process.exit(), 3_000).unref();
    `;

    for (const file of [
        "README.md",
        "node/README.md",
        "docs/start/node.md",
        "docs/reference/node.md",
        "docs/recipes/proxies.md",
        "docs/recipes/logs.md",
    ]) {
        const text = readFileSync(join(ROOT, file), "utf8");
        const examples = [...text.matchAll(/```(?:js|ts|javascript)\n([^]*?)```/g)].map(([, code]) => code ?? "");
        it(`of ${file} has examples`, () => assert.ok(examples.length >= 1));
        for (const [index, example] of examples.entries()) {
            it(`of ${file}: example ${index + 1} runs`, async () => {
                const body = example.replace(/^import .*$/gm, "");
                const imports = [...example.matchAll(/^import .*$/gm)]
                    .map(([line]) => line)
                    .filter((line) => !line.includes("{ Server }"));
                const out = await run(
                    `example${index}-${file.length}.mjs`,
                    `${imports.join("\n")}\n${around}\n${body}\nawait server.stop();`,
                );
                // What only makes sessions logs in nowhere.
                const logsIn = /for await|connect\(|sendMail/.test(example);
                const happened = logsIn ? /^happened .*logged_in/m : /^happened$/m;
                assert.match(out, example.includes("test(") ? /^ok 1 - /m : happened);
            });
        }
    }

    it("of docs/recipes/tests.md: what the command prints leads a login there", async () => {
        const command = join(INSTALLED, "dist/testing_command.js");
        const server = spawn(process.execPath, [command, "--json", "--stdin"], { stdio: ["pipe", "pipe", "inherit"] });
        const [printed] = (await once(server.stdout, "data")) as [Buffer];
        writeFileSync(join(FOLDER, "server.json"), printed);
        const text = readFileSync(join(ROOT, "docs/recipes/tests.md"), "utf8");
        const [, example] = /```js\n([^`]*server\.json[^`]*)```/.exec(text) ?? [];
        const out = await run("from-json.mjs", example ?? "").finally(() => server.stdin.end());
        assert.match(out, /messages: 3/);
    });
});
