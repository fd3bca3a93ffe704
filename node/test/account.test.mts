/** Accounts: what their sessions share, what the program is told, and what the driver does, on made-up and on real sockets. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import * as tls from "node:tls";
import nodemailer from "nodemailer";
import {
    Account,
    type AccountOptions,
    ConfigError,
    type MailProtocol,
    Misuse,
    NeedsUser,
    type SessionConnection,
    SessionEnded,
    type SessionEvent,
    type Sessions,
    sessions,
    TokenSourceFailed,
} from "mailbearer";
import * as imapflow from "mailbearer/imapflow";
import { transport } from "mailbearer/nodemailer";
import { Server, type ServerOptions } from "mailbearer/testing";
import { accountCases } from "./account_cases.mjs";
import { certificate } from "./certificates.mjs";
import { DriverPlayer } from "./driver_cases.mjs";
import { ROOT } from "./places.mjs";
import { Counted, rejection, until } from "./waiting.mjs";

const USER = "joe@gmail.com";
const HOUR_MS = 3_600_000;
const QUICK = { backoffBase: 20, backoffMax: 100, loginInterval: 1 };

describe("the driver, on made-up sockets, does and shows what the case says:", () => {
    const cases = accountCases(join(ROOT, "tests", "cases", "account", "account.json"));
    assert.ok(cases.length > 50);
    for (const one of cases) {
        it(one.id, async () => assert.ok((await new DriverPlayer(one).play()) > 0));
    }
});

let server: Server;
let counted: Counted;
/** Tokens that the source was asked for. */
let asked: number;
const closing: Array<() => unknown> = [];

async function started(options: ServerOptions = {}): Promise<void> {
    const made = await Server.start(options);
    [server, counted, asked] = [made, new Counted(made), 0];
    closing.push(() => made.stop());
}

beforeEach(() => started());
afterEach(async () => {
    for (const close of closing.splice(0).reverse()) {
        await close();
    }
});

function source(): { token: string; expiresInMs: number } {
    asked += 1;
    return { token: server.issueToken(USER), expiresInMs: HOUR_MS };
}

function accountOf(options: Partial<AccountOptions> = {}): Account {
    const account = new Account({ user: USER, token: source, ...options });
    closing.push(() => account.close());
    return account;
}

async function next(of: Sessions<unknown>): Promise<SessionConnection<unknown>> {
    const { value } = await of.next();
    assert.ok(value, "there is no next connection");
    return value;
}

/** What the server says next; rejects with the error with which the socket ended. */
function answer({ socket }: SessionConnection<unknown>, command: string): Promise<string> {
    return new Promise((resolve, reject) => {
        const close = (): void => reject(socket.errored ?? new Error("closed"));
        if (socket.closed) {
            close();
            return;
        }
        socket.once("close", close);
        socket.once("data", (data: Buffer) => {
            socket.off("close", close);
            resolve(data.toString());
        });
        socket.write(command);
    });
}

/** Stands before the server, and answers one command of the mail client in other words; then it closes. */
async function before(protocol: MailProtocol, command: RegExp, words: string) {
    const identity = certificate();
    const front = tls.createServer(identity, (client) => {
        const behind = tls.connect({ port: server.port(protocol), host: "127.0.0.1", rejectUnauthorized: false });
        client.on("error", () => behind.destroy());
        behind.on("error", () => client.destroy());
        client.on("data", (data) => void (command.test(data.toString()) ? client.end(words) : behind.write(data)));
        behind.on("data", (data) => client.write(data));
        client.on("close", () => behind.destroy());
    });
    closing.push(() => front.close());
    await once(front.listen(0, "127.0.0.1"), "listening");
    const { port } = front.address() as AddressInfo;
    return { ...server.at(protocol), port, tlsOptions: { ca: identity.ca } };
}

describe("the sessions of an account", () => {
    it("share one token", async () => {
        const account = accountOf();
        const made = (["imap", "imap", "pop3", "smtp"] as const).map((protocol) =>
            account.sessions({ protocol, ...server.at(protocol) }),
        );
        const connections = await Promise.all(made.map(next));
        assert.deepEqual([asked, counted.of("logged_in")], [1, 4]);
        assert.equal(new Set(connections.map(({ ticket }) => ticket)).size, 4);
        assert.deepEqual(
            account.status().sessions.map(({ protocol, standing }) => `${protocol} ${standing}`),
            ["imap given", "imap given", "pop3 given", "smtp given"],
        );
    });

    it("share one stop: two tokens that are refused, and no login behind it", async () => {
        const events: SessionEvent[] = [];
        const token = () => {
            asked += 1;
            return server.issueToken(USER, { lifetime: 0 });
        };
        const account = accountOf({ token, onEvent: (event) => events.push(event) });
        const made = (["imap", "smtp", "pop3"] as const).map((protocol) =>
            account.sessions({ protocol, ...server.at(protocol) }),
        );
        const errors = await Promise.all(made.map((one) => rejection(NeedsUser, one.next())));
        assert.deepEqual([...new Set(errors.map(({ code }) => code))], ["token_rejected"]);
        // All three may have sent the first one, and one of them tries the second.
        const refused = counted.of("refused");
        assert.ok(asked === 2 && refused <= 4, `${refused} logins with ${asked} tokens`);
        await Promise.all(made.map((one) => rejection(NeedsUser, one.next())));
        assert.deepEqual([asked, counted.of("refused")], [2, refused]);
        assert.equal(events.filter(({ kind }) => kind === "needs_user").length, 1);
        const { stops } = account.status();
        assert.deepEqual([stops.length, stops[0]?.cause], [1, "token_rejected"]);
        assert.equal(account.status().sessions[0]?.standing, "stopped");
    });

    for (const flavour of ["gmail", "dovecot"] as const) {
        const known = flavour === "gmail" ? "the profile tells" : "nobody told";
        it(`that are twenty keep to a limit of 15 that ${known}`, async () => {
            await started({ flavour, connectionsMax: 15 });
            const account = accountOf({ policy: QUICK });
            const made = Array.from({ length: 20 }, () => account.sessions({ protocol: "imap", ...server.at("imap") }));
            const given: Array<SessionConnection<unknown>> = [];
            made.forEach((one) => void one.next().then(({ value }) => value && given.push(value)));
            await until("fifteen are online", () => given.length === 15);
            await new Promise((resolve) => setTimeout(resolve, 1_000));
            assert.deepEqual([given.length, server.sessions, asked], [15, 15, 1]);
            const logins = counted.of("logged_in") + counted.of("refused");
            assert.ok(logins <= (flavour === "gmail" ? 15 : 30), `${logins} logins`);
            assert.ok(given.every(({ verdict }) => verdict === undefined));
            // Who lets go makes place for the next.
            await given[0]?.letGo();
            await until("the sixteenth is online", () => given.length === 16);
            made.forEach((one) => void one.close());
        });
    }

    it("are ended one by one, and all together", async () => {
        const account = accountOf();
        const [one, two] = [1, 2].map(() => account.sessions({ protocol: "imap", ...server.at("imap") }));
        assert.ok(one && two);
        const [first, second] = [await next(one), await next(two)];
        await one.close();
        await until("one is closed", () => server.sessions === 1);
        assert.deepEqual([first.socket.destroyed, second.socket.destroyed], [true, false]);
        assert.deepEqual(await one.next().catch((error: unknown) => error instanceof Misuse), true);
        assert.equal(one.status().lastEnding?.cause, "no_fault");
        const waiting = account.sessions({ protocol: "pop3", ...server.at("pop3"), port: 1, unusualPort: true }).next();
        waiting.catch(() => undefined);
        await account.close();
        await until("all is closed", () => server.sessions === 0);
        assert.deepEqual(await two.next(), { done: true, value: undefined });
        assert.throws(() => account.sessions({ protocol: "imap", ...server.at("imap") }), Misuse);
        await account.close();
    });

    it("have mail clients: ImapFlow and Nodemailer", async () => {
        const account = accountOf();
        const inbox = imapflow.sessions({ account, ...server.at("imap") });
        const { value: connection } = await inbox.next();
        assert.equal((await connection?.client.mailboxOpen("INBOX"))?.exists, 3);
        const kept = nodemailer.createTransport(transport({ account, ...server.at("smtp") }));
        await kept.sendMail({ from: USER, to: "ann@example.test", subject: "hello", text: "hello" });
        assert.deepEqual([server.submitted().length, asked], [1, 1]);
        kept.close();
        await until("SMTP is closed, and the account goes on", () => account.status().sessions.length === 1);
        assert.equal(server.sessions, 1);
        assert.throws(() => imapflow.sessions({ account: {} as Account }), /account must be an Account/);
        assert.throws(() => imapflow.sessions({ account, user: USER } as never), /no option user/);
    });

    it("may have a policy of their own, and none that is of the account", async () => {
        const account = accountOf({ policy: { ...QUICK, first: Infinity, keepAlive: false } });
        const at = server.at("imap");
        account.sessions({ protocol: "imap", ...at, policy: { renewal: "at_end", sessionLimit: 60_000 } });
        for (const policy of [{ first: 1 }, { keepAlive: true }, { tokenTimeout: 5 }, { unprobedNap: 5 }]) {
            const name = Object.keys(policy)[0] as string;
            assert.throws(
                () => account.sessions({ protocol: "imap", ...at, policy }),
                (error) => error instanceof ConfigError && error.message.startsWith(`policy.${name} is of the whole`),
            );
        }
        assert.throws(() => accountOf({ policy: { answer: -1 } }), /answer must be/);
        assert.throws(() => accountOf({ policy: { patience: 1 } as never }), /no option patience/);
        assert.throws(() => accountOf({ token: {} as never }), ConfigError);
        assert.throws(() => accountOf({ user: 5 as never }), ConfigError);
    });

    it("are told of to who looks on, each by itself", async () => {
        const [all, own]: SessionEvent[][] = [[], []];
        const account = accountOf({ onEvent: (event) => all?.push(event) });
        const at = server.at("imap");
        const one = account.sessions({ protocol: "imap", ...at, onEvent: (event) => own?.push(event) });
        await next(account.sessions({ protocol: "pop3", ...server.at("pop3") }));
        await next(one);
        assert.deepEqual(
            own?.map(({ kind, protocol, session }) => `${kind} ${protocol} ${session}`),
            ["connecting imap 1", "online imap 1"],
        );
        assert.ok((all?.length ?? 0) > 4 && all?.every(({ user }) => user === USER));
    });
});

describe("a stop", () => {
    it("of POP3 switched off behind a login that works is raised to the next request, and IMAP goes on", async () => {
        const words = "-ERR [SYS/PERM] Your account is not enabled for POP access. Please visit your settings\r\n";
        const way = await before("pop3", /^STAT/, words);
        const account = accountOf({ policy: QUICK });
        const [mailbox, inbox] = [
            account.sessions({ protocol: "pop3", ...way }),
            account.sessions({ protocol: "imap", ...server.at("imap") }),
        ];
        const connection = await next(mailbox);
        await next(inbox);
        await connection.use(async (one) => {
            await answer(one, "STAT\r\n").catch(() => undefined);
            await one.wait();
        });
        assert.equal(connection.verdict?.cause, "protocol_disabled");
        for (let times = 0; times < 3; times += 1) {
            assert.match((await rejection(NeedsUser, mailbox.next())).message, /not enabled for POP access/);
        }
        assert.equal(counted.of("logged_in"), 2, "one of POP3, one of IMAP");
        assert.match(await answer(await next(inbox), "A1 NOOP\r\n"), /^A1 OK/);
    });

    it("of BYE [ALERT] is of the whole account", async () => {
        const way = await before("imap", /^A1 NOOP/, "* BYE [ALERT] Web login required (Failure)\r\n");
        const account = accountOf({ policy: QUICK });
        const [one, two] = [1, 2].map(() => account.sessions({ protocol: "imap", ...way }));
        assert.ok(one && two);
        const connection = await next(one);
        await next(two);
        const asking = (async () => {
            for (;;) {
                await answer(connection, "A1 NOOP\r\n");
            }
        })();
        assert.equal((await rejection(SessionEnded, asking)).code, "interaction_required");
        assert.match((await rejection(NeedsUser, one.next())).message, /Web login required/);
        // The other connection goes on until it is let go: the next one is not to be had.
        assert.match((await rejection(NeedsUser, two.next())).message, /Web login required/);
        assert.equal(counted.of("logged_in"), 2);
    });

    for (const [kind, thrown, words] of [
        [
            "a revoked refresh token",
            Object.assign(new Error("400"), {
                response: { data: { error: "invalid_grant", error_description: "Token has been expired or revoked." } },
            }),
            /invalid_grant: Token has been expired or revoked/,
        ],
        ["a source that fails for good", new TokenSourceFailed("ask Ann", { permanent: true }), /\(ask Ann\)/],
    ] as const) {
        it(`of ${kind} needs the user, in the source's words and with its error, also while a connection is held`, async () => {
            let works = true;
            const token = () => {
                if (works) {
                    return { token: server.issueToken(USER, { lifetime: 1_500 }), expiresInMs: 1_500 };
                }
                asked += 1;
                throw thrown;
            };
            const events: SessionEvent[] = [];
            const account = accountOf({ token, policy: QUICK, onEvent: (event) => events.push(event) });
            const inbox = account.sessions({ protocol: "imap", ...server.at("imap") });
            const connection = await next(inbox);
            works = false;
            await until("it is over", () => connection.verdict !== undefined || asked >= 2);
            const error = await rejection(NeedsUser, inbox.next());
            assert.match(error.message, words);
            assert.equal(error.cause, thrown);
            assert.equal(events.find(({ kind: what }) => what === "token_failed")?.error, thrown);
            await rejection(NeedsUser, inbox.next());
            assert.ok(asked <= 2, `asked ${asked} times`);
            assert.equal(counted.of("logged_in"), 1);
            works = true;
            account.retry();
            assert.equal((await next(inbox)).generation, 2);
        });
    }

    it("survives its process, and is lifted by retry only", async () => {
        let lifetime = 0;
        const token = () => server.issueToken(USER, { lifetime });
        const made = sessions({ protocol: "imap", user: USER, token, ...server.at("imap") });
        await rejection(NeedsUser, made.next());
        await made.close();
        const refused = counted.of("refused");
        lifetime = HOUR_MS;
        const account = accountOf({ token, snapshot: made.snapshot() });
        const again = account.sessions({ protocol: "imap", ...server.at("imap") });
        assert.match((await rejection(NeedsUser, again.next())).message, /refused the access token/);
        assert.deepEqual([counted.of("refused"), counted.of("logged_in")], [refused, 0]);
        again.retry();
        assert.equal((await next(again)).generation, 1);
        assert.throws(() => accountOf({ snapshot: Buffer.from("mailbearer-session 1 x") }), ConfigError);
        assert.throws(() => accountOf({ snapshot: account.snapshot().subarray(0, -1) }), ConfigError);
    });
});

describe("the end of an account", () => {
    const timers = () => process.getActiveResourcesInfo().filter((one) => one === "Timeout").length;

    it("leaves no timer and no listener, wherever it was", async () => {
        const before = timers();
        const controller = new AbortController();
        const account = accountOf({ signal: controller.signal, policy: { backoffBase: 60_000, backoffMax: 60_000 } });
        await next(account.sessions({ protocol: "imap", ...server.at("imap") }));
        server.refuse("unavailable");
        account
            .sessions({ protocol: "smtp", ...server.at("smtp") })
            .next()
            .catch(() => undefined);
        const own = new AbortController();
        account
            .sessions({ protocol: "pop3", ...server.at("pop3"), signal: own.signal })
            .next()
            .catch(() => undefined);
        await until("it waits", () => account.status().sessions.some(({ failures }) => failures > 0));
        assert.ok(timers() > before);
        await account.close();
        await until("no timer is left", () => timers() <= before);
        // Where a listener was left, it would act on an account that is closed.
        own.abort();
        controller.abort();
    });

    it("of one session by its own signal leaves the others", async () => {
        const account = accountOf();
        const own = new AbortController();
        const [one, two] = [
            account.sessions({ protocol: "imap", ...server.at("imap"), signal: own.signal }),
            account.sessions({ protocol: "imap", ...server.at("imap") }),
        ];
        const [first, second] = [await next(one), await next(two)];
        own.abort(new Error("enough"));
        assert.equal(first.verdict?.cause, "cancelled");
        await assert.rejects(one.next(), /enough/);
        assert.match(await answer(second, "A1 NOOP\r\n"), /^A1 OK/);
    });

    it("of a thousand comes with one signal, and no warning", async () => {
        const warnings: Error[] = [];
        const warn = (warning: Error) => void warnings.push(warning);
        process.on("warning", warn);
        server.refuse("unavailable");
        const controller = new AbortController();
        const made = Array.from({ length: 1_000 }, () =>
            new Account({ user: USER, token: () => new Promise(() => undefined), signal: controller.signal }).sessions({
                protocol: "imap",
                ...AT,
            }),
        );
        const waiting = made.map((one) => rejection(Error, one.next()));
        await until("all wait", () => timers() >= 1_000);
        controller.abort(new Error("all of you"));
        const errors = await Promise.all(waiting);
        assert.ok(errors.every(({ message }) => message === "all of you"));
        assert.ok(timers() < 50);
        await new Promise((resolve) => setImmediate(resolve));
        process.off("warning", warn);
        assert.deepEqual(warnings, []);
    });
    const AT = { host: "127.0.0.1", port: 1, unusualPort: true };
});
