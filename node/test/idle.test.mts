/** Mailboxes that are followed: IDLE over sockets and over ImapFlow, new messages told once, and servers that go mute. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import {
    type Cause,
    ConfigError,
    explain,
    MailboxRefused,
    Misuse,
    type SessionConnection,
    type SessionOptions,
    sessions,
} from "mailbearer";
import * as imapflow from "mailbearer/imapflow";
import { Server } from "mailbearer/testing";
import { rejection, until } from "./waiting.mjs";

const USER = "joe@gmail.com";
const QUICK = { backoffBase: 20, backoffMax: 50, loginInterval: 1 };

let server: Server;
const closing: Array<() => unknown> = [];

beforeEach(async () => {
    server = await Server.start();
    closing.push(() => server.stop());
});
afterEach(async () => {
    for (const close of closing.splice(0).reverse()) {
        await close();
    }
});

function options(lifetime = 3_600_000): SessionOptions {
    const token = () => ({ token: server.issueToken(USER, { lifetime }), expiresInMs: lifetime });
    return { user: USER, token, policy: QUICK, ...server.at("imap") };
}

let sent = 0;
function deliver(): void {
    sent += 1;
    server.deliver(USER, Buffer.from(`Subject: number ${sent}\r\n\r\n* BYE is only text\r\n`));
}

async function bare(of: Partial<SessionOptions> = {}): Promise<SessionConnection<undefined>> {
    const made = sessions({ protocol: "imap", ...options(), ...of });
    closing.push(() => made.close());
    const { value } = await made.next();
    assert.ok(value);
    owners.set(value, made);
    return value;
}

/** The sessions that a connection is of. */
const owners = new WeakMap<object, ReturnType<typeof sessions>>();

async function ask({ socket }: SessionConnection<undefined>, command: string): Promise<string> {
    let said = "";
    socket.write(`${command}\r\n`);
    for (;;) {
        const data = socket.read() as Buffer | null;
        said += String(data ?? "");
        if (said.includes(`${command.slice(0, command.indexOf(" "))} OK`)) {
            return said;
        }
        await new Promise((resolve) => setTimeout(resolve, 2));
    }
}

describe("idle, over a socket", () => {
    it("tells what changes, and leaves the connection to the program between two changes", async () => {
        const connection = await bare();
        await ask(connection, "A1 SELECT INBOX");
        const counts: Array<number | undefined> = [];
        setTimeout(deliver, 50);
        for await (const { kind, exists } of connection.idle()) {
            assert.equal(kind, "changed");
            counts.push(exists);
            assert.match(await ask(connection, `A${counts.length + 1} NOOP`), /OK/);
            if (counts.length === 3) {
                break;
            }
            setTimeout(deliver, 20);
        }
        assert.deepEqual(counts, [4, 5, 6]);
        assert.match(await ask(connection, "B1 NOOP"), /B1 OK/);
        assert.equal(connection.verdict, undefined);
    });

    it("ends when the connection is to be let go, and the next one goes on", async () => {
        const made = sessions({ protocol: "imap", ...options(1_500) });
        closing.push(() => made.close());
        for await (const connection of made) {
            await ask(connection, "A1 SELECT INBOX");
            for await (const _ of connection.idle()) {
                assert.fail("nothing changed");
            }
            assert.equal(connection.isDue, true);
            assert.match(await ask(connection, "A2 NOOP"), /A2 OK/);
            if (connection.generation === 2) {
                break;
            }
        }
    });

    it("is said anew, and a server that goes mute is noticed by that", async () => {
        const connection = await bare();
        await ask(connection, "A1 SELECT INBOX");
        const begun = performance.now();
        setTimeout(() => server.setFault("command", "vanish"), 450);
        for await (const _ of connection.idle({ reissue: 100, answer: 200 })) {
            assert.fail("nothing changed");
        }
        assert.ok(performance.now() - begun > 400, "it was said anew until then");
        assert.equal(connection.verdict?.cause satisfies Cause | undefined, "timed_out");
    });

    it("lets the server say that it is there, where the link is in doubt", async () => {
        const connection = await bare({ policy: { ...QUICK, answer: 300 } });
        await ask(connection, "A1 SELECT INBOX");
        const idling = connection.idle()[Symbol.asyncIterator]().next();
        await until("it idles", () => connection.socket.bytesWritten > 0);
        await new Promise((resolve) => setTimeout(resolve, 100));
        const before = connection.socket.bytesWritten;
        owners.get(connection)?.networkBack();
        await until("it has asked", () => connection.socket.bytesWritten > before);
        await new Promise((resolve) => setTimeout(resolve, 500));
        assert.equal(connection.verdict, undefined);
        deliver();
        assert.equal((await idling).value?.kind, "changed");
    });

    it("is for IMAP, and says what it does not know", async () => {
        const pop = sessions({ protocol: "pop3", ...options(), ...server.at("pop3") });
        closing.push(() => pop.close());
        const { value } = await pop.next();
        assert.throws(() => value?.idle(), Misuse);
        const connection = await bare();
        assert.throws(() => connection.idle({ every: 5 } as never), /no option every/);
        assert.throws(() => connection.newMessages(5 as never), /mailbox must be a string/);
        assert.throws(() => connection.newMessages("INBOX", { since: "nonsense" }), /cursor/i);
    });
});

describe("new messages", () => {
    it("are told once each, over expiries and cuts, also those that came between two connections", async () => {
        const made = sessions({ protocol: "imap", ...options(1_000) });
        closing.push(() => made.close());
        const told: number[] = [];
        const selected = await ask(await bare(), "A1 SELECT INBOX");
        const first = 4;
        let cursor = `${/UIDVALIDITY (\d+)/.exec(selected)?.[1]}:${first}`;
        let delivered = 0;
        const sending = setInterval(() => {
            delivered += 1;
            deliver();
        }, 60);
        closing.push(() => clearInterval(sending));
        for await (const connection of made) {
            if (connection.generation % 2 === 0) {
                setTimeout(() => server.setFault("command", "drop"), 150);
            }
            await connection.use(async () => {
                for await (const event of connection.newMessages("INBOX", { since: cursor })) {
                    assert.equal(event.kind, "messages");
                    told.push(...(event.kind === "messages" ? event.uids : []));
                    cursor = event.cursor;
                }
            });
            if (connection.generation >= 7) {
                clearInterval(sending);
                if (told.length === delivered) {
                    break;
                }
            }
        }
        assert.ok(delivered > 20);
        assert.deepEqual(
            told,
            Array.from({ length: delivered }, (_, at) => first + at),
        );
    });

    it("of a mailbox that is none are refused with the server's words", async () => {
        const connection = await bare();
        const error = await connection
            .newMessages("no such mailbox")
            .next()
            .catch((one: unknown) => one);
        assert.ok(error instanceof MailboxRefused, String(error));
        assert.match(error.message, /the server said/);
        assert.match(await ask(connection, "A1 NOOP"), /A1 OK/);
    });
});

describe("over ImapFlow", () => {
    it("new messages are told, and fetched between two of them", async () => {
        const made = imapflow.sessions(options());
        closing.push(() => made.close());
        const { value: connection } = await made.next();
        assert.ok(connection);
        setTimeout(deliver, 100);
        const subjects: string[] = [];
        for await (const event of connection.newMessages("INBOX")) {
            assert.ok(event.kind === "messages");
            if (event.uids.length === 0) {
                // Where it begins.
                continue;
            }
            const fetched = await connection.client.fetchOne(String(event.uids[0]), { envelope: true }, { uid: true });
            subjects.push((fetched && fetched.envelope?.subject) || "");
            const lock = await connection.client.getMailboxLock("INBOX");
            lock.release();
            if (subjects.length === 2) {
                break;
            }
            setTimeout(deliver, 50);
        }
        assert.deepEqual(subjects, [`number ${sent - 1}`, `number ${sent}`]);
        assert.ok(await connection.client.status("INBOX", { messages: true }));
    });

    it("a mailbox that is none is refused as over sockets, and the connection goes on", async () => {
        const made = imapflow.sessions(options());
        closing.push(() => made.close());
        const { value: connection } = await made.next();
        assert.ok(connection);
        const error = await rejection(MailboxRefused, connection.newMessages("no such mailbox").next());
        const cause = error.cause as { responseStatus?: string; serverResponseCode?: string };
        assert.deepEqual([cause.responseStatus, error.serverCode], ["NO", cause.serverResponseCode]);
        assert.match(error.message, /^The mailbox "no such mailbox" cannot be followed .* the server said: \S+/);
        assert.notEqual(explain(error).advice, "give_up");
        assert.equal((await connection.client.mailboxOpen("INBOX")).path, "INBOX");
        assert.equal(connection.verdict, undefined);
        const refused = await rejection(
            MailboxRefused,
            connection.use(async () => {
                await connection.newMessages("no such mailbox", { readOnly: true }).next();
            }),
        );
        assert.equal(refused.code, "mailbox_refused");
    });

    it("a client that was closed ends it, and no error of ImapFlow's is thrown", async () => {
        const made = imapflow.sessions(options());
        closing.push(() => made.close());
        const { value: connection } = await made.next();
        assert.ok(connection);
        const events = connection.newMessages("INBOX");
        await events.next();
        connection.client.close();
        assert.deepEqual(await events.next(), { done: true, value: undefined });
    });

    it("options of ImapFlow that are ours are told, and so are those that it does not take", async () => {
        for (const name of ["host", "auth", "tls", "proxy", "disableCompression"]) {
            const told = { ...options(), imapflow: { [name]: "x" } } as object;
            assert.throws(
                () => imapflow.sessions(told as never),
                (error: ConfigError) => {
                    return error instanceof ConfigError && error.message.includes(`imapflow.${name} is mailbearer's`);
                },
            );
        }
    });

    it("changes are told of the mailbox that is open, and without one it says so", async () => {
        const made = imapflow.sessions(options());
        closing.push(() => made.close());
        const { value: connection } = await made.next();
        assert.ok(connection);
        await assert.rejects(async () => connection.idle().next(), Misuse);
        await connection.client.mailboxOpen("INBOX");
        setTimeout(deliver, 100);
        for await (const { exists } of connection.idle()) {
            assert.equal(exists, 4);
            break;
        }
        await connection.client.noop();
        assert.equal(connection.verdict, undefined);
    });
});
