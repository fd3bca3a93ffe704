/** What is missing says which `npm install` mends it, before any login. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { APP } from "./places.mjs";

let project: string;
before(() => {
    // The package alone, as npm puts it there for who installs nothing else.
    project = mkdtempSync(join(tmpdir(), "mb-alone-"));
    mkdirSync(join(project, "node_modules"));
    cpSync(join(APP, "node_modules/mailbearer"), join(project, "node_modules/mailbearer"), { recursive: true });
    symlinkSync(join(APP, "node_modules/@mailbearer"), join(project, "node_modules/@mailbearer"));
});
after(() => rmSync(project, { recursive: true }));

/** What a program says of what it throws. */
function said(program: string, type = "module"): string {
    const words = [`--input-type=${type}`, "-e", program];
    const { stdout, stderr } = spawnSync(process.execPath, words, { cwd: project, encoding: "utf8" });
    return stdout + stderr;
}

/** A server that fails the test if it is asked. */
const AT = `{ user: "joe@gmail.com", token: "abc", host: "localhost", port: 9 }`;
const TOLD = `.catch((e) => console.log(e.name, e.code, e.message, e.cause?.code))`;

describe("a library that is missing", () => {
    for (const [library, program] of [
        ["imapflow", `import { connect } from "mailbearer/imapflow"; connect(${AT})${TOLD}`],
        ["imapflow", `import { sessions } from "mailbearer/imapflow"; (async () => sessions(${AT}))()${TOLD}`],
        ["nodemailer", `import { transport } from "mailbearer/nodemailer"; (async () => transport(${AT}))()${TOLD}`],
        [
            "socks",
            `import { connect } from "mailbearer"; connect({ ...${AT}, protocol: "imap", proxy: "socks5://localhost" })${TOLD}`,
        ],
        [
            "socks",
            `import { Account } from "mailbearer"; (async () => new Account({ user: "joe@gmail.com", token: "abc", proxy: "socks5://localhost" }))()${TOLD}`,
        ],
    ] as const) {
        it(`is named, with the line that installs it: ${library}, by ${/(connect|sessions|transport|Account)/.exec(program)?.[0]}`, () => {
            const text = said(program);
            assert.match(
                text,
                new RegExp(
                    `^ConfigError config_error ${library} is not installed: npm install ${library} MODULE_NOT_FOUND`,
                ),
            );
        });
    }

    it("is not asked for by who does not use it", () => {
        const program = `
            import { sessions } from "mailbearer"; import * as one from "mailbearer/imapflow"; import * as two from "mailbearer/nodemailer";
            sessions({ protocol: "imap", ...${AT}, proxy: "http://localhost" });
            two.login(${AT});
            console.log("all is well");`;
        assert.equal(said(program), "all is well\n");
    });

    it("of a token source is named at once", () => {
        for (const [library, options] of [
            ["@azure/msal-node", `{ provider: "microsoft", tenant: "t", clientId: "c", clientSecret: "s" }`],
            ["google-auth-library", `{ provider: "gmail", keyFile: "k", subject: "joe@example.com" }`],
        ] as const) {
            const program = `
                import { clientCredentials, connect } from "mailbearer";
                (async () => connect({ ...${AT}, protocol: "imap", token: clientCredentials(${options}) }))()${TOLD}`;
            assert.match(
                said(program),
                new RegExp(`^ConfigError .*${library} is not installed: npm install ${library}`),
            );
        }
    });
});

describe("the addon", () => {
    it("that is missing is named, with the line that installs it", () => {
        const bare = mkdtempSync(join(tmpdir(), "mb-bare-"));
        try {
            const folder = join(bare, "node_modules/mailbearer");
            cpSync(join(APP, "node_modules/mailbearer"), folder, { recursive: true });
            for (const addon of readdirSync(join(folder, "native")).filter((name) => name.endsWith(".node"))) {
                rmSync(join(folder, "native", addon));
            }
            for (const [type, program] of [
                ["module", `import("mailbearer")`],
                ["module", `import("mailbearer/testing")`],
                ["commonjs", `(async () => require("mailbearer/nodemailer"))()`],
            ] as const) {
                const words = [`--input-type=${type}`, "-e", `${program}${TOLD}`];
                const { stdout } = spawnSync(process.execPath, words, { cwd: bare, encoding: "utf8" });
                assert.match(
                    stdout,
                    /^Error ERR_MAILBEARER_ADDON mailbearer's addon for \S+ is not installed: npm install @mailbearer\/native-[a-z0-9-]+@\d/,
                );
            }
        } finally {
            rmSync(bare, { recursive: true });
        }
    });
});
