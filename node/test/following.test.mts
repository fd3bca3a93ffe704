/** A mailbox of a real Dovecot is followed: IDLE, a mute path, and each new message told once across sessions. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as tcp, createServer, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError, connect, MailboxRefused, Misuse, sessions } from "mailbearer";
import { RealServers, realToken } from "./real_servers.mjs";
import { rejection, until } from "./waiting.mjs";

const USER = "joe@example.com";
const [EXPIRIES, CUTS] = [50, 20];

let servers: RealServers;
before(async () => {
    servers = await RealServers.start();
});
after(async () => {
    await servers.stop();
});

const token = () => ({ token: realToken(USER), expiresInMs: 600_000 });

/** Speaks IMAP by hand, to make a mailbox and to deliver to it. */
class Mailbox {
    #tags = 0;
    private constructor(
        readonly name: string,
        private readonly socket: Socket,
    ) {}

    static async make(name: string): Promise<Mailbox> {
        const options = servers.at("imap");
        const { socket } = await connect({ protocol: "imap", user: USER, token: realToken(USER), ...options });
        const mailbox = new Mailbox(name, socket);
        await mailbox.#say(`CREATE "${name}"`);
        return mailbox;
    }

    async deliver(): Promise<void> {
        const message = "Subject: hello\r\n\r\nhello\r\n";
        await this.#say(`APPEND "${this.name}" {${message.length}}`, message);
    }

    async close(): Promise<void> {
        await this.#say(`DELETE "${this.name}"`);
        this.socket.destroy();
    }

    async #say(command: string, literal?: string): Promise<void> {
        this.#tags += 1;
        const tag = `T${this.#tags}`;
        let heard = "";
        const listen = (data: Buffer) => (heard += data.toString());
        this.socket.on("data", listen);
        this.socket.write(`${tag} ${command}\r\n`);
        if (literal !== undefined) {
            await until("leave to write", () => heard.includes("+ "));
            this.socket.write(`${literal}\r\n`);
        }
        await until(command, () => heard.includes(`${tag} OK`));
        this.socket.off("data", listen);
    }
}

/** A port that leads to another one, until it swallows what is open, or cuts it. */
class Relay {
    #pairs: [Socket, Socket][] = [];
    readonly #server = createServer((client) => {
        const server = tcp(servers.port("imap"), "127.0.0.1");
        for (const one of [client, server]) {
            one.on("error", () => undefined);
        }
        client.pipe(server).pipe(client);
        this.#pairs.push([client, server]);
    });

    async open(): Promise<number> {
        this.#server.listen(0, "127.0.0.1");
        await once(this.#server, "listening");
        return (this.#server.address() as { port: number }).port;
    }

    swallow(): void {
        for (const [client, server] of this.#pairs.splice(0)) {
            client.unpipe().resume();
            server.unpipe().resume();
        }
    }

    cut(): void {
        for (const pair of this.#pairs.splice(0)) {
            for (const one of pair) {
                one.destroy();
            }
        }
    }

    close(): void {
        this.cut();
        this.#server.close();
    }
}

/** A program that follows a mailbox, with the cursor that it would store. */
class Follower {
    readonly uids: number[] = [];
    sessions = 0;
    isStopping = false;
    #cursor: string | undefined;

    async run(mailbox: string, port: number, reissue: number, lives: number): Promise<void> {
        const source = () => ({ token: realToken(USER), expiresInMs: lives });
        const policy = { backoffBase: 50, backoffMax: 200, loginInterval: 1, endsWithToken: true };
        const options = { user: USER, token: source, policy, ...servers.at("imap"), port, timeout: 3_000 };
        for await (const connection of sessions({ protocol: "imap", ...options })) {
            this.sessions += 1;
            await connection.use(async () => {
                const how = { since: this.#cursor, reissue, answer: 3_000 };
                for await (const event of connection.newMessages(mailbox, how)) {
                    this.uids.push(...(event.kind === "messages" ? event.uids : []));
                    this.#cursor = event.cursor;
                    if (this.isStopping) {
                        return;
                    }
                }
            });
            if (this.isStopping) {
                return;
            }
        }
    }
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

describe("a mailbox that is followed", { concurrency: true }, () => {
    it("tells what changes, also when IDLE was said anew in between", async () => {
        const mailbox = await Mailbox.make("node changes");
        for await (const connection of sessions({ protocol: "imap", user: USER, token, ...servers.at("imap") })) {
            await connection.use(async () => {
                // It begins with the messages of a mailbox, which selects it.
                for await (const event of connection.newMessages(mailbox.name)) {
                    assert.deepEqual(event.kind === "messages" && event.uids, []);
                    break;
                }
                setTimeout(() => void mailbox.deliver(), 1_000);
                for await (const { exists } of connection.idle({ reissue: 300 })) {
                    assert.equal(exists, 1);
                    break;
                }
            });
            break;
        }
        await mailbox.close();
    });

    it("is refused with the server's words where it does not exist", async () => {
        for await (const connection of sessions({ protocol: "imap", user: USER, token, ...servers.at("imap") })) {
            const error = await rejection(MailboxRefused, connection.newMessages("Nope").next());
            assert.match(error.message, /Mailbox doesn't exist: Nope/);
            assert.throws(() => connection.newMessages("INBOX", { since: "soon" }), ConfigError);
            break;
        }
        for await (const connection of sessions({ protocol: "pop3", user: USER, token, ...servers.at("pop3") })) {
            assert.throws(() => connection.idle(), Misuse);
            break;
        }
    });

    it("is read on after a path that swallows all", async () => {
        const mailbox = await Mailbox.make("node swallowed");
        const relay = new Relay();
        const follower = new Follower();
        const work = follower.run(mailbox.name, await relay.open(), 1_000, 600_000);
        await until("a session", () => follower.sessions === 1);
        await mailbox.deliver();
        await until("the first message", () => follower.uids.length === 1);
        relay.swallow();
        const begun = performance.now();
        await mailbox.deliver();
        await until("the second message", () => follower.uids.length === 2);
        // IDLE anew, its answer, back-off and login.
        assert.ok(performance.now() - begun < 1_000 + 3_000 + 5_000);
        follower.isStopping = true;
        await mailbox.deliver();
        await work;
        relay.close();
        await mailbox.close();
        assert.deepEqual(follower.uids, numbers(3));
    });

    it(`tells each message once over ${EXPIRIES} expiries and ${CUTS} cuts`, async () => {
        const mailbox = await Mailbox.make("node once");
        const relay = new Relay();
        const follower = new Follower();
        const work = follower.run(mailbox.name, await relay.open(), 400, 1_500);
        let [delivered, cuts] = [0, 0];
        await until("a session", () => follower.sessions === 1);
        while (follower.sessions < EXPIRIES + CUTS) {
            await mailbox.deliver();
            delivered += 1;
            if (cuts < CUTS && follower.sessions > 2 * cuts) {
                relay.cut();
                cuts += 1;
            }
            await sleep(100);
        }
        follower.isStopping = true;
        await mailbox.deliver();
        await work;
        relay.close();
        await mailbox.close();
        assert.deepEqual([cuts, follower.uids], [CUTS, numbers(delivered + 1)]);
    });
});
