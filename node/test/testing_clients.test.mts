/** The ordinary calls of ImapFlow and Nodemailer, each with the real one, against the testing server. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { ImapFlow } from "imapflow";
import { createTransport } from "nodemailer";
import { connect, ConfigError, LoginFailed, Misuse } from "mailbearer";
import { caFile, Server } from "mailbearer/testing";

const USER = "joe@gmail.com";
const MAIL = Buffer.from(
    "From: =?utf-8?q?J=C3=BCrgen?= <juergen@example.org>\r\nTo: joe@gmail.com\r\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\r\n" +
        "Date: Sat, 28 Nov 2026 08:00:00 +0000\r\nMessage-ID: <new@example.org>\r\nMIME-Version: 1.0\r\n" +
        'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n' +
        "Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n" +
        "Content-Disposition: attachment; filename=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--b--\r\n",
);

async function opened(server: Server): Promise<ImapFlow> {
    const client = new ImapFlow({
        host: "localhost",
        port: server.port("imap"),
        secure: true,
        logger: false,
        auth: { user: USER, accessToken: server.issueToken(USER) },
        tls: { ca: readFileSync(caFile) },
    });
    await client.connect();
    return client;
}

it("the testing server takes a text as a message, with whatever line ends, and its tokens are nobody else's", async () => {
    const [one, other, third] = await Promise.all([Server.start(), Server.start(), Server.start({ seed: 5n })]);
    one.deliver(USER, "Subject: Grüße\n\nHello!\n");
    one.deliver(USER, Buffer.from("Subject: octets\r\n\r\nHello!\r\n"));
    const [text, octets] = one.messages(USER).slice(-2).map(String);
    assert.equal(text, "Subject: Grüße\r\n\r\nHello!\r\n");
    assert.equal(octets, "Subject: octets\r\n\r\nHello!\r\n");
    assert.notEqual(one.issueToken(USER), other.issueToken(USER));
    const fourth = await Server.start({ seed: 5n });
    assert.equal(third.issueToken(USER), fourth.issueToken(USER));
    for (const wrong of [5, null, ["a"]]) {
        assert.throws(() => one.deliver(USER, wrong as never), ConfigError);
    }
    assert.throws(() => one.deliver(USER, "x", { date: new Date("never") }), ConfigError);
    assert.throws(() => one.deliver(USER, "x", { flag: [] } as never), /did you mean flags\?/);
    await Promise.all([one, other, third, fourth].map((server) => server.stop()));
});

it("a testing server that is stopped can be read, and is told nothing", async () => {
    const server = await Server.start({ users: [USER] });
    const token = server.issueToken(USER);
    await server.stop();
    for (const call of [
        () => server.at("imap"),
        () => server.port("imap"),
        () => server.issueToken(USER),
        () => server.revokeToken(token),
        () => server.addUser("eve@gmail.com"),
        () => server.deliver(USER, "Subject: hello\n\n"),
        () => server.refuse("account_disabled"),
        () => server.refuseRecipient("ann@example.org"),
        () => server.setFault("login", "drop"),
        () => server.clearFault(),
        () => server.createMailbox(USER, "More"),
        () => server.deleteMailbox(USER, "More"),
        () => server.restart(),
    ]) {
        assert.throws(call, (error) => error instanceof Misuse && /is stopped/.test(error.message), String(call));
    }
    assert.deepEqual([server.messages(USER).length, server.submitted().length, server.users.length], [3, 0, 1]);
    await server.stop();
});

for (const flavour of ["gmail", "outlook", "dovecot"] as const) {
    describe(`the testing server, ${flavour}`, () => {
        it("answers ImapFlow's ordinary calls", async () => {
            const server = await Server.start({ flavour });
            server.deliver(USER, MAIL, { date: new Date("2026-11-28T08:00:00Z") });
            const client = await opened(server);
            const names = (await client.list()).map(({ path, specialUse }) => [path, specialUse]);
            assert.ok(names.some(([path]) => path === "INBOX"));
            assert.ok(
                names.some(([, use]) => use === "\\Trash"),
                JSON.stringify(names),
            );
            const status = await client.status("INBOX", { messages: true, unseen: true });
            assert.equal(status && status.messages, 4);
            const lock = await client.getMailboxLock("INBOX");
            assert.deepEqual(await client.search({ subject: "Grüße" }), [4]);
            assert.deepEqual(await client.search({ seen: false, since: new Date("2026-11-28") }), [4]);
            assert.deepEqual(await client.search({ or: [{ from: "sender1" }, { uid: "2" }] }, { uid: true }), [1, 2]);
            const one = await client.fetchOne("4", {
                envelope: true,
                bodyStructure: true,
                flags: true,
                source: true,
                size: true,
            });
            assert.ok(one);
            assert.equal(one.envelope?.subject, "Grüße");
            assert.equal(one.envelope?.from?.[0]?.name, "Jürgen");
            assert.equal(one.bodyStructure?.childNodes?.[1]?.type, "application/pdf");
            assert.deepEqual(one.source, MAIL);
            const { content } = await client.download("4", "2");
            const chunks: Buffer[] = [];
            for await (const chunk of content ?? []) {
                chunks.push(Buffer.from(chunk));
            }
            assert.equal(Buffer.concat(chunks).toString(), "%PDF");
            assert.equal((await client.fetchAll("1:*", { uid: true })).length, 4);
            assert.ok(await client.messageFlagsAdd("1:2", ["\\Seen", "$Work"]));
            assert.ok(await client.messageFlagsRemove("1", ["$Work"]));
            assert.ok(await client.messageFlagsSet("3", ["\\Flagged"]));
            assert.deepEqual(server.stored(USER)[1]?.flags, ["$Work", "\\Seen"]);
            assert.equal((await client.mailboxCreate("Entwürfe & mehr")).created, true);
            assert.ok(server.mailboxes(USER).includes("Entwürfe & mehr"));
            assert.ok(await client.append("Entwürfe & mehr", MAIL, ["\\Draft"], new Date()));
            assert.ok(await client.messageCopy("1", "Entwürfe & mehr"));
            const moved = await client.messageMove("2", "Entwürfe & mehr", { uid: true });
            assert.ok(moved);
            assert.deepEqual([...(moved.uidMap ?? [])], [[2, 3]]);
            assert.ok(await client.messageDelete("1"));
            assert.equal((await client.mailboxRename("Entwürfe & mehr", "Alt")).newPath, "Alt");
            assert.equal(await client.mailboxSubscribe("Alt"), true);
            assert.equal(await client.mailboxUnsubscribe("Alt"), true);
            const told = new Promise((resolve) => client.once("exists", resolve));
            const idle = client.idle();
            setTimeout(() => server.deliver(USER, MAIL), 50);
            assert.equal(((await told) as { count: number }).count, 3);
            await client.noop();
            await idle;
            lock.release();
            await client.mailboxDelete("Alt");
            await client.mailboxClose();
            await client.logout();
            await server.stop();
        });

        it("takes what Nodemailer sends, and refuses recipients, sizes and strangers", async () => {
            const server = await Server.start({ flavour, users: ["eve@example.org"], messageOctetsMax: 10_000 });
            server.refuseRecipient("nobody@example.org");
            const transport = createTransport({
                host: "localhost",
                port: server.port("smtp"),
                secure: true,
                auth: { type: "OAuth2", user: USER, accessToken: server.issueToken(USER) },
                tls: { ca: readFileSync(caFile) },
            });
            const to = ["eve@example.org", "nobody@example.org"];
            const sent = await transport.sendMail({ from: USER, to, subject: "Hi", text: "x" });
            assert.deepEqual([sent.accepted, sent.rejected], [["eve@example.org"], ["nobody@example.org"]]);
            assert.equal(server.messages("eve@example.org").length, 4);
            await assert.rejects(transport.sendMail({ from: USER, to: "nobody@example.org", text: "x" }), {
                responseCode: 550,
            });
            await assert.rejects(transport.sendMail({ from: USER, to: "eve@example.org", text: "x".repeat(20_000) }), {
                responseCode: 552,
            });
            transport.close();
            await server.stop();
        });
    });
}

describe("the testing server's accounts and refusals", () => {
    it("has a mailbox and tokens for each user", async () => {
        const server = await Server.start({ users: [USER, "eve@gmail.com"], messages: 1 });
        assert.deepEqual(server.users, ["eve@gmail.com", USER]);
        const token = server.issueToken("eve@gmail.com");
        const other = { protocol: "imap", user: USER, token, ...server.at("imap") } as const;
        await assert.rejects(connect(other), (error) => error instanceof LoginFailed && error.cause !== null);
        server.deliver("eve@gmail.com", MAIL, { mailbox: "Archive/2026", flags: ["\\Flagged"] });
        const [stored] = server.stored("eve@gmail.com", "Archive/2026");
        assert.deepEqual(stored?.flags, ["\\Flagged"]);
        assert.ok(Math.abs(Date.now() - (stored?.date.getTime() ?? 0)) < 300_000);
        assert.deepEqual(server.stored(USER, "Archive/2026"), []);
        assert.throws(() => server.deleteMailbox(USER, "Archive/2026"), ConfigError);
        await server.stop();
    });

    it("says what it cannot refuse, and what it can", async () => {
        const server = await Server.start();
        const says =
            /gmail has no words for mailbox_locked over imap and smtp .* over imap gmail can say: token_rejected/;
        assert.throws(() => server.refuse("mailbox_locked"), { name: "ConfigError", message: says });
        server.refuse("mailbox_locked", "pop3");
        const login = { protocol: "pop3", user: USER, token: server.issueToken(USER), ...server.at("pop3") } as const;
        await assert.rejects(
            connect(login),
            (error) => error instanceof LoginFailed && error.failure.cause === "mailbox_locked",
        );
        await server.stop();
        await assert.rejects(Server.start({ refuse: "insufficient_scope" }), ConfigError);
    });
});
