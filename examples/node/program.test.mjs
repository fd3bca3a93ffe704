// Tests of a program of one's own: `node --test`. In Vitest or Jest it is the same.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { connect, sessions } from "mailbearer/imapflow";
import { Server } from "mailbearer/testing";

// The program that is tested.
async function unread(options) {
    const client = await connect(options);
    await client.mailboxOpen("INBOX", { readOnly: true });
    const found = await client.search({ seen: false });
    await client.logout();
    return found.length;
}

const user = "joe@gmail.com";
let server;
before(async () => {
    server = await Server.start();
});
after(() => server.stop());

test("it counts", async () => {
    const token = server.issueToken(user);
    const before = await unread({ user, token, ...server.at("imap") });
    server.deliver(user, Buffer.from("Subject: one more\r\n\r\nhello\r\n"));
    assert.equal(await unread({ user, token, ...server.at("imap") }), before + 1);
});

test("a token that is over", async () => {
    const token = server.issueToken(user, { lifetime: 0 });
    const told = { code: "token_rejected", advice: "refresh_token" };
    await assert.rejects(unread({ user, token, ...server.at("imap") }), told);
});

// Tokens of a second: what takes hours with a provider takes two seconds here.
test("sessions outlive their tokens", async () => {
    const brief = await Server.start({ flavour: "outlook", tokenLifetime: 1_000 });
    const token = () => ({ token: brief.issueToken("joe@outlook.com"), expiresInMs: 1_000 });
    const seen = [];
    for await (const connection of sessions({ user: "joe@outlook.com", token, ...brief.at("imap") })) {
        await connection.use(async ({ client }) => {
            await client.mailboxOpen("INBOX");
            seen.push(connection.generation);
            await connection.wait();
        });
        if (seen.length === 3) {
            break;
        }
    }
    await brief.stop();
    assert.deepEqual(seen, [1, 2, 3]);
});
