/** What the errors of real mail libraries stand for: the same as where mailbearer logs in by itself. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";
import * as net from "node:net";
import { afterEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ImapFlow } from "imapflow";
import nodemailer from "nodemailer";
import {
    ADVICES,
    CAUSES,
    type Cause,
    ConfigError,
    connect,
    explain,
    type Explanation,
    LoginFailed,
    type MailProtocol,
    Misuse,
    readRejection,
    SessionEnded,
    sessions,
    TokenSourceFailed,
} from "mailbearer";
import { Server, type ServerOptions } from "mailbearer/testing";
import { rejection } from "./waiting.mjs";

const USER = "joe@gmail.com";

interface Place {
    host: string;
    port: number;
    tlsOptions?: object;
    timeout?: number;
}

// These two have no types of their own.
const require = createRequire(import.meta.url);
const NodeImap = require("imap") as new (options: object) => NodeJS.EventEmitter & { connect(): void; end(): void };
const { default: NodePop3 } = (await import("node-pop3" as string)) as {
    default: new (options: object) => {
        connect(): Promise<void>;
        command(...words: string[]): Promise<unknown>;
        QUIT(): Promise<unknown>;
    };
};

function message(token: string): string {
    return Buffer.from(`user=${USER}\x01auth=Bearer ${token}\x01\x01`).toString("base64");
}

async function imapFlow(place: Place, token: string, work?: (client: ImapFlow) => Promise<unknown>): Promise<void> {
    const { host, port, tlsOptions, timeout } = place;
    const client = new ImapFlow({
        host,
        port,
        secure: true,
        auth: { user: USER, accessToken: token },
        tls: tlsOptions ?? {},
        logger: false,
        // Where it is told to wait, ImapFlow does so for half of this.
        socketTimeout: 2_000,
        ...(timeout === undefined ? {} : { connectionTimeout: timeout, greetingTimeout: timeout }),
    });
    client.on("error", () => undefined);
    try {
        await client.connect();
        await work?.(client);
    } finally {
        client.close();
    }
}

async function byNodemailer(place: Place, token: string, options: object = { secure: true }): Promise<void> {
    const { host, port, tlsOptions, timeout } = place;
    const transporter = nodemailer.createTransport({
        host,
        port,
        auth: { type: "OAuth2", user: USER, accessToken: token },
        tls: tlsOptions ?? {},
        ...(timeout === undefined ? {} : { connectionTimeout: timeout, greetingTimeout: timeout }),
        ...options,
    } as object);
    await transporter.verify();
}

async function nodeImap(place: Place, token: string): Promise<void> {
    const { host, port, tlsOptions, timeout } = place;
    const options = {
        host,
        port,
        tls: true,
        xoauth2: message(token),
        tlsOptions: { ...tlsOptions, servername: "localhost" },
    };
    const client = new NodeImap({
        ...options,
        ...(timeout === undefined ? {} : { connTimeout: timeout, authTimeout: timeout }),
    });
    client.connect();
    try {
        await new Promise((resolve, reject) => client.once("ready", resolve).once("error", reject));
    } finally {
        client.on("error", () => undefined);
        client.end();
    }
}

async function nodePop3(place: Place, token: string): Promise<void> {
    const { host, port, tlsOptions, timeout } = place;
    const options = { host, port, tls: true, tlsOptions, servername: "localhost", ...(timeout && { timeout }) };
    const client = new NodePop3(options);
    await client.connect();
    await client.command("AUTH XOAUTH2", message(token));
    // Where the answer was an error challenge, an empty line is the answer to it.
    await client.command("");
    await client.QUIT();
}

const LIBRARIES: Record<string, [MailProtocol, (place: Place, token: string) => Promise<void>]> = {
    ImapFlow: ["imap", imapFlow],
    Nodemailer: ["smtp", byNodemailer],
    "node-imap": ["imap", nodeImap],
    "node-pop3": ["pop3", nodePop3],
};

async function explained(work: Promise<unknown>): Promise<Explanation> {
    const error = await rejection(Error, work);
    const explanation = explain(error, { user: USER, host: "localhost" });
    assert.ok(CAUSES.includes(explanation.cause) && ADVICES.includes(explanation.advice));
    if (explanation.cause !== "unrecognized") {
        assert.deepEqual(explain(new Error("wrapped", { cause: error })), explain(error), "also as a cause");
    }
    return explanation;
}

const closing: Array<() => unknown> = [];
afterEach(async () => {
    for (const close of closing.splice(0)) {
        await close();
    }
});

async function started(options: ServerOptions = {}): Promise<Server> {
    const server = await Server.start(options);
    closing.push(() => server.stop());
    return server;
}

async function listening(server: net.Server): Promise<number> {
    const sockets: net.Socket[] = [];
    server.on("connection", (socket) => sockets.push(socket));
    closing.push(() => {
        server.close();
        sockets.forEach((socket) => socket.destroy());
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    return (server.address() as net.AddressInfo).port;
}

/** What the testing server has words for in each protocol; without a reason it is the token. */
const REASONS: ReadonlyArray<Cause | undefined> = [
    undefined,
    "protocol_disabled",
    "rate_limited",
    "too_many_connections",
    "unavailable",
];

describe("a refused login is explained as connect explains it:", () => {
    for (const flavour of ["gmail", "outlook", "dovecot"] as const) {
        for (const [library, [protocol, logIn]] of Object.entries(LIBRARIES)) {
            it(`${library} (${flavour})`, async () => {
                const server = await started({ flavour });
                for (const reason of REASONS) {
                    server.refuse(reason);
                    // Exchange's POP3 takes no line that is longer than 255 octets.
                    const token = reason === undefined ? "not-a-token" : server.issueToken(USER, { octets: 60 });
                    const place = server.at(protocol);
                    const options = { protocol, user: USER, token, ...place, mechanisms: ["XOAUTH2"] } as const;
                    // Gmail lets a login in to a mailbox whose POP is off, and refuses the first command.
                    const isLate = `${flavour} ${protocol} ${reason}` === "gmail pop3 protocol_disabled";
                    const own = isLate
                        ? { failure: { cause: reason }, advice: "ask_user" }
                        : await rejection(LoginFailed, connect(options));
                    const { cause, advice, message } = await explained(logIn(place, token));
                    assert.deepEqual([cause, advice], [own.failure.cause, own.advice], `${reason}: ${message}`);
                    assert.ok(!message.includes(token));
                }
            });
        }
    }
});

describe("a connection is explained by its cause:", () => {
    for (const [library, [protocol, logIn]] of Object.entries(LIBRARIES)) {
        it(library, async () => {
            const server = await started();
            const place = server.at(protocol);
            const closed = net.createServer();
            await once(closed.listen(0, "127.0.0.1"), "listening");
            const { port } = closed.address() as net.AddressInfo;
            await new Promise((resolve) => closed.close(resolve));
            const reset = net.createServer((socket) => {
                socket.on("error", () => undefined).once("data", () => socket.resetAndDestroy());
            });
            const wrong: Array<[Cause[], Place]> = [
                [["connection_refused"], { ...place, port }],
                [["host_not_found"], { ...place, host: "no-such-host.invalid" }],
                [["tls_failed"], { ...place, tlsOptions: {} }],
                [["wrong_tls_mode"], { ...place, port: server.port(protocol, "starttls") }],
                [["connection_lost"], { ...place, port: await listening(reset) }],
                [["timed_out", "unreachable"], { ...place, port: await silentPort(), timeout: 300 }],
            ];
            for (const [causes, where] of wrong) {
                const { cause, certainty, message } = await explained(logIn(where, "not-a-token"));
                assert.ok(causes.includes(cause), `${cause}: ${message}`);
                assert.equal(certainty, "inferred");
            }
        });
    }

    /** TCP answers, and nobody speaks. */
    async function silentPort(): Promise<number> {
        return listening(net.createServer((socket) => socket.on("error", () => undefined)));
    }

    it("Nodemailer under STARTTLS", async () => {
        const server = await started();
        const place = { ...server.at("smtp", "starttls"), tlsOptions: {} };
        const options = { secure: false, requireTLS: true };
        assert.equal((await explained(byNodemailer(place, "not-a-token", options))).cause, "tls_failed");
    });
});

describe("what comes after the login is explained:", () => {
    it("ImapFlow's session that the server ends, and a command that it refuses", async () => {
        const server = await started();
        const place = server.at("imap");
        const token = server.issueToken(USER);
        const ended = await explained(
            imapFlow(place, token, async (client) => {
                await client.mailboxOpen("INBOX");
                server.setFault("command", "vanish");
                const waiting = client.mailboxOpen("INBOX");
                waiting.catch(() => undefined);
                await sleep(50);
                server.restart();
                await waiting;
            }),
        );
        assert.ok(["shutdown", "unavailable", "session_ended"].includes(ended.cause), ended.message);
        const gone = await explained(
            imapFlow(place, token, async (client) => {
                server.restart();
                await once(client, "close");
                await client.getMailboxLock("INBOX");
            }),
        );
        assert.deepEqual([gone.cause, gone.advice], ["connection_lost", "reconnect"]);
        const refused = await explained(imapFlow(place, token, (client) => client.mailboxOpen("no such mailbox")));
        assert.ok(!["token_rejected", "token_expired"].includes(refused.cause), refused.message);
    });

    it("Nodemailer's message that the server does not take", async () => {
        const server = await started();
        const { host, port, tlsOptions } = server.at("smtp");
        const transporter = nodemailer.createTransport({
            host,
            port,
            secure: true,
            auth: { type: "OAuth2", user: USER, accessToken: server.issueToken(USER) },
            tls: tlsOptions,
        } as object);
        const mail = { envelope: { from: USER, to: [] }, text: "x" };
        const { cause, message } = await explained(transporter.sendMail(mail as object));
        assert.ok(!["token_rejected", "token_expired"].includes(cause), message);
    });
});

describe("mailbearer's own errors", () => {
    it("say what they say themselves", async () => {
        const server = await started({ refuse: "rate_limited" });
        const options = { protocol: "imap", user: USER, token: server.issueToken(USER), ...server.at("imap") } as const;
        const own = await rejection(LoginFailed, connect(options));
        const { message, ...others } = explain(own);
        assert.deepEqual({ ...others, detail: "", sentence: message }, own.failure);
        server.refuse();
        const made = sessions({ ...options, token: () => server.issueToken(USER) });
        closing.push(() => made.close());
        const connection = (await made.next()).value;
        server.restart();
        await connection?.wait();
        assert.ok(connection?.verdict);
        const ended = explain(new SessionEnded(connection.verdict, "It ended."));
        assert.deepEqual([ended.cause, ended.message], [connection.verdict.cause, "It ended."]);
        for (const [permanent, advice] of [
            [true, "ask_user"],
            [false, "back_off"],
        ] as const) {
            const failed = explain(new TokenSourceFailed("no consent", { permanent }));
            assert.deepEqual(
                [failed.cause, failed.advice, failed.message.includes("no consent")],
                ["token_unavailable", advice, true],
            );
        }
        assert.equal(explain(new ConfigError("host is empty")).advice, "fix_configuration");
        assert.equal(explain(new Misuse("it is over")).advice, "give_up");
    });
});

describe("what was not seen is not claimed:", () => {
    const TEXTS = [
        "LOGIN completed",
        "Success",
        "2.7.0 Accepted",
        "[AUTHENTICATIONFAILED] Invalid credentials",
        "Your account is not enabled for POP access",
        "5.7.139 Authentication unsuccessful",
        "AccessTokenExpired",
        "",
    ];

    it("no text without a status is no fault, or stated", () => {
        for (const protocol of ["imap", "pop3", "smtp", undefined] as const) {
            for (const text of TEXTS) {
                const forms = [
                    text,
                    new Error(text),
                    { message: text, textCode: "ALERT", source: "authentication" },
                    { message: text, textCode: { key: "UNAVAILABLE", val: "1" } },
                    { responseText: text },
                ];
                for (const form of forms) {
                    const { cause, certainty } = explain(form, { protocol });
                    assert.ok(
                        cause !== "no_fault" && certainty !== "stated",
                        `${String(protocol)}: ${JSON.stringify(form)}`,
                    );
                }
            }
        }
    });

    it("no error is no fault, whatever its text begins with", () => {
        for (const protocol of ["imap", "smtp", undefined] as const) {
            for (const error of [
                new Error("250 items were lost"),
                new Error("235 2.7.0 Accepted"),
                Object.assign(new Error("Invalid login"), { code: "EAUTH", responseCode: 235 }),
            ]) {
                assert.notEqual(
                    explain(error, { protocol }).cause,
                    "no_fault",
                    `${String(protocol)}: ${error.message}`,
                );
            }
        }
    });

    it("nonsense is unrecognized, and a circle of causes ends", () => {
        const circle = new Error("round");
        circle.cause = circle;
        for (const nonsense of [
            undefined,
            null,
            5,
            "what?",
            [],
            {},
            () => 1,
            Symbol("x"),
            new Date(),
            circle,
            { code: 5 },
        ]) {
            const { cause, certainty, message } = explain(nonsense);
            assert.deepEqual([cause, certainty], ["unrecognized", "inferred"]);
            assert.ok(message.length > 0);
        }
        assert.throws(() => explain(new Error("x"), { protocl: "imap" } as never), ConfigError);
        assert.throws(() => explain("x", { protocol: "imap", phase: "lunch" as never }), ConfigError);
    });

    it("a whole reply, as text, has its status", () => {
        for (const [reply, cause] of [
            ["535 5.7.8 Username and Password not accepted", "token_rejected"],
            ["535-5.7.8 Username and Password not accepted.\r\n535 5.7.8 Learn more", "token_rejected"],
            ["-ERR [SYS/PERM] Your account is not enabled for POP access.", "protocol_disabled"],
            ["A001 NO [UNAVAILABLE] Temporary System Problem", "unavailable"],
            ["* BYE Session invalidated - AccessTokenExpired", "token_expired"],
        ] as const) {
            assert.equal(explain(reply).cause, cause);
            assert.equal(explain(new Error(reply)).cause, cause);
        }
        assert.equal(explain("Error NO such file").cause, "unrecognized");
    });

    it("an echo of what was sent is not shown", () => {
        const token = "ya29.a0AfH6SMBx-Zq7_kP3w~Q9+RtLmN";
        const response = `500 5.5.1 unknown: AUTH XOAUTH2 ${message(token)} ${token}${token}`;
        const { message: told, serverText } = explain({ response, command: "AUTH XOAUTH2", code: "EAUTH" });
        const shown = [message(token).slice(20, 40), "Zq7_kP3w"].filter((part) =>
            `${told}${serverText}`.includes(part),
        );
        assert.deepEqual(shown, [], told);
        const url = "https://accounts.google.com/signin/continue?sarp=1&plt=AKgnsbvVl0t7Vl0t7Vl0t7Vl0t7Vl0t7Vl0t7";
        assert.ok(explain(`534-5.7.14 <${url}> Please log in via your web browser`).serverText.includes(url));
    });
});

describe("an error challenge is read", () => {
    const json = '{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}';
    const base64 = Buffer.from(json).toString("base64");
    for (const [form, given] of Object.entries({
        base64,
        line: `334 ${base64}`,
        continuation: `+ ${base64}`,
        decoded: json,
    })) {
        it(`as ${form}, in text or in octets`, () => {
            const read = { status: "400", schemes: "Bearer", scope: "https://mail.google.com/" };
            assert.deepEqual({ ...readRejection(given) }, read);
            assert.deepEqual({ ...readRejection(Buffer.from(given)) }, read);
            assert.deepEqual({ ...readRejection(new Uint8Array(Buffer.from(given))) }, read);
        });
    }
});
