/** Who looks on: loggers, traces, channels, events with a time. None of them is ever told a token. */
import assert from "node:assert/strict";
import { Console } from "node:console";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { Writable } from "node:stream";
import { afterEach, beforeEach, describe, it } from "node:test";
import { inspect } from "node:util";
import { createTransport } from "nodemailer";
import { pino } from "pino";
import {
    Account,
    CHANNELS,
    ConfigError,
    connect,
    type DialogueLine,
    LoginFailed,
    NeedsUser,
    type SessionEvent,
    sessions,
    type WatchOptions,
} from "mailbearer";
import * as imapflow from "mailbearer/imapflow";
import { login, transport } from "mailbearer/nodemailer";
import { Server } from "mailbearer/testing";
import { rejection, until } from "./waiting.mjs";

const USER = "joe@gmail.com";

let server: Server;
let token: string;
beforeEach(async () => {
    server = await Server.start();
    token = server.issueToken(USER);
});
afterEach(() => server.stop());

/** What is written, as text. */
function sink(): { stream: Writable; text: () => string } {
    const chunks: string[] = [];
    const stream = new Writable({ write: (chunk, _, done) => void (chunks.push(String(chunk)), done()) });
    return { stream, text: () => chunks.join("") };
}

/** Every way in that has events, used and ended. */
const DOORS: Record<string, (watch: WatchOptions) => Promise<unknown>> = {
    sessions: async (watch) => used(sessions({ protocol: "imap", user: USER, token, ...server.at("imap"), ...watch })),
    "an account": async (watch) => {
        const account = new Account({ user: USER, token, provider: "gmail", ...watch });
        await used(account.sessions({ protocol: "pop3", ...server.at("pop3") }));
        await account.close();
    },
    "a session of an account": async (watch) => {
        const account = new Account({ user: USER, token, provider: "gmail" });
        await used(account.sessions({ protocol: "pop3", ...server.at("pop3"), ...watch }));
        await account.close();
    },
    "imapflow.sessions": async (watch) =>
        used(imapflow.sessions({ user: USER, token, ...server.at("imap"), ...watch })),
    transport: async (watch) => {
        const one = transport({ user: USER, token, ...server.at("smtp"), ...watch });
        await one.verify();
        one.close();
        await until("it is closed", () => server.sessions === 0);
    },
};

async function used(made: AsyncIterableIterator<{ letGo(): Promise<void> }>): Promise<void> {
    const { value } = await made.next();
    await value.letGo();
    await made.return?.();
}

/** Neither as it stands nor in base64. */
function holdsNoToken(text: string): void {
    assert.ok(!text.includes(token));
    assert.ok(!text.includes(Buffer.from(token).toString("base64").slice(2, 20)));
}

describe("a logger", () => {
    for (const [door, open] of Object.entries(DOORS)) {
        it(`of pino's hears of each event and of the dialogue, from ${door}`, async () => {
            const { stream, text } = sink();
            await open({ logger: pino({ level: "debug" }, stream) });
            const lines = text()
                .trim()
                .split("\n")
                .map((line) => JSON.parse(line) as Record<string, unknown>);
            const online = lines.find(({ event }) => event === "online");
            assert.deepEqual([online?.["level"], online?.["user"]], [30, USER]);
            assert.match(String(online?.["msg"]), /^joe@gmail\.com (imap|pop3|smtp) 1 is online, connection 1$/);
            assert.ok(
                lines.some(({ level, side, line }) => level === 20 && side === "C" && /<token/.test(String(line))),
            );
            holdsNoToken(text());
        });

        it(`that is the console is told in lines, from ${door}`, async () => {
            const { stream, text } = sink();
            await open({ logger: new Console(stream) });
            assert.match(text(), /is online, connection 1\n/);
            assert.ok(!text().includes("{"), text());
            holdsNoToken(text());
        });
    }

    it("hears nothing of dialogues where it does not read them", async () => {
        const { stream, text } = sink();
        await DOORS["sessions"]?.({ logger: pino({ level: "info" }, stream) });
        assert.match(text(), /is online/);
        assert.ok(!text().includes("AUTHENTICATE"));
    });

    it("hears of what failed, with the source's own error, and without what is secret in it", async () => {
        const { stream, text } = sink();
        const own = Object.assign(new Error("refresh_token=1//0abcdefGHIJKL was refused: invalid_grant"), {
            code: "EWHATEVER",
            error: "invalid_grant",
            config: { data: "refresh_token=1//0abcdefGHIJKL", headers: { authorization: `Bearer ${token}` } },
        });
        const source = () => Promise.reject(own);
        const options = { protocol: "imap", user: USER, token: source, ...server.at("imap") } as const;
        const made = sessions({ ...options, logger: pino(stream) });
        await rejection(NeedsUser, made.next());
        const failed = text()
            .trim()
            .split("\n")
            .map((line) => JSON.parse(line) as Record<string, never>)
            .find(({ event }) => event === "token_failed") as Record<string, unknown>;
        assert.equal(failed["level"], 40);
        const { type, code, message, stack } = failed["err"] as Record<string, string>;
        assert.deepEqual([type, code], ["Error", "EWHATEVER"]);
        assert.match(message as string, /invalid_grant/);
        assert.match(stack as string, /watching\.test/);
        assert.ok(!/0abcdefGHIJKL|Bearer/.test(text()), text());
        holdsNoToken(text());
    });

    it("of a login alone hears of it, of the dialogue, and of one that failed", async () => {
        const { stream, text } = sink();
        const logger = pino({ level: "debug" }, stream);
        const options = { protocol: "imap", user: USER, ...server.at("imap"), logger } as const;
        await (await connect({ ...options, token })).close();
        assert.match(
            text(),
            /joe@gmail\.com imap: logged in to localhost:\d+ \(TLS\) with \w+, in 1 round trip and \d+ ms"/,
        );
        await rejection(LoginFailed, connect({ ...options, token: "an-expired-token" }));
        assert.match(text(), /"level":40.*"cause":"token_rejected".*could not log in to localhost/);
        const client = await imapflow.connect({ user: USER, token, ...server.at("imap"), logger });
        await client.logout();
        holdsNoToken(text());
        assert.ok(!text().includes("an-expired-token"));
    });

    it("must be one, and ends nothing by what it throws", async () => {
        for (const logger of [{}, null, { info() {} }, 7]) {
            const options = { protocol: "imap", user: USER, token, logger: logger as never } as const;
            assert.throws(() => sessions(options), ConfigError);
            assert.throws(() => new Account({ user: USER, token, logger: logger as never }), ConfigError);
            await rejection(ConfigError, connect(options));
        }
        assert.throws(() => sessions({ protocol: "imap", user: USER, token, trace: 7 as never }), ConfigError);
        const warned = once(process, "warning");
        const thrown = (): never => assert.fail("on purpose");
        const logger = { debug: thrown, info: thrown, warn: thrown };
        await DOORS["sessions"]?.({ logger, trace: thrown, onEvent: thrown });
        assert.match(String(((await warned) as [Error])[0]), /threw AssertionError/);
    });
});

describe("a trace", () => {
    for (const [door, open] of Object.entries(DOORS)) {
        it(`shows the login, and whose it is, from ${door}`, async () => {
            const lines: string[] = [];
            const whose = new Set<string>();
            await open({
                trace: (side, line, { user, protocol, host, session, ticket }) => {
                    lines.push(`${side}: ${line}`);
                    whose.add([user, protocol, host, session, ticket].join(" "));
                },
            });
            assert.match(lines[0] as string, /^S: /);
            assert.ok(
                lines.some((line) => line.startsWith("C: ") && line.includes("<token")),
                lines.join("\n"),
            );
            assert.match([...whose].join(), /^joe@gmail\.com (imap|pop3|smtp) localhost 1 1$/);
            holdsNoToken(lines.join());
        });
    }

    it("masks a token that came after the connection was opened, and one that the server repeats", async () => {
        const lines: string[] = [];
        const source = () => token;
        const options = { protocol: "imap", user: USER, token: source, ...server.at("imap") } as const;
        const made = sessions({ ...options, trace: (side, line) => lines.push(`${side}: ${line}`) });
        token = server.issueToken(USER, { lifetime: 0 });
        await rejection(NeedsUser, made.next());
        assert.ok(
            lines.some((line) => /^S: .*NO/.test(line)),
            lines.join("\n"),
        );
        holdsNoToken(lines.join());
    });
});

describe("the channels of diagnostics_channel", () => {
    it("have each event, and each line of a login", async () => {
        const events: SessionEvent[] = [];
        const lines: DialogueLine[] = [];
        const hear = (one: unknown): void => void events.push(one as SessionEvent);
        const read = (one: unknown): void => void lines.push(one as DialogueLine);
        subscribe(CHANNELS.event, hear);
        subscribe(CHANNELS.dialogue, read);
        try {
            await DOORS["sessions"]?.({});
            await (await connect({ protocol: "smtp", user: USER, token, ...server.at("smtp") })).close();
        } finally {
            unsubscribe(CHANNELS.event, hear);
            unsubscribe(CHANNELS.dialogue, read);
        }
        assert.deepEqual([CHANNELS.event, CHANNELS.dialogue], ["mailbearer:event", "mailbearer:dialogue"]);
        assert.deepEqual(
            events.map(({ kind }) => kind),
            ["fetching_token", "connecting", "online", "ended"],
        );
        assert.deepEqual([...new Set(lines.map(({ protocol }) => protocol))], ["imap", "smtp"]);
        holdsNoToken(inspect([events, lines], { depth: 9 }));
        const before = events.length + lines.length;
        await DOORS["sessions"]?.({});
        assert.equal(events.length + lines.length, before);
    });
});

describe("an event", () => {
    it("has a time, and is a line for a log", async () => {
        const events: SessionEvent[] = [];
        const begun = Date.now();
        await DOORS["sessions"]?.({ onEvent: (event) => events.push(event) });
        const online = events.find(({ kind }) => kind === "online") as SessionEvent;
        assert.ok(online.time instanceof Date);
        assert.ok(online.time.getTime() >= begun && online.time.getTime() <= Date.now());
        assert.equal(online.message, `${USER} imap 1 is online, connection 1`);
        assert.equal(`${online}`, `${online.time.toISOString()} ${online.message}`);
        const { kind, user, protocol, generation } = JSON.parse(JSON.stringify(online)) as SessionEvent;
        assert.deepEqual([kind, user, protocol, generation], ["online", USER, "imap", 1]);
    });
});

describe("Nodemailer's own connections with our login", () => {
    it("tell a logger and a trace of each login, and no token", async () => {
        const { stream, text } = sink();
        const lines: string[] = [];
        const expired = server.issueToken(USER, { lifetime: 0 });
        const source = ({ forceRefresh }: { forceRefresh: boolean }) => (forceRefresh ? token : expired);
        const watch = {
            logger: pino({ level: "debug" }, stream),
            trace: (side: string, line: string) => void lines.push(`${side}: ${line}`),
        };
        const outgoing = createTransport(login({ user: USER, token: source, ...server.at("smtp"), ...watch }) as never);
        await outgoing.verify();
        outgoing.close();
        assert.match(text(), /joe@gmail\.com smtp: logged in to localhost:\d+ \(TLS\) with XOAUTH2"/);
        assert.ok(
            lines.some((line) => /^C: AUTH XOAUTH2 <token/.test(line)),
            lines.join("\n"),
        );
        assert.ok(lines.some((line) => /^S: 235/.test(line)));
        const refused = createTransport(login({ user: USER, token: expired, ...server.at("smtp"), ...watch }) as never);
        await assert.rejects(refused.verify());
        assert.match(text(), /"level":40[^\n]*could not log in/);
        for (const said of [text(), lines.join("\n")]) {
            holdsNoToken(said);
            assert.ok(!said.includes(expired));
        }
    });
});

describe("an event", () => {
    it("is a sentence where it is printed or logged, and holds nothing of what was thrown but its words", async () => {
        const events: SessionEvent[] = [];
        const own = Object.assign(new Error("the cache is down"), { config: { headers: { authorization: token } } });
        const source = () => Promise.reject(own);
        const policy = { first: 1, tokenTimeout: 1_000 };
        const made = sessions({
            protocol: "imap",
            user: USER,
            token: source,
            ...server.at("imap"),
            policy,
            onEvent: (event) => void events.push(event),
        });
        await assert.rejects(made.next());
        const failed = events.find(({ kind }) => kind === "token_failed");
        assert.equal(failed?.error, own);
        assert.match(inspect(failed), /^\d{4}-\S+Z joe@gmail\.com \S* ?\S* ?has no token/);
        assert.equal(inspect(failed), String(failed));
        const written = JSON.parse(JSON.stringify(failed)) as Record<string, unknown>;
        assert.deepEqual(
            [written["kind"], written["message"], written["error"]],
            ["token_failed", failed?.message, "Error: the cache is down"],
        );
        holdsNoToken(inspect(events, { depth: 9 }) + JSON.stringify(events));
    });
});
