/** Every error that is public: each has what lies below it in `cause`, wherever something does, and nothing secret in it. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { inspect } from "node:util";
import nodemailer from "nodemailer";
import * as mailbearer from "mailbearer";
import * as imapflow from "mailbearer/imapflow";
import * as mailer from "mailbearer/nodemailer";
import * as testing from "mailbearer/testing";
import { enter, httpsOpener } from "./inside.mjs";

const { Account, command, connect, discover, sessions, tokenFile } = mailbearer;
const USER = "joe@gmail.com";
const SECRET = "1//0abcdefGHIJKLmnop";

let server: testing.Server;
let folder: string;
const closing: Array<() => unknown> = [];
before(async () => {
    server = await testing.Server.start();
    folder = mkdtempSync(join(tmpdir(), "mb-causes-"));
    process.env["MAILBEARER_HOME"] = folder;
});
afterEach(async () => {
    await Promise.all(closing.splice(0).map((close) => close()));
});
after(async () => {
    rmSync(folder, { recursive: true });
    await server.stop();
});

const at = (protocol: "imap" | "smtp") => ({ user: USER, token: server.issueToken(USER), ...server.at(protocol) });
const own = Object.assign(new Error("the vault is sealed"), { config: { secret: SECRET } });

/** A way to each error, and what lies below it; `undefined`: nothing does. */
const WAYS: Record<
    string,
    ReadonlyArray<readonly [string, () => unknown, ((cause: unknown) => boolean) | undefined]>
> = {
    ConfigError: [
        [
            "TLS that cannot be used",
            () => connect({ protocol: "imap", ...at("imap"), tlsOptions: { ca: "x", cert: "y" } }),
            isError(/./),
        ],
        [
            "a proxy's password",
            () => new Account({ user: USER, token: "abc", proxy: "http://u:%zz@h" }),
            isError(/malformed/),
        ],
        ["a damaged store", () => connect({ protocol: "imap", user: "damaged@gmail.com" }), isError(/no JSON/)],
        ["an option that is none", () => sessions({ protocol: "imap", user: USER, tokn: "abc" } as never), undefined],
    ],
    Misuse: [
        [
            "a source that is a mistake",
            () => sessions({ protocol: "imap", ...at("imap"), token: () => undefined as never }).next(),
            undefined,
        ],
        [
            "a source that throws of a mistake",
            () =>
                sessions({
                    protocol: "imap",
                    ...at("imap"),
                    token: () => (undefined as never as string[]).at(0) as string,
                }).next(),
            (cause) => cause instanceof TypeError,
        ],
        [
            "one login whose source is wrong",
            () =>
                connect({
                    protocol: "imap",
                    ...at("imap"),
                    token: () => (undefined as never as string[]).at(0) as string,
                }),
            (cause) => cause instanceof TypeError,
        ],
    ],
    InternalError: [
        [
            "what the addon says",
            () =>
                enter(() => {
                    throw Object.assign(new Error(`no ${SECRET}`), { code: "GenericFailure" });
                }),
            hasCode("GenericFailure"),
        ],
    ],
    TokenSourceFailed: [
        [
            "a function that throws",
            () => connect({ protocol: "imap", ...at("imap"), token: () => Promise.reject(own) }),
            (cause) => cause === own,
        ],
        [
            "a command that fails",
            () =>
                connect({
                    protocol: "imap",
                    ...at("imap"),
                    token: command(["sh", "-c", `echo ${SECRET}; echo no ${SECRET} >&2; exit 3`]),
                }),
            isError(/no /),
        ],
        [
            "a command that is not there",
            () => connect({ protocol: "imap", ...at("imap"), token: command("no-such-command") }),
            isError(/ENOENT/),
        ],
        [
            "a file that others may read",
            () => connect({ protocol: "imap", ...at("imap"), token: tokenFile(join(folder, "open")) }),
            isError(/open/),
        ],
    ],
    LoginFailed: [
        [
            "nobody listens",
            () => connect({ protocol: "imap", ...at("imap"), port: 9, tls: "implicit" }),
            hasCode("ECONNREFUSED"),
        ],
        [
            "no such host",
            () =>
                connect({
                    protocol: "imap",
                    ...at("imap"),
                    lookup: (_, __, call) => call(Object.assign(new Error("no"), { code: "ENOTFOUND" }), ""),
                }),
            hasCode("ENOTFOUND"),
        ],
        [
            "a certificate that is not trusted",
            () => connect({ protocol: "imap", ...at("imap"), tlsOptions: {} }),
            hasCode(/CERT|SELF_SIGNED|UNABLE/),
        ],
        [
            "a client of ImapFlow's",
            () => imapflow.connect({ ...at("imap"), port: 9, tls: "implicit" }),
            hasCode("ECONNREFUSED"),
        ],
        [
            "a socket of the program's own",
            () => connect({ protocol: "imap", ...at("imap"), socket: () => Promise.reject(own) }),
            (cause) => cause === own,
        ],
        [
            "Nodemailer's own connection",
            () => nodemailer.createTransport(mailer.login({ ...at("smtp"), port: 9, tls: "implicit" })).verify(),
            hasCode("ECONNREFUSED"),
        ],
        [
            "a token that the server refuses",
            () => connect({ protocol: "imap", ...at("imap"), token: "expired" }),
            undefined,
        ],
    ],
    NeedsUser: [
        [
            "a source that says so",
            () =>
                sessions({
                    protocol: "imap",
                    ...at("imap"),
                    token: () => Promise.reject(Object.assign(own, { error: "invalid_grant" })),
                }).next(),
            (cause) => cause === own,
        ],
    ],
    GaveUp: [
        [
            "a host that does not listen",
            () => sessions({ protocol: "imap", ...at("imap"), port: 9, tls: "implicit" }).next(),
            hasCode("ECONNREFUSED"),
        ],
        [
            "a proxy that is not there",
            () =>
                sessions({ protocol: "imap", ...at("imap"), proxy: "http://127.0.0.1:9", policy: { first: 1 } }).next(),
            (cause) => cause instanceof mailbearer.ProxyFailed,
        ],
    ],
    ProxyFailed: [
        [
            "nobody listens",
            () =>
                connect({ protocol: "imap", ...at("imap"), proxy: "socks5://127.0.0.1:9" }).catch((error: Error) => {
                    throw error.cause;
                }),
            hasCode("ECONNREFUSED"),
        ],
    ],
    MailboxRefused: [
        [
            "a mailbox that is not there",
            async () => {
                const made = sessions({ protocol: "imap", ...at("imap") });
                closing.push(() => made.close());
                const { value } = await made.next();
                await value?.newMessages("No such mailbox").next();
            },
            undefined,
        ],
    ],
    SessionEnded: [
        [
            "a connection that is reset",
            async () => {
                const made = sessions({ protocol: "imap", ...at("imap") });
                closing.push(() => made.close());
                const { value } = await made.next();
                assert.ok(value);
                const reading = new Promise((_, reject) => value.socket.on("error", reject));
                reading.catch(() => undefined);
                value.socket.destroy(Object.assign(new Error("reset"), { code: "ECONNRESET" }));
                await reading;
            },
            hasCode("ECONNRESET"),
        ],
    ],
    SendFailed: [
        [
            "a session that ended",
            async () => {
                const one = mailer.transport(at("smtp"));
                closing.push(() => one.close());
                server.setFault("after_dot", "drop");
                await nodemailer.createTransport(one).sendMail({ from: USER, to: USER, text: "..." });
            },
            (cause) => cause instanceof mailbearer.SessionEnded,
        ],
    ],
    LookupFailed: [
        [
            "an https server that is not there",
            async () => {
                let failed: unknown;
                const resolver: mailbearer.Resolver = { mx: async () => [], srv: async () => [] };
                const opener: mailbearer.Opener = (url, options) =>
                    httpsOpener()(url, options).catch((error: unknown) => {
                        failed = error;
                        throw error;
                    });
                await discover("joe@company.invalid", { resolver, opener });
                throw failed;
            },
            hasCode(/ENOTFOUND|EAI_AGAIN/),
        ],
    ],
};

function isError(words: RegExp): (cause: unknown) => boolean {
    return (cause) =>
        cause instanceof Error && words.test(`${cause.message} ${String((cause as NodeJS.ErrnoException).code)}`);
}

function hasCode(code: string | RegExp): (cause: unknown) => boolean {
    return (cause) => new RegExp(code).test(String((cause as NodeJS.ErrnoException | undefined)?.code));
}

/** Those that programs can name. */
const PUBLIC = [mailbearer, imapflow, mailer, testing]
    .flatMap((entry) => Object.entries(entry as Record<string, unknown>))
    .filter(([, value]) => typeof value === "function" && value.prototype instanceof Error)
    .map(([name]) => name);

describe("the errors that are public", () => {
    before(() => {
        writeFileSync(join(folder, "open"), "abc", { mode: 0o644 });
        mkdirSync(join(folder, "accounts"), { mode: 0o700 });
        writeFileSync(join(folder, "accounts/damaged@gmail.com.json"), `{"token": ${SECRET}`, { mode: 0o600 });
    });

    it("are all walked here", () => {
        assert.deepEqual(
            [...new Set(PUBLIC)].filter((name) => name !== "MailbearerError").sort(),
            Object.keys(WAYS).sort(),
        );
    });

    for (const [name, ways] of Object.entries(WAYS)) {
        for (const [what, way, below] of ways) {
            it(`${name}: ${what}`, async () => {
                let thrown: unknown;
                try {
                    await way();
                } catch (error) {
                    thrown = error;
                }
                assert.ok(thrown instanceof Error, `nothing was thrown: ${inspect(thrown)}`);
                assert.equal(thrown.name, name, inspect(thrown));
                assert.ok(below === undefined ? !("cause" in thrown) : below(thrown.cause), inspect(thrown));
                // What a program threw itself is handed on as it is.
                assert.ok(
                    thrown.cause === own || !inspect(thrown, { depth: 9, showHidden: true }).includes(SECRET),
                    inspect(thrown),
                );
            });
        }
    }

    it("take a cause, and have none where they are given none", () => {
        for (const kind of [
            mailbearer.ConfigError,
            mailbearer.Misuse,
            mailbearer.InternalError,
            mailbearer.TokenSourceFailed,
        ]) {
            assert.equal(new kind("words", { cause: own }).cause, own);
            assert.ok(!("cause" in new kind("words")));
        }
    });
});
