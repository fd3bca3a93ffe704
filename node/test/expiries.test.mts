/** 50 token expiries, at about one in a second: a session makes no more connections than that. All at the same time. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import nodemailer from "nodemailer";
import { sessions, type TokenSource } from "mailbearer";
import * as imapflow from "mailbearer/imapflow";
import { transport } from "mailbearer/nodemailer";
import { Server } from "mailbearer/testing";
import { Counted } from "./waiting.mjs";

const USER = "joe@gmail.com";
const EXPIRIES = 50;
const LIFE_MS = 900;
/** So long that a session that is renewed ahead lives about a second. */
const RENEWED_LIFE_MS = 1_400;
const AT_END = { renewal: "at_end", backoffBase: 20, backoffMax: 100, loginInterval: 1 } as const;

async function withServer(
    lifetime: number,
    work: (server: Server, token: TokenSource) => Promise<void>,
): Promise<void> {
    const server = await Server.start({ tokenLifetime: lifetime });
    try {
        await work(server, () => ({ token: server.issueToken(USER), expiresInMs: lifetime }));
    } finally {
        await server.stop();
    }
}

function subjects(server: Server): string[] {
    return server.submitted().map(({ content }) => /^Subject: (.*)\r$/m.exec(content.toString())?.[1] ?? "");
}

describe(`${EXPIRIES} token expiries`, { concurrency: true }, () => {
    it("that the server cuts: ImapFlow goes on where it was", () =>
        withServer(LIFE_MS, async (server, token) => {
            const counted = new Counted(server);
            let selected = false;
            for await (const connection of imapflow.sessions({
                user: USER,
                token,
                policy: AT_END,
                ...server.at("imap"),
            })) {
                const { resumed, generation } = connection;
                assert.equal(resumed?.protocol === "imap" && resumed.selected?.name === "INBOX", selected);
                if (generation > EXPIRIES) {
                    break;
                }
                selected = false;
                await connection.use(async ({ client }) => {
                    const { exists } = await client.mailboxOpen("INBOX");
                    selected = exists === 3;
                    for (;;) {
                        const all = await client.fetchAll("1:*", { envelope: true, source: true });
                        assert.ok(all.every(({ source }) => source !== undefined && source.length > 0));
                        await connection.wait(20);
                    }
                });
                assert.equal(connection.verdict?.cause, "token_expired");
            }
            assert.equal(counted.of("cut"), EXPIRIES);
            assert.equal(counted.of("refused"), 0);
        }));

    for (const client of ["ImapFlow", "a socket"]) {
        it(`that the server never sees: ${client} is renewed ahead`, () =>
            withServer(RENEWED_LIFE_MS, async (server, token) => {
                const counted = new Counted(server);
                const options = {
                    user: USER,
                    token,
                    policy: { backoffBase: 20, loginInterval: 1 },
                    ...server.at("imap"),
                };
                const made =
                    client === "ImapFlow" ? imapflow.sessions(options) : sessions({ ...options, protocol: "imap" });
                for await (const connection of made) {
                    await connection.wait();
                    if (connection.generation === EXPIRIES) {
                        break;
                    }
                }
                assert.equal(counted.of("refused"), 0);
                // On a busy machine a session may be late.
                assert.ok(counted.of("cut") <= EXPIRIES / 5, `${counted.of("cut")} sessions were cut`);
            }));
    }

    it("that the server cuts: Nodemailer delivers each message once", () =>
        withServer(LIFE_MS, async (server, token) => {
            const counted = new Counted(server);
            const options = { user: USER, token, policy: AT_END, ...server.at("smtp") };
            const transporter = nodemailer.createTransport(transport(options));
            const sent: string[] = [];
            while (counted.of("cut") < EXPIRIES) {
                sent.push(`message ${sent.length + 1}`);
                const info = await transporter.sendMail({
                    from: USER,
                    to: USER,
                    subject: sent.at(-1),
                    text: "421 is only text\n",
                });
                assert.deepEqual(info.accepted, [USER]);
            }
            transporter.close();
            assert.deepEqual(subjects(server), sent);
            assert.equal(counted.of("refused"), 0);
        }));

    it("that the server never sees: Nodemailer's connection is renewed between messages", () =>
        withServer(RENEWED_LIFE_MS, async (server, token) => {
            const counted = new Counted(server);
            const options = { user: USER, token, policy: { loginInterval: 1 }, ...server.at("smtp") };
            const transporter = nodemailer.createTransport(transport(options));
            const sent: string[] = [];
            while (counted.of("logged_in") < EXPIRIES) {
                sent.push(`message ${sent.length + 1}`);
                await transporter.sendMail({ from: USER, to: USER, subject: sent.at(-1), text: "hello\n" });
                await new Promise((resolve) => setTimeout(resolve, 20));
            }
            transporter.close();
            assert.deepEqual(subjects(server), sent);
            assert.ok(counted.of("cut") <= EXPIRIES / 5, `${counted.of("cut")} sessions were cut`);
        }));
});
