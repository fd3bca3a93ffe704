/** Nodemailer's transport: several connections, a rate, a limit of the wait, and what nobody knows. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import * as tls from "node:tls";
import nodemailer from "nodemailer";
import { Account, ConfigError, Misuse, NeedsUser, SendFailed, SessionEnded } from "mailbearer";
import { type SentInfo, type SessionTransport, transport, type TransportOptions } from "mailbearer/nodemailer";
import { Server, type ServerOptions } from "mailbearer/testing";
import { certificate } from "./certificates.mjs";
import { Counted, rejection, until } from "./waiting.mjs";

const USER = "joe@gmail.com";

let server: Server;
const closing: Array<() => unknown> = [];
afterEach(async () => {
    await Promise.all(closing.splice(0).map((close) => close()));
    await server.stop();
});

async function started(options: ServerOptions = {}): Promise<void> {
    server = await Server.start(options);
}

function made(options: Partial<TransportOptions> = {}): SessionTransport {
    const one = transport({ user: USER, token: server.issueToken(USER), ...server.at("smtp"), ...options } as never);
    closing.push(() => one.close());
    return one;
}

/** As Nodemailer sends. */
function sender(one: SessionTransport) {
    return nodemailer.createTransport(one as never);
}

const mail = (subject: string) => ({ from: USER, to: "ann@example.org", subject, text: "..." });
const subjects = () =>
    server.submitted().map(({ content }) => /^Subject: (.*)\r$/m.exec(Buffer.from(content).toString())?.[1]);
const many = (count: number) => Array.from({ length: count }, (_, at) => String(at));

describe("connections", () => {
    it("are one, in order, where nothing is said", async () => {
        await started();
        const outgoing = sender(made());
        await Promise.all(many(8).map((name) => outgoing.sendMail(mail(name))));
        assert.deepEqual(subjects(), many(8));
        assert.equal(server.sessions, 1);
    });

    it("are as many as may be, each message once", async () => {
        await started();
        const one = made({ maxConnections: 3 });
        const outgoing = sender(one);
        let most = 0;
        const sending = many(24).map((name) =>
            outgoing.sendMail(mail(name)).then(() => (most = Math.max(most, server.sessions))),
        );
        await Promise.all(sending);
        assert.equal(most, 3);
        assert.deepEqual(
            subjects().sort((a, b) => Number(a) - Number(b)),
            many(24),
        );
    });

    it("are no more than there are messages", async () => {
        await started();
        const outgoing = sender(made({ maxConnections: 5 }));
        for (const name of many(4)) {
            await outgoing.sendMail(mail(name));
        }
        assert.equal(server.sessions, 1);
    });

    it("are those that the server allows, and who waits for a place delays nobody", async () => {
        await started({ connectionsMax: 1 });
        const outgoing = sender(made({ maxConnections: 4, policy: { connections: 1 } }));
        await Promise.all(many(8).map((name) => outgoing.sendMail(mail(name))));
        assert.equal(subjects().length, 8);
    });

    it("are let go after so many messages", async () => {
        await started();
        const outgoing = sender(made({ maxMessages: 2 }));
        const counted = new Counted(server);
        for (const name of many(6)) {
            await outgoing.sendMail(mail(name));
        }
        assert.deepEqual([subjects().length, counted.of("logged_in")], [6, 3]);
    });

    it("survive their cuts side by side, and no message is lost or sent twice", async () => {
        await started({ tokenLifetime: 2_000 });
        const token = () => ({ token: server.issueToken(USER), expiresInMs: 2_000 });
        const outgoing = sender(
            made({ maxConnections: 3, token, policy: { renewal: "at_end", loginInterval: 1 } } as never),
        );
        for (let round = 0; round < 4; round += 1) {
            await Promise.all(many(6).map((name) => outgoing.sendMail(mail(`${round}.${name}`))));
            await sleep(700);
        }
        assert.equal(new Set(subjects()).size, 24);
        assert.equal(subjects().length, 24);
    });

    it("are of an account, where one is given, which is not ended with the transport", async () => {
        await started();
        const account = new Account({ user: USER, token: server.issueToken(USER), provider: "gmail" });
        closing.push(() => account.close());
        const { host, port, tls, tlsOptions } = server.at("smtp");
        const one = transport({ account, host, port, tls, tlsOptions, maxConnections: 2 });
        const outgoing = sender(one);
        await Promise.all(many(4).map((name) => outgoing.sendMail(mail(name))));
        one.close();
        await until("they are closed", () => server.sessions === 0);
        const next = account.sessions({ protocol: "smtp", host, port, tls, tlsOptions });
        assert.equal((await next.next()).done, false);
    });

    it("say when another message would be taken up", async () => {
        await started();
        const one = made({ maxConnections: 2 });
        const outgoing = sender(one);
        const left = many(10);
        assert.ok(one.isIdle());
        while (left.length > 0) {
            while (one.isIdle() && left.length > 0) {
                void outgoing.sendMail(mail(left.shift() as string));
            }
            if (left.length > 0) {
                assert.ok(!one.isIdle());
                await once(one, "idle");
            }
        }
        await until("all are sent", () => subjects().length === 10);
    });
});

describe("a rate", () => {
    it("holds over all connections", async () => {
        await started();
        const outgoing = sender(made({ maxConnections: 3, rateLimit: 2, rateDelta: 300 }));
        const begun = performance.now();
        await Promise.all(many(6).map((name) => outgoing.sendMail(mail(name))));
        // Two at once, two after 300 ms, two after 600.
        assert.ok(performance.now() - begun >= 590, String(performance.now() - begun));
        assert.equal(subjects().length, 6);
    });
});

describe("a limit of the wait", () => {
    it("ends it for a login that does not come, and says what is in the way", async () => {
        await started();
        const one = made({ sendTimeout: 2_000, policy: { backoffBase: 1 } });
        await one.verify();
        await server.stop();
        const error = await rejection(SendFailed, sender(one).sendMail(mail("never")));
        assert.deepEqual([error.outcome, error.code], ["not_sent", "timed_out"]);
        assert.match(error.message, /within 2000 ms.*connection_refused/);
        assert.equal((error.cause as NodeJS.ErrnoException).code, "ECONNREFUSED");
    });

    it("ends it for its turn", async () => {
        await started();
        const one = made({ rateLimit: 1, rateDelta: 60_000, sendTimeout: 1_000 });
        const outgoing = sender(one);
        await one.verify();
        await outgoing.sendMail(mail("first"));
        const error = await rejection(SendFailed, outgoing.sendMail(mail("second")));
        assert.equal(error.outcome, "not_sent");
        assert.deepEqual(subjects(), ["first"]);
    });

    it("ends it in the middle of a message, of which the server has nothing then", async () => {
        await started();
        const one = made({ sendTimeout: 2_000, policy: { backoffBase: 1 } });
        const outgoing = sender(one);
        await one.verify();
        await outgoing.sendMail(mail("first"));
        server.setFault("command", "vanish");
        const error = await rejection(SendFailed, outgoing.sendMail(mail("second")));
        assert.deepEqual([error.outcome, error.code], ["not_sent", "timed_out"]);
        await outgoing.sendMail(mail("third"));
        assert.deepEqual(subjects(), ["first", "third"]);
    });

    it("waits on for the answer to the end of a message: else nobody would know", async () => {
        await started();
        const one = made({ sendTimeout: 1_000, dataTimeout: 2_000 });
        const outgoing = sender(one);
        await one.verify();
        server.setFault("after_dot", "vanish");
        const error = await rejection(SendFailed, outgoing.sendMail(mail("second")));
        assert.equal(error.outcome, "unknown");
    });
});

describe("what nobody knows", () => {
    it("is told with the Message-ID as it stands in the message, and why", async () => {
        await started();
        const outgoing = sender(made());
        for (const given of [
            { ...mail("plain"), messageId: "<known@example.org>" },
            {
                envelope: { from: USER, to: "ann@example.org" },
                raw: "From: a@b.example\r\nMessage-Id:\r\n <known@example.org>\r\n\r\nMessage-ID: <no@x>\r\n",
            },
        ]) {
            server.setFault("after_dot", "drop");
            const error = await rejection(SendFailed, outgoing.sendMail(given));
            assert.deepEqual([error.outcome, error.messageId], ["unknown", "<known@example.org>"]);
            assert.ok(error.message.includes("<known@example.org>"));
            assert.ok(error.cause instanceof SessionEnded, String(error.cause));
        }
    });

    it("is not said of what the server refused, or never heard", async () => {
        await started();
        const outgoing = sender(made());
        await assert.rejects(outgoing.sendMail({ ...mail("bad"), envelope: { from: USER, to: [] } }), (error) => {
            return !(error instanceof SendFailed);
        });
        const stopped = sender(made({ token: server.issueToken(USER, { lifetime: 0 }) } as never));
        await rejection(NeedsUser, stopped.sendMail(mail("never")));
        await rejection(NeedsUser, stopped.sendMail(mail("never")));
    });

    it("is that it was not sent, after three sessions that ended in it", async () => {
        await started();
        const identity = certificate();
        let sessions = 0;
        const cutting = tls.createServer(identity, (socket) => {
            socket.on("error", () => undefined);
            socket.write("220 ready\r\n");
            socket.on("data", (data) => {
                const [verb] = String(data).split(/[ \r]/);
                const answers: Record<string, string> = {
                    EHLO: "250-here\r\n250 AUTH XOAUTH2\r\n",
                    AUTH: "235 ok\r\n",
                };
                if (verb === "MAIL") {
                    sessions += 1;
                    socket.destroy();
                } else {
                    socket.write(answers[verb as string] ?? "250 ok\r\n");
                }
            });
        });
        cutting.listen(0, "127.0.0.1");
        await once(cutting, "listening");
        closing.push(() => cutting.close());
        const { port } = cutting.address() as AddressInfo;
        const policy = { loginInterval: 1, backoffBase: 1 };
        const one = made({ host: "localhost", port, tlsOptions: { ca: identity.ca }, policy });
        const error = await rejection(SendFailed, sender(one).sendMail(mail("never")));
        assert.deepEqual([error.outcome, error.code, sessions], ["not_sent", "connection_lost", 3]);
        assert.match(error.message, /in 3 sessions/);
    });
});

describe("what the server refuses", () => {
    it("for now is told as not sent, and for good as refused, with its reply", async () => {
        await started({ greylist: 60_000, flavour: "dovecot" });
        const outgoing = sender(made());
        const later = await rejection(SendFailed, outgoing.sendMail(mail("grey")));
        assert.deepEqual([later.outcome, Math.floor((later.responseCode ?? 0) / 10)], ["not_sent", 45]);
        assert.deepEqual([later.rejected, later.code], [["ann@example.org"], later.failure?.cause]);
        assert.match(later.message, /send it again in some minutes\. It said: 45\d /);
        assert.ok((later.cause as { rejectedErrors?: unknown[] }).rejectedErrors?.length === 1);

        server.refuseRecipient("ann@example.org", "unknown");
        const never = await rejection(SendFailed, outgoing.sendMail({ ...mail("never"), messageId: "<n@x.example>" }));
        assert.deepEqual([never.outcome, never.responseCode, never.messageId], ["refused", 550, "<n@x.example>"]);
        assert.deepEqual(subjects(), []);
    });

    it("of some recipients is told with the others' success, recipient by recipient", async () => {
        await started();
        server.refuseRecipient("nobody@example.org");
        const to = ["ann@example.org", "nobody@example.org"];
        const sent: SentInfo = await sender(made()).sendMail({ ...mail("half"), to });
        assert.deepEqual([sent.accepted, sent.rejected], [["ann@example.org"], ["nobody@example.org"]]);
        const [told] = sent.rejectedErrors ?? [];
        assert.deepEqual([told?.recipient, told?.responseCode], ["nobody@example.org", 550]);
        assert.ok(sent.messageSize > 100 && sent.messageTime >= 0 && sent.envelopeTime >= 0);
        assert.ok(
            sent.ehlo?.some((line) => line.startsWith("SIZE")),
            sent.ehlo?.join(),
        );
    });
});

describe("the end", () => {
    it("comes after what waits, and refuses what comes then", async () => {
        await started();
        const one = made({ maxConnections: 2 });
        const outgoing = sender(one);
        const sending = many(6).map((name) => outgoing.sendMail(mail(name)));
        one.close();
        await rejection(Misuse, outgoing.sendMail(mail("late")));
        await Promise.all(sending);
        await until("they are closed", () => server.sessions === 0);
        assert.equal(subjects().length, 6);
    });

    it("does not wait for a login that fails again and again", async () => {
        await started();
        const one = made({ maxConnections: 2 });
        await sender(one).sendMail(mail("first"));
        await server.stop();
        const sending = rejection(Misuse, sender(one).sendMail(mail("never")));
        await sleep(50);
        one.close();
        await sending;
    });
});

describe("numbers that cannot work", () => {
    it("are refused before anything is opened", async () => {
        await started();
        for (const [name, value] of [
            ["maxConnections", 0],
            ["maxMessages", -1],
            ["rateLimit", 0.5],
            ["rateDelta", NaN],
            ["sendTimeout", "7"],
            ["sendTimeout", 3e9],
        ]) {
            assert.throws(
                () => made({ [name as string]: value }),
                (error) => {
                    return error instanceof ConfigError && error.message.includes(name as string);
                },
            );
        }
    });
});
