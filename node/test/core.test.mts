/** The machines and pure functions: what they take, what they refuse, and that nothing ends the process. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Worker } from "node:worker_threads";
import { inspect } from "node:util";
import {
    AccessToken,
    acknowledgement,
    ADVICES,
    CAUSES,
    CERTAINTIES,
    classify,
    ConfigError,
    connect,
    initialResponse,
    LoginFailed,
    MailbearerError,
    Misuse,
    Negotiation,
    Provider,
    readRejection,
    Session,
    sessions,
    version,
    Watch,
} from "mailbearer";
import { copyFileSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Server } from "mailbearer/testing";
import { APP, ROOT } from "./places.mjs";

const TOKEN = "ya29.SecretSecretSecretSecretSecret";
const SETTINGS = { protocol: "imap", user: "joe@gmail.com", host: "imap.gmail.com" } as const;
// What no program in TypeScript would write, and one in JavaScript may.
const wrong = (value: unknown) => value as never;

function loggedIn(): Negotiation {
    const negotiation = new Negotiation(
        { ...SETTINGS, assumedCapabilities: ["IMAP4rev1", "SASL-IR", "AUTH=XOAUTH2"] },
        TOKEN,
    );
    negotiation.receive(Buffer.from("* OK hello\r\n"));
    const step = negotiation.receive(Buffer.from("A0001 OK done\r\n"));
    assert.equal(step.next, "done");
    return negotiation;
}

describe("pure functions", () => {
    it("make the SASL messages", () => {
        const message = initialResponse("XOAUTH2", { user: "joe@gmail.com" }, "abc");
        assert.equal(message.toString(), "user=joe@gmail.com\x01auth=Bearer abc\x01\x01");
        const bearer = initialResponse("OAUTHBEARER", { user: "a,b@x", host: "h.test", port: 993 }, "abc");
        assert.equal(bearer.toString(), "n,a=a=2Cb@x,\x01host=h.test\x01port=993\x01auth=Bearer abc\x01\x01");
        assert.equal(acknowledgement("OAUTHBEARER").toString(), "\x01");
        assert.equal(acknowledgement("XOAUTH2").length, 0);
    });

    it("read rejections and classify replies", () => {
        const challenge = Buffer.from(
            '{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}',
        ).toString("base64");
        assert.deepEqual(readRejection(challenge), {
            status: "400",
            schemes: "Bearer",
            scope: "https://mail.google.com/",
        });
        const verdict = classify("imap", "mid_session", ["* BYE Session invalidated - AccessTokenExpired"]);
        assert.equal(verdict.cause, "token_expired");
        assert.equal(verdict.advice, "refresh_token");
    });

    it("know providers", () => {
        assert.ok(Provider.names.includes("gmail"));
        const gmail = Provider.ofAddress("joe@gmail.com");
        assert.equal(gmail?.name, "gmail");
        assert.equal(gmail?.services.find((one) => one.protocol === "smtp")?.port, 465);
        assert.equal(Provider.ofAddress("joe@example.org"), undefined);
        assert.throws(() => Provider.named("nobody"), ConfigError);
    });

    it("have the names of the core, and no others", () => {
        const native = createRequire(import.meta.url)("../node_modules/mailbearer/native/binding.js") as {
            spellings(): { causes: string[]; advices: string[]; certainties: string[]; version: string };
        };
        assert.deepEqual(native.spellings(), {
            causes: [...CAUSES],
            advices: [...ADVICES],
            certainties: [...CERTAINTIES],
            version,
        });
    });
});

describe("a wrong value", () => {
    const bad: Record<string, () => unknown> = {
        "a number as token": () => new AccessToken(wrong(5)),
        "an object as token": () => new Negotiation(SETTINGS, wrong({ access_token: TOKEN })),
        "two words as token": () => new AccessToken(`${TOKEN} x`),
        "a lone surrogate": () => new Negotiation({ ...SETTINGS, user: "\ud800" }, TOKEN),
        "no settings": () => new Negotiation(wrong(undefined), TOKEN),
        "a port as text": () => new Negotiation({ ...SETTINGS, port: wrong("993") }, TOKEN),
        "a port that is none": () => new Negotiation({ ...SETTINGS, port: 65_536 }, TOKEN),
        "a port that is half": () => new Negotiation({ ...SETTINGS, port: 1.5 }, TOKEN),
        "an unknown protocol": () => new Watch(wrong("nntp")),
        "an unknown setting": () => new Negotiation(wrong({ ...SETTINGS, prot: 1 }), TOKEN),
        "no mechanism": () => new Negotiation({ ...SETTINGS, mechanisms: [] }, TOKEN),
        "text as octets": () => new Negotiation(SETTINGS, TOKEN).receive(wrong("* OK\r\n")),
        "null as octets": () => new Watch("imap").received(wrong(null)),
        "text as reply lines": () => classify("imap", "greeting", wrong("* OK")),
        "a phase that is none": () => classify("imap", wrong("lunch"), ["* OK"]),
        "a seed that is a number": () => new Session(SETTINGS, { seed: wrong(1) }),
        "a policy that cannot work": () =>
            new Session(SETTINGS, { seed: 1n, policy: { backoffBaseMs: 9, backoffMaxMs: 1 } }),
        "a snapshot that is none": () => new Session(SETTINGS, { seed: 1n, snapshot: Buffer.from("x") }),
        "a time that is none": () => new Session(SETTINGS, { seed: 1n }).start(Number.NaN),
        "a time before zero": () => new Session(SETTINGS, { seed: 1n }).start(-1),
        "a line end in the user": () => new Negotiation({ ...SETTINGS, user: "joe\r\nx" }, TOKEN),
    };
    for (const [what, call] of Object.entries(bad)) {
        it(`is refused: ${what}`, () => {
            assert.throws(call, (error) => {
                assert.ok(error instanceof ConfigError, `${String(error)} is no ConfigError`);
                assert.equal(error.code, "config_error");
                assert.ok(!error.message.includes(TOKEN.slice(0, 12)), error.message);
                return true;
            });
        });
    }

    it("is refused at once by connect and sessions", async () => {
        const options = { protocol: "imap", user: "joe@gmail.com", token: TOKEN } as const;
        const bad = [
            { ...options, timeout: 0 },
            { ...options, timeout: 2 ** 31 },
            { ...options, tls: wrong("none") },
            { ...options, user: "joe@example.org", discover: false },
            { ...options, tlsOptions: wrong({ rejectUnauthorized: false }) },
            { ...options, tlsOptions: wrong({ checkServerIdentity: () => undefined }) },
            { ...options, tlsOptions: { cert: "no PEM", key: "no PEM" } },
            { ...options, tlsOptions: { minVersion: wrong("TLSv9") } },
            { ...options, tlsOptions: { ciphers: "NONE" } },
            { ...options, token: wrong(5) },
            wrong({ ...options, rejectUnauthorized: false }),
        ];
        for (const one of bad) {
            await assert.rejects(connect(one), ConfigError);
            assert.throws(() => sessions(one), ConfigError);
        }
        assert.throws(() => sessions({ ...options, policy: { lead: -1 } }), ConfigError);
        assert.throws(() => sessions({ ...options, policy: wrong({ leed: 1 }) }), ConfigError);
        await assert.rejects(Server.start(wrong({ flavour: "vanilla" })), ConfigError);
    });
});

describe("a call that does not fit", () => {
    it("is a Misuse, and the machine goes on to say so", () => {
        const negotiation = loggedIn();
        for (const call of [() => negotiation.receive(Buffer.from("x")), () => negotiation.tlsEstablished()]) {
            assert.throws(
                call,
                (error) => error instanceof Misuse && error instanceof MailbearerError && error.code === "misuse",
            );
        }
        assert.throws(() => new Negotiation(SETTINGS, TOKEN).tlsEstablished(), Misuse);
    });

    it("on a method without its object is an error", () => {
        const receive = Negotiation.prototype.receive;
        assert.throws(() => receive.call({} as never, Buffer.from("x")), TypeError);
    });
});

describe("a panic of the core", () => {
    it("is an error, and the process and the object go on", async () => {
        // Built by `make test-node`, with entries that panic.
        const built = join(
            ROOT,
            "target/debug",
            `${process.platform === "darwin" ? "libmailbearer_node.dylib" : "libmailbearer_node.so"}`,
        );
        const addon = join(APP, "probe.node");
        copyFileSync(built, addon);
        const probe = createRequire(import.meta.url)(addon) as {
            panics(text: string): number;
            Fragile: new () => { panics(): void; works(): boolean };
        };
        assert.throws(() => probe.panics("as a bug would"), Error);
        const fragile = new probe.Fragile();
        assert.throws(() => fragile.panics(), Error);
        assert.equal(fragile.works(), true);
    });

    it("is caught by every entry", () => {
        const folder = join(ROOT, "bindings/node/src");
        let entries = 0;
        for (const file of readdirSync(folder)) {
            const source = readFileSync(join(folder, file), "utf8");
            for (const [, options] of source.matchAll(/#\[napi(.*)\]\s*(?:#\[.*\]\s*)*pub (?:async )?fn/g)) {
                entries += 1;
                assert.match(options ?? "", /catch_unwind/, `an entry in ${file} does not catch panics`);
            }
        }
        assert.ok(entries > 50, `only ${entries} entries were found`);
    });
});

describe("a token", () => {
    it("is never shown", () => {
        const token = new AccessToken(TOKEN);
        const negotiation = new Negotiation({ ...SETTINGS, assumedCapabilities: ["SASL-IR", "AUTH=XOAUTH2"] }, token);
        const step = negotiation.receive(Buffer.from("* OK hello\r\n"));
        assert.equal(step.sensitive, true);
        assert.match(step.send.toString(), /AUTHENTICATE XOAUTH2 /);
        const hex = Buffer.from(TOKEN).toString("hex").slice(0, 24);
        for (const shown of [
            String(token),
            inspect(token),
            JSON.stringify({ token }),
            inspect(step),
            JSON.stringify(step),
            inspect(negotiation),
        ]) {
            assert.ok(!shown.includes(TOKEN.slice(0, 12)), shown);
            assert.ok(!shown.replaceAll(" ", "").includes(hex), shown);
        }
        assert.ok(token.equals(new AccessToken(TOKEN)));
        assert.ok(!token.equals(new AccessToken("other")));
    });

    it("that a server sends back is masked in what is kept of its text", () => {
        const negotiation = new Negotiation({ ...SETTINGS, assumedCapabilities: ["SASL-IR", "AUTH=XOAUTH2"] }, TOKEN);
        negotiation.receive(Buffer.from("* OK hello\r\n"));
        const step = negotiation.receive(Buffer.from(`A0001 NO I do not like ${TOKEN}\r\n`));
        assert.equal(step.next, "failed");
        if (step.next === "failed") {
            const shown = `${inspect(new LoginFailed(step.failure), { depth: 9 })}`;
            assert.ok(!shown.includes(TOKEN.slice(0, 12)), shown);
        }
    });
});

describe("memory", () => {
    it("stays flat through 100,000 reads", () => {
        assert.ok(globalThis.gc, "run with --expose-gc");
        const watch = new Watch("imap");
        const session = new Session({ ...SETTINGS, assumedCapabilities: ["SASL-IR", "AUTH=XOAUTH2"] }, { seed: 1n });
        session.start(0);
        session.token(0, 1, TOKEN, 3_600_000);
        session.connected(0, 1);
        session.receive(0, 1, Buffer.from("* OK hello\r\n"));
        const plan = session.receive(0, 1, Buffer.from("A0001 OK done\r\n"));
        assert.equal(plan.actions[0]?.kind, "online");
        const line = Buffer.from(`* 1 FETCH (FLAGS (\\Seen) UID 5 X "${"y".repeat(2000)}")\r\n`);
        const turn = (count: number) => {
            for (let index = 0; index < count; index += 1) {
                watch.received(line);
                session.receive(0, 1, line);
                if (index % 100 === 0) {
                    new Negotiation(SETTINGS, TOKEN).receive(Buffer.from("* OK hello\r\n"));
                }
            }
            globalThis.gc?.();
        };
        turn(10_000);
        const before = process.memoryUsage.rss();
        turn(100_000);
        const grown = (process.memoryUsage.rss() - before) / 2 ** 20;
        assert.ok(grown < 24, `${grown.toFixed(1)} MiB more after 100,000 reads`);
    });
});

describe("worker threads", () => {
    it("load the module, work, and exit", async () => {
        const exits = [1, 2].map(
            () =>
                new Promise<number>((resolve, reject) => {
                    const worker = new Worker(new URL("./worker.mjs", import.meta.url));
                    worker.on("error", reject);
                    worker.on("exit", resolve);
                }),
        );
        assert.deepEqual(await Promise.all(exits), [0, 0]);
    });
});
