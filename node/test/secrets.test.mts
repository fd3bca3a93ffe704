/** Tokens that a server sends back, in plain or in base64, whole or in pieces: nobody is shown one. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import * as tls from "node:tls";
import { inspect } from "node:util";
import nodemailer from "nodemailer";
import {
    Account,
    connect,
    ConfigError,
    discover,
    explain,
    LoginFailed,
    MailbearerError,
    type MailProtocol,
    NeedsUser,
    Session,
    sessions,
    stored,
    TokenSourceFailed,
    Transcript,
} from "mailbearer";
import { login } from "mailbearer/nodemailer";
import { certificate } from "./certificates.mjs";
import { rejection } from "./waiting.mjs";

const USER = "joe@gmail.com";
const TOKEN = "ya29.a0AfH6SMBx-Zq7_kP3w~Q9+RtLmN/uVbC2dXyZ0123456789";
const PROTOCOLS: readonly MailProtocol[] = ["imap", "pop3", "smtp"];
const PIECE = 7;
const PIECES_MS = 2;

/** Every run of eight characters of the token, and of its base64 behind any number of octets. */
const FRAGMENTS = [TOKEN, ...[0, 1, 2].map((before) => inBase64(TOKEN, before))].flatMap((secret) =>
    Array.from({ length: secret.length - 7 }, (_, at) => secret.slice(at, at + 8)),
);

function inBase64(text: string, before: number): string {
    const encoded = Buffer.from(" ".repeat(before) + text)
        .toString("base64")
        .replace(/=+$/, "");
    // The first characters and the last hold bits of others too.
    return encoded.slice(Math.ceil((before * 4) / 3), -1);
}

function assertHidden(text: string, what: string): void {
    const shown = FRAGMENTS.filter((fragment) => text.includes(fragment));
    assert.deepEqual(shown, [], `${what}: ${text}`);
}

/** A server that refuses each login with what it was sent, in pieces; its greeting offers all. */
class Echo {
    readonly #identity = certificate();
    readonly #servers: tls.Server[] = [];
    readonly #ports = new Map<MailProtocol, number>();

    async start(): Promise<void> {
        for (const protocol of PROTOCOLS) {
            const server = tls.createServer({ ...this.#identity, noDelay: true }, (socket) => serve(socket, protocol));
            await once(server.listen(0, "127.0.0.1"), "listening");
            this.#servers.push(server);
            this.#ports.set(protocol, (server.address() as AddressInfo).port);
        }
    }

    at(protocol: MailProtocol) {
        return { host: "127.0.0.1", port: this.#ports.get(protocol) ?? 0, tlsOptions: { ca: this.#identity.ca } };
    }

    stop(): void {
        this.#servers.forEach((server) => server.close());
    }
}

function serve(socket: tls.TLSSocket, protocol: MailProtocol): void {
    let answered: Promise<unknown> = Promise.resolve();
    const say = (text: string) => {
        answered = answered.then(async () => {
            for (let at = 0; at < text.length; at += PIECE) {
                socket.write(text.slice(at, at + PIECE));
                await sleep(PIECES_MS);
            }
        });
    };
    socket.on("error", () => undefined);
    let pending = "";
    socket.on("data", (data) => {
        const lines = (pending + data.toString()).split("\r\n");
        pending = lines.pop() ?? "";
        lines.forEach((line) => say(answer(protocol, line)));
    });
    say(GREETINGS[protocol]);
}

const GREETINGS = {
    imap: "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hello\r\n",
    pop3: "+OK hello\r\n",
    smtp: "220 hello\r\n",
};

function answer(protocol: MailProtocol, line: string): string {
    const decoded = Buffer.from(line.split(" ").at(-1) ?? "", "base64").toString();
    const echo = `${line} ${decoded.replaceAll("\x01", " ")} ${TOKEN}`;
    switch (protocol) {
        case "imap":
            return /AUTH/.test(line)
                ? `* NO ${echo}\r\n${line.split(" ")[0]} NO [AUTHENTICATIONFAILED] ${echo}\r\n`
                : `${line.split(" ")[0]} OK done\r\n`;
        case "pop3":
            return /^CAPA/.test(line)
                ? "+OK\r\nSASL XOAUTH2\r\n.\r\n"
                : /^AUTH \S+$/.test(line)
                  ? "+ \r\n"
                  : `-ERR [AUTH] ${echo}\r\n`;
        case "smtp":
            return /^(EHLO|HELO)/.test(line)
                ? "250-hello\r\n250 AUTH XOAUTH2\r\n"
                : `535-5.7.8 ${echo}\r\n535 5.7.8 ${echo}\r\n`;
    }
}

describe("a server that sends the token back, in pieces of seven octets,", () => {
    const echo = new Echo();
    before(() => echo.start());
    after(() => echo.stop());

    for (const protocol of PROTOCOLS) {
        it(`does not show it in a trace, whose lines are whole (${protocol})`, async () => {
            const lines: string[] = [];
            const trace = (side: string, line: string) => void lines.push(`${side}: ${line}`);
            const options = { protocol, user: USER, token: TOKEN, ...echo.at(protocol), trace } as const;
            await rejection(LoginFailed, connect(options));
            const all = lines.join("\n");
            assertHidden(all, "trace");
            assert.match(all, /^S: .*hello/m);
            assert.match(all, /^C: .*<token, \d+ octets>$/m);
            assert.match(all, /^S: .*(NO|-ERR|535).*<token>/m);
        });

        it(`does not show it in errors, their properties and causes (${protocol})`, async () => {
            const options = { protocol, user: USER, token: TOKEN, ...echo.at(protocol) } as const;
            const made = sessions(options);
            const errors: MailbearerError[] = [
                await rejection(LoginFailed, connect(options)),
                await rejection(LoginFailed, connect({ ...options, token: () => TOKEN })),
                await rejection(NeedsUser, made.next()),
            ];
            await made.close();
            for (const error of errors) {
                assertHidden(everything(error), error.name);
            }
        });
    }

    it("does not show it in the errors that Nodemailer makes of ours", async () => {
        for (const token of [TOKEN, () => TOKEN]) {
            const transporter = nodemailer.createTransport(login({ user: USER, token, ...echo.at("smtp") }));
            for (const work of [transporter.verify(), transporter.sendMail({ from: USER, to: USER, text: "x" })]) {
                const error = await rejection(LoginFailed, work);
                const { response, responseCode, command } = error as unknown as Record<string, unknown>;
                assert.match(String(response), /^535-5\.7\.8 AUTH XOAUTH2 .*<token>/);
                assert.deepEqual([responseCode, command], [535, "AUTH MAILBEARER"]);
                assert.equal(error.message, error.failure.sentence);
                assertHidden(everything(error), "Nodemailer");
            }
        }
    });
});

/** All that a program may log of an error. */
function everything(error: Error): string {
    const chain: unknown[] = [];
    for (let one: unknown = error; one instanceof Error; one = one.cause) {
        chain.push(
            String(one),
            one.stack,
            JSON.stringify(one),
            JSON.stringify({ ...one }),
            inspect(one, { depth: 9, showHidden: true }),
        );
    }
    return chain.join("\n");
}

describe("a token source that throws", () => {
    for (const [said, shown] of [
        ['{"client_secret": "hunter2"}', '{"client_secret": "<secret>"}'],
        ["ya29.a0AfH6SMBx3dEfGhIjKlMn is not good", "<secret> is not good"],
        ["https://a.test/back?code=Zq7&x=1", "https://a.test/back?code=<secret>&x=1"],
        [
            "POST https://oauth2.googleapis.com/token: 400 (AADSTS700082)",
            "POST https://oauth2.googleapis.com/token: 400 (AADSTS700082)",
        ],
        ["half \ud83d of a pair", "half \ufffd of a pair"],
    ] as const) {
        it(`says ${shown}`, async () => {
            const token = () => Promise.reject(new Error(said));
            const options = { protocol: "imap", user: USER, host: "127.0.0.1" } as const;
            const error = await rejection(TokenSourceFailed, connect({ ...options, token }));
            assert.ok(error.message.endsWith(`: ${shown}`), error.message);
        });
    }

    it("is shown without its secrets by console.log, and is whole in cause", async () => {
        const thrown = Object.assign(new Error(`refused: Bearer ${TOKEN}`), { config: { headers: { token: TOKEN } } });
        const options = { protocol: "imap", user: USER, host: "127.0.0.1" } as const;
        const token = () => Promise.reject(thrown);
        const error = await rejection(TokenSourceFailed, connect({ ...options, token }));
        assert.equal(error.cause, thrown);
        const shown = `${inspect(error, { depth: 9 })} ${JSON.stringify(error)} ${error.stack}`;
        assertHidden(shown, "TokenSourceFailed");
        assert.match(shown, /\[cause\]: Error: refused: Bearer <secret>\n +at /);
        const failing = () => Promise.reject(new TokenSourceFailed("enough", { permanent: true, cause: thrown }));
        const made = sessions({ ...options, token: failing });
        assertHidden(inspect(await rejection(NeedsUser, made.next()), { depth: 9 }), "NeedsUser");
        await made.close();
    });
});

describe("a session whose host logs in by itself", () => {
    it("masks the token in what the host's library says", () => {
        const settings = { protocol: "imap", user: USER, host: "127.0.0.1" } as const;
        const session = new Session(settings, { seed: 1n, policy: { login: "host" } });
        const [fetch] = session.start(0).actions;
        assert.ok(fetch?.kind === "fetch_token");
        session.token(0, fetch.request, TOKEN);
        const base64 = Buffer.from(`user=${USER}\x01auth=Bearer ${TOKEN}\x01\x01`).toString("base64");
        assertHidden(session.redact(`NO unknown: AUTHENTICATE XOAUTH2 ${base64} ${TOKEN}`), "redact");
        assert.equal(session.redact("NO as you were"), "NO as you were");
        assert.throws(() => session.redact(5 as never), ConfigError);
    });
});

describe("a transcript", () => {
    it("gives whole lines, and takes octets only", () => {
        const transcript = new Transcript(TOKEN);
        assert.deepEqual(transcript.received(Buffer.from(`A1 NO ${TOKEN.slice(0, 9)}`)), []);
        assert.deepEqual(transcript.received(Buffer.from(`${TOKEN.slice(9)}!\r\n* half`)), [
            { side: "S", text: "A1 NO <token>!" },
        ]);
        assert.deepEqual(transcript.sent(Buffer.from("A2 AUTHENTICATE XOAUTH2 c2VjcmV0\r\n"), true), [
            { side: "C", text: "A2 AUTHENTICATE XOAUTH2 <token, 8 octets>" },
        ]);
        assert.deepEqual(transcript.flush(), [{ side: "S", text: "* half" }]);
        assert.throws(() => transcript.received("text" as never), ConfigError);
        assert.throws(() => new Transcript("two words"), ConfigError);
        assertHidden(inspect(transcript, { depth: 9, showHidden: true }), "Transcript");
    });
});

describe("a token in the place of a name", () => {
    const own = { protocol: "imap", user: USER, token: "short" } as const;
    const doors: Record<string, () => unknown> = {
        "connect, user": () => connect({ protocol: "imap", user: TOKEN } as never),
        "connect, user and token swapped": () => connect({ ...own, user: TOKEN, token: USER }),
        "connect, host": () => connect({ ...own, host: TOKEN }),
        "connect, provider": () => connect({ ...own, provider: TOKEN as never }),
        "connect, protocol": () => connect({ ...own, protocol: TOKEN as never }),
        "connect, ehloName": () => connect({ ...own, ehloName: TOKEN }),
        "connect, the name of an option": () => connect({ ...own, [TOKEN]: 1 } as never),
        "connect, in place of options": () => connect(TOKEN as never),
        sessions: () => sessions({ protocol: "imap", user: TOKEN } as never),
        Account: () => new Account({ user: TOKEN } as never),
        stored: () => stored(TOKEN),
        "discover, user": () => discover(TOKEN),
        "explain, user": () => explain("A1 NO no", { protocol: "imap", user: TOKEN }),
        login: () => login({ user: TOKEN } as never),
    };
    for (const [name, enter] of Object.entries(doors)) {
        it(`is refused and not shown: ${name}`, async () => {
            const error = await rejection(ConfigError, Promise.resolve().then(enter));
            assertHidden(
                [String(error), error.stack, JSON.stringify(error), inspect(error, { depth: 9 })].join("\n"),
                name,
            );
        });
    }

    it("is not taken for one that is a name", () => {
        for (const user of [
            USER,
            "joe",
            "eyJ@example.org",
            "550e8400-e29b-41d4-a716-446655440000",
            "svc-mail-archive-2026-production-eu",
        ]) {
            assert.doesNotThrow(() => new Account({ user, token: "short" }), user);
        }
    });
});
