/** Where mail libraries meet a session: their time-outs, their errors, their options, and what servers repeat. */
import assert from "node:assert/strict";
import { once } from "node:events";
import * as net from "node:net";
import { afterEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import * as tls from "node:tls";
import { inspect } from "node:util";
import nodemailer from "nodemailer";
import { LoginFailed, NeedsUser, SendFailed, sessions } from "mailbearer";
import * as imapflow from "mailbearer/imapflow";
import { login, transport } from "mailbearer/nodemailer";
import { certificate } from "./certificates.mjs";
import { rejection, until } from "./waiting.mjs";

const USER = "joe@example.test";
const TOKEN = "ya29.a0AfB_Canary0Token1Must2Never3Be4Seen5Anywhere6";
const IDENTITY = certificate();
const MAIL = { from: USER, to: "ann@example.test", subject: "hello", text: "hello" };

const closing: Array<() => unknown> = [];
afterEach(async () => {
    for (const close of closing.splice(0).reverse()) {
        await close();
    }
});

type Rule = [RegExp, string | ((line: string) => string) | undefined, number?];

/** Says the first line, and answers each line by the first rule that fits, after its milliseconds; `undefined`: not at all. */
async function scripted(greeting: string, rules: Rule[]) {
    const heard: string[] = [];
    const server = tls.createServer(IDENTITY, (socket) => {
        let rest = "";
        socket.on("error", () => undefined);
        socket.on("data", async (data) => {
            const lines = (rest + data.toString()).split("\r\n");
            rest = lines.pop() ?? "";
            for (const line of lines) {
                heard.push(line);
                const [, answer, wait = 0] = rules.find(([asked]) => asked.test(line)) ?? [];
                await sleep(wait);
                const said = typeof answer === "function" ? answer(line) : answer;
                if (said !== undefined && !socket.destroyed) {
                    socket.write(`${said}\r\n`);
                }
            }
        });
        socket.write(`${greeting}\r\n`);
    });
    server.on("tlsClientError", () => undefined);
    const sockets: net.Socket[] = [];
    server.on("connection", (socket) => sockets.push(socket));
    closing.push(() => {
        server.close();
        sockets.forEach((socket) => socket.destroy());
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as net.AddressInfo;
    const way = { user: USER, token: () => TOKEN, host: "localhost", port, tlsOptions: { ca: IDENTITY.ca } };
    return { way, heard };
}

const SMTP: Rule[] = [
    [/^EHLO/, "250-hello\r\n250 AUTH XOAUTH2"],
    [/^AUTH/, "235 in"],
    [/^(MAIL|RCPT|NOOP|RSET)/, "250 ok"],
    [/^DATA/, "354 go on"],
    [/^\.$/, "250 taken"],
    [/^QUIT/, "221 bye"],
];
const IMAP: Rule[] = [
    [/ AUTHENTICATE /, (line) => `${tagOf(line)} OK [CAPABILITY IMAP4rev1 IDLE] in`],
    [/ CAPABILITY/, (line) => `* CAPABILITY IMAP4rev1 IDLE\r\n${tagOf(line)} OK done`],
    [/ LOGOUT/, (line) => `* BYE bye\r\n${tagOf(line)} OK bye`],
    [/ NAMESPACE/, (line) => `* NAMESPACE (("" "/")) NIL NIL\r\n${tagOf(line)} OK done`],
    [/^\w+ /, (line) => `${tagOf(line)} OK done`],
];
const GREETING = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready";

function tagOf(line: string): string {
    return line.slice(0, line.indexOf(" "));
}

describe("the answer to the end of a message", () => {
    it("may take longer than one to a command", async () => {
        const { way } = await scripted("220 slow", [[/^\.$/, "250 taken", 900], ...SMTP]);
        const kept = nodemailer.createTransport(transport({ ...way, answerTimeout: 300 }));
        closing.push(() => kept.close());
        assert.match((await kept.sendMail(MAIL)).response, /taken/);
    });

    it("may be that to the last chunk of BDAT", async () => {
        const { way } = await scripted("220 slow", [[/^BDAT/, undefined], [/^hello$/, "250 taken", 900], ...SMTP]);
        const made = sessions({ ...way, protocol: "smtp", answerTimeout: 300 });
        closing.push(() => made.close());
        const { value: connection } = await made.next();
        assert.ok(connection);
        const { socket } = connection;
        socket.write("MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nBDAT 7 LAST\r\nhello\r\n");
        let said = "";
        for await (const data of socket) {
            said += String(data);
            if (said.includes("taken")) {
                break;
            }
        }
        assert.match(said, /^250 ok\r\n250 ok\r\n250 taken/);
    });

    it("has a time of its own, after which nothing is sent twice", async () => {
        const { way, heard } = await scripted("220 mute", [[/^\.$/, undefined], ...SMTP]);
        const kept = nodemailer.createTransport(transport({ ...way, answerTimeout: 10_000, dataTimeout: 300 }));
        closing.push(() => kept.close());
        const error = await rejection(SendFailed, kept.sendMail(MAIL));
        assert.deepEqual([error.code, error.outcome], ["timed_out", "unknown"]);
        assert.match(error.message, /not known/);
        assert.ok(error.messageId.startsWith("<") && error.message.includes(error.messageId));
        assert.equal(heard.filter((line) => line === ".").length, 1);
        const other = { ...way, dataTimeout: 0 };
        assert.throws(() => transport(other), /dataTimeout must be/);
        assert.throws(() => sessions({ ...way, protocol: "imap", answerTimeout: -1 }), /answerTimeout must be/);
    });
});

describe("ImapFlow in a session", () => {
    it("whose commands are refused, for the mailbox is not connected, ends the loop with the reason", async () => {
        const refusal = (line: string) => `${tagOf(line)} BAD User is authenticated but not connected.`;
        const { way, heard } = await scripted(GREETING, [[/ (SELECT|NOOP)/, refusal], ...IMAP]);
        let tokens = 0;
        const token = () => `${TOKEN}${(tokens += 1)}`;
        const made = imapflow.sessions({
            ...way,
            token,
            policy: { backoffBase: 20, backoffMax: 50, loginInterval: 1 },
        });
        closing.push(() => made.close());
        const loop = async () => {
            for await (const connection of made) {
                await connection.use(({ client }) => client.mailboxOpen("INBOX"));
                assert.equal(connection.verdict?.cause, "not_connected");
            }
        };
        assert.match((await rejection(NeedsUser, loop())).message, /authenticated but not connected/);
        assert.ok(heard.filter((line) => / AUTHENTICATE /.test(line)).length <= 3);
    });

    it("whose command is refused for another reason tells the program", async () => {
        const refusal = (line: string) => `${tagOf(line)} NO [NONEXISTENT] no such mailbox`;
        const { way } = await scripted(GREETING, [[/ SELECT /, refusal], ...IMAP]);
        const made = imapflow.sessions(way);
        closing.push(() => made.close());
        const { value: connection } = await made.next();
        await assert.rejects(
            async () => connection?.use(({ client }) => client.mailboxOpen("INBOX")),
            /Command failed/,
        );
    });

    it("that gives up for its own time-out is told as one", async () => {
        const { way } = await scripted(GREETING, [[/ SELECT /, undefined], ...IMAP]);
        const made = imapflow.sessions({ ...way, imapflow: { socketTimeout: 300 } });
        closing.push(() => made.close());
        const { value: connection } = await made.next();
        assert.ok(connection);
        assert.equal(await connection.use(({ client }) => client.mailboxOpen("INBOX")), undefined);
        assert.equal(connection.verdict?.cause, "timed_out");
    });

    it("is asked for a harmless command, where nothing was said for long", async () => {
        const { way, heard } = await scripted(GREETING, IMAP);
        const made = imapflow.sessions(way);
        closing.push(() => made.close());
        assert.ok((await made.next()).value);
        made.networkBack();
        await until("it is asked", () => heard.some((line) => / NOOP/.test(line)));
        assert.equal(made.status().standing, "given");
    });
});

describe("Nodemailer", () => {
    it("sends the token over TLS only, whatever is put beside its options", async () => {
        const inTheClear: string[] = [];
        const plain = net.createServer((socket) => {
            socket
                .on("error", () => undefined)
                .on("data", (data) => {
                    inTheClear.push(data.toString());
                    socket.write(/^EHLO/.test(data.toString()) ? "250-hello\r\n250 AUTH XOAUTH2\r\n" : "235 in\r\n");
                });
            socket.write("220 plain\r\n");
        });
        closing.push(() => plain.close());
        await once(plain.listen(0, "127.0.0.1"), "listening");
        const { port } = plain.address() as net.AddressInfo;
        const { way, heard } = await scripted("220 secure", SMTP);
        const beside: object[] = [
            { secure: false },
            { secure: false, requireTLS: false, ignoreTLS: true },
            { secure: false, requireTLS: false, host: "127.0.0.1", port, getSocket: undefined },
            { secure: false, requireTLS: false, host: "127.0.0.1", port, getSocket: undefined, pool: true },
            { secure: false, requireTLS: false, tls: { rejectUnauthorized: false } },
        ];
        for (const options of beside) {
            const own = nodemailer.createTransport({ ...login(way), ...options });
            const failed = "getSocket" in options;
            if (failed) {
                assert.match((await rejection(Error, own.verify())).message, /the token was not sent/);
            } else {
                assert.equal(await own.verify(), true);
            }
            own.close();
        }
        assert.ok(inTheClear.length > 0 && heard.some((line) => /^AUTH/.test(line)));
        const octets = Buffer.from(`user=${USER}\x01auth=Bearer ${TOKEN}\x01\x01`).toString("base64");
        assert.ok(inTheClear.every((text) => !text.includes(TOKEN) && !text.includes(octets.slice(0, 40))));
    });

    it("shows no token that a server repeats behind the login", async () => {
        const inBase64 = Buffer.from(TOKEN).toString("base64");
        for (const [stage, words] of [
            [/^MAIL/, `550 5.1.0 you said ${TOKEN} and ${inBase64}`],
            [/^\.$/, `554-5.6.0 refused\r\n554 5.6.0 for ${TOKEN}`],
            [/^EHLO/, undefined],
        ] as const) {
            const rules: Rule[] = words === undefined ? SMTP : [[stage, words], ...SMTP];
            const { way } = await scripted("220 echo", rules);
            const logged: unknown[] = [];
            const log = (...given: unknown[]) => void logged.push(given);
            const logger = {
                debug: log,
                info: log,
                warn: log,
                error: log,
                trace: log,
                fatal: log,
                level: () => undefined,
            };
            for (const options of [
                { ...login(way), logger, debug: true },
                { ...login(way), pool: true, logger },
            ]) {
                const own = nodemailer.createTransport(options as object);
                const came = await own.sendMail(MAIL).catch((error: unknown) => error);
                assert.equal(came instanceof Error, words !== undefined);
                const shown = inspect([came, logged], { depth: 9, showHidden: true });
                assert.ok(!shown.includes(TOKEN) && !shown.includes(inBase64.slice(0, 40)), shown);
                own.close();
            }
            const kept = nodemailer.createTransport(transport(way));
            const came = await kept.sendMail(MAIL).catch((error: unknown) => error);
            const shown = inspect(came, { depth: 9, showHidden: true });
            assert.ok(!shown.includes(TOKEN) && !shown.includes(inBase64.slice(0, 40)), shown);
            kept.close();
        }
    });

    it("tells what is wrong with a token source as every front door does", async () => {
        const { way } = await scripted("220 hello", SMTP);
        const hangs = { ...login({ ...way, token: () => new Promise<never>(() => undefined), timeout: 300 }) };
        assert.match((await rejection(Error, nodemailer.createTransport(hangs).verify())).message, /in time/);
        const wrong = login({ ...way, token: () => undefined as never });
        assert.match((await rejection(Error, nodemailer.createTransport(wrong).verify())).message, /gave undefined/);
        assert.ok(LoginFailed);
    });
});
