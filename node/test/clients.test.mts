/** ImapFlow and Nodemailer, as they are: through token expiries, refusals, and on real servers. */
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import type { ImapFlow } from "imapflow";
import nodemailer from "nodemailer";
import { ConfigError, LoginFailed, SendFailed, type TokenSource } from "mailbearer";
import * as imapflow from "mailbearer/imapflow";
import { login, transport } from "mailbearer/nodemailer";
import { Server, type ServerOptions } from "mailbearer/testing";
import { RealServers, realToken } from "./real_servers.mjs";
import { Counted, rejection, until } from "./waiting.mjs";

const USER = "joe@gmail.com";
const LIFE_MS = 600;
const EXPIRIES = 50;
const AT_END = { renewal: "at_end", backoffBase: 20, backoffMax: 100, loginInterval: 1 } as const;

let server: Server;
const closing: Array<() => unknown> = [];

beforeEach(async () => {
    server = await Server.start({ tokenLifetime: LIFE_MS });
});
afterEach(async () => {
    for (const close of closing.splice(0)) {
        await close();
    }
    await server.stop();
});

async function started(options: ServerOptions): Promise<void> {
    await server.stop();
    server = await Server.start(options);
}

function source(lifetime = LIFE_MS): TokenSource {
    return () => ({ token: server.issueToken(USER, { lifetime }), expiresInMs: lifetime });
}

/** As a program's own cache that does not know when a token ends. */
function cache(options: { octets?: number } = {}): TokenSource {
    return ({ forceRefresh }) => server.issueToken(USER, { lifetime: forceRefresh ? 60_000 : 0, ...options });
}

function stay(options: Partial<imapflow.ImapSessionOptions> = {}): imapflow.Sessions<ImapFlow> {
    const made = imapflow.sessions({ user: USER, token: source(), ...server.at("imap"), ...options });
    closing.push(() => made.close());
    return made;
}

function message(subject: string, text = "* BYE is only text\n.\n-ERR as well\n") {
    return { from: USER, to: USER, subject, text };
}

function subjects(): string[] {
    return server.submitted().map(({ content }) => /^Subject: (.*)\r$/m.exec(content.toString())?.[1] ?? "");
}

describe("ImapFlow", () => {
    it("is told of the end in IDLE, and the next connection knows of it", async () => {
        const counted = new Counted(server);
        const made = stay({ token: source(60_000) });
        const first = (await made.next()).value;
        assert.ok(first);
        await first.use(async ({ client }) => {
            await client.mailboxOpen("INBOX");
            const idle = client.idle();
            await until("it idles", () => counted.of("IDLE") > 0);
            server.restart();
            await idle;
            await client.noop();
        });
        assert.equal(first.verdict?.cause, "shutdown");
        const second = (await made.next()).value;
        assert.ok(second?.resumed?.protocol === "imap" && second.resumed.idling);
    });

    it("gives its own errors where it is not the session's end", async () => {
        const made = stay({ token: source(60_000) });
        const connection = (await made.next()).value;
        assert.ok(connection);
        await assert.rejects(connection.use(({ client }) => client.mailboxOpen("no such mailbox")));
        assert.equal(connection.verdict, undefined);
    });

    it("is logged in once, ready for work", async () => {
        const client = await imapflow.connect({
            user: USER,
            token: server.issueToken(USER),
            ...server.at("imap", "starttls"),
        });
        const status = await client.status("INBOX", { messages: true });
        assert.ok(status && status.messages === 3);
        await client.logout();
        const refused = imapflow.connect({ user: USER, token: "abc", ...server.at("imap") });
        assert.equal((await rejection(LoginFailed, refused)).code, "token_rejected");
        const wrong = { user: USER, token: "abc", auth: {} } as never;
        await rejection(ConfigError, imapflow.connect(wrong));
    });
});

describe("Nodemailer with our login", () => {
    for (const flavour of ["gmail", "outlook"] as const) {
        it(`sends through ${EXPIRIES} expired tokens, each refreshed on the same connection (${flavour})`, async () => {
            // Gmail refuses with a challenge, Outlook with a bare 535.
            await started({ flavour });
            const counted = new Counted(server);
            const transporter = nodemailer.createTransport(login({ user: USER, token: cache(), ...server.at("smtp") }));
            for (let count = 1; count <= EXPIRIES; count += 1) {
                const sent = await transporter.sendMail(message(`message ${count}`));
                assert.deepEqual(sent.accepted, [USER]);
            }
            assert.equal(counted.of("refused"), EXPIRIES);
            assert.equal(counted.of("connected"), EXPIRIES);
            assert.deepEqual(
                subjects(),
                Array.from({ length: EXPIRIES }, (_, index) => `message ${index + 1}`),
            );
        });
    }

    it("takes two steps with a long token, over STARTTLS and in a pool too", async () => {
        await started({});
        const options = login({ user: USER, token: cache({ octets: 2000 }), ...server.at("smtp", "starttls") });
        const transporter = nodemailer.createTransport({ ...options, pool: true });
        closing.push(() => transporter.close());
        await Promise.all([1, 2, 3].map((count) => transporter.sendMail(message(`pooled ${count}`))));
        assert.deepEqual(subjects().sort(), ["pooled 1", "pooled 2", "pooled 3"]);
    });

    it("fails with the true reason, after one more try", async () => {
        const counted = new Counted(server);
        const token = () => server.issueToken(USER, { lifetime: 0 });
        const transporter = nodemailer.createTransport(login({ user: USER, token, ...server.at("smtp") }));
        await assert.rejects(transporter.sendMail(message("never")), /refused the access token/);
        assert.equal(counted.of("refused"), 2);
        server.refuse("rate_limited");
        const error = await rejection(LoginFailed, transporter.sendMail(message("never")));
        assert.equal(error.failure.cause, "rate_limited");
        assert.deepEqual(subjects(), []);
    });

    it("asks for the capabilities once, and never logs the token, also where Nodemailer is told to log all", async () => {
        await started({});
        for (const octets of [100, 2000]) {
            const issued: string[] = [];
            const token = () => {
                issued.push(server.issueToken(USER, { octets }));
                return issued.at(-1) as string;
            };
            const lines: string[] = [];
            const note = (...values: unknown[]) => void lines.push(JSON.stringify(values));
            const logger = {
                level: () => undefined,
                trace: note,
                debug: note,
                info: note,
                warn: note,
                error: note,
                fatal: note,
            };
            const options = { ...login({ user: USER, token, ...server.at("smtp") }), logger, debug: true };
            await nodemailer.createTransport(options).sendMail(message("logged"));
            const base64 = Buffer.from(`user=${USER}\x01auth=Bearer ${issued[0]}`).toString("base64");
            assert.ok(lines.length > 10);
            // The answer to Nodemailer's EHLO: what it learnt is not asked again.
            assert.equal(lines.filter((line) => /250[- ]AUTH /.test(line)).length, 1);
            assert.ok(!lines.join().includes(issued[0] as string) && !lines.join().includes(base64.slice(0, 60)));
        }
    });
});

describe("Nodemailer over a session", () => {
    function sender(options: object = {}) {
        const made = nodemailer.createTransport(
            transport({ user: USER, token: source(), ...server.at("smtp"), policy: AT_END, ...options }),
        );
        closing.push(() => made.close());
        return made;
    }

    it("sends again what the server did not take, and once", async () => {
        await started({});
        const transporter = sender({ token: source(60_000) });
        await transporter.sendMail(message("first"));
        server.setFault("command", "drop");
        await transporter.sendMail(message("second"));
        assert.deepEqual(subjects(), ["first", "second"]);
    });

    it("does not send again what the server may have taken", async () => {
        await started({});
        const transporter = sender({ token: source(60_000) });
        await transporter.sendMail(message("first"));
        server.setFault("after_dot", "drop");
        const error = await rejection(SendFailed, transporter.sendMail(message("second")));
        assert.match(error.message, /not known/);
        await transporter.sendMail(message("third"));
        assert.equal(subjects().filter((subject) => subject === "second").length <= 1, true);
        assert.equal(subjects().at(-1), "third");
    });

    it("gives the server's own refusal of a message, and goes on", async () => {
        await started({});
        const transporter = sender({ token: source(60_000) });
        await assert.rejects(transporter.sendMail({ ...message("bad"), envelope: { from: USER, to: [] } }));
        await transporter.sendMail(message("good"));
        assert.deepEqual(subjects(), ["good"]);
    });

    it("says goodbye when it is closed, and fails from then on", async () => {
        await started({});
        const transporter = sender({ token: source(60_000) });
        assert.equal(await transporter.verify(), true);
        assert.equal(server.sessions, 1);
        transporter.close();
        await until("the connection is closed", () => server.sessions === 0);
        await assert.rejects(transporter.sendMail(message("late")), /closed/);
    });
});

describe("real Dovecot and Postfix", () => {
    let servers: RealServers;
    before(async () => {
        servers = await RealServers.start();
    });
    after(() => servers.stop());

    async function fetched(user: string, wanted: number): Promise<string[]> {
        const token = () => realToken(user, { length: 2000 });
        const made = imapflow.sessions({ user, token, ...servers.at("imap", "starttls") });
        closing.push(() => made.close());
        for await (const connection of made) {
            const found = await connection.use(async ({ client }) => {
                const deadline = performance.now() + 20_000;
                for (;;) {
                    const { exists } = await client.mailboxOpen("INBOX");
                    if (exists >= wanted) {
                        const all = await client.fetchAll("1:*", { envelope: true });
                        return all.map((one) => one.envelope?.subject ?? "");
                    }
                    assert.ok(performance.now() < deadline, "the mail did not arrive");
                    await client.mailboxClose();
                }
            });
            return found ?? [];
        }
        return [];
    }

    it("send and fetch, with long tokens, and each message is delivered once", async () => {
        const user = "node@example.com";
        const token = () => realToken(user, { length: 2000 });
        const mail = (subject: string) => ({ ...message(subject), from: user, to: user });
        const kept = nodemailer.createTransport(transport({ user, token, ...servers.at("postfix") }));
        closing.push(() => kept.close());
        await kept.sendMail(mail("by a session 1"));
        await assert.rejects(kept.sendMail({ ...mail("refused"), envelope: { from: user, to: "@" } }), /501/);
        await kept.sendMail(mail("by a session 2"));
        const own = nodemailer.createTransport(login({ user, token, ...servers.at("postfix", "starttls") }));
        await own.sendMail(mail("by Nodemailer"));
        const dovecot = nodemailer.createTransport(login({ user, token, ...servers.at("smtp") }));
        await dovecot.sendMail(mail("by Dovecot"));
        assert.deepEqual((await fetched(user, 4)).sort(), [
            "by Dovecot",
            "by Nodemailer",
            "by a session 1",
            "by a session 2",
        ]);
    });

    it("refuse an expired token, and a fresh one follows on the same connection", async () => {
        const user = "again@example.com";
        const asked: boolean[] = [];
        const token: TokenSource = ({ forceRefresh }) => {
            asked.push(forceRefresh);
            return realToken(user, { expiresIn: forceRefresh ? 3600 : -3600 });
        };
        const transporter = nodemailer.createTransport(login({ user, token, ...servers.at("postfix") }));
        await transporter.sendMail({ ...message("again"), from: user, to: user });
        assert.deepEqual(asked, [false, true]);
        assert.deepEqual(await fetched(user, 1), ["again"]);
    });
});
