/** A mailbox of a real Dovecot is followed: IDLE, a mute path, and each new message told once across sessions. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect as tcp, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError, connect, MailboxRefused, Misuse, sessions } from "mailbearer";
import { ROOT } from "./places.mjs";
import { RealServers, realToken } from "./real_servers.mjs";
import { rejection, until } from "./waiting.mjs";

const USER = "joe@example.com";
const [EXPIRIES, CUTS] = [50, 20];
const ANSWER_MS = 1_000;

let servers: RealServers;

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

/** A way to a real Dovecot that can turn into a black hole, and a mailbox there: see `tests/servers/paths.py`. */
class Path {
    static #program: ChildProcess | undefined;
    static #control = 0;
    static #ca = "";
    readonly #answers: AsyncIterator<string>;
    private constructor(
        private readonly socket: Socket,
        readonly mailbox: string,
    ) {
        this.#answers = createInterface(socket)[Symbol.asyncIterator]();
    }
    host = "";
    port = 0;
    readonly ca = Path.#ca;

    static async startAll(): Promise<void> {
        this.#program = spawn("python3", [join(ROOT, "tests", "servers", "paths.py")], {
            stdio: ["pipe", "pipe", "inherit"],
        });
        assert.ok(this.#program.stdout);
        const [line] = (await once(createInterface(this.#program.stdout), "line")) as [string];
        const facts = JSON.parse(line) as { control: number; ca: string };
        [this.#control, this.#ca] = [facts.control, facts.ca];
    }

    static async stopAll(): Promise<void> {
        this.#program?.stdin?.end();
        await (this.#program && once(this.#program, "exit"));
    }

    static async open(mailbox: string): Promise<Path> {
        const path = new Path(tcp(this.#control, "127.0.0.1"), mailbox);
        Object.assign(path, await path.#say({ mailbox }));
        return path;
    }

    /** What is open swallows all from now on; what is opened works. */
    async cut(): Promise<void> {
        await this.#say({ call: "cut" });
    }

    async deliver(): Promise<void> {
        await this.#say({ call: "deliver" });
    }

    async token(): Promise<string> {
        const { returned } = (await this.#say({ call: "token", lives: 600 })) as { returned: string };
        return returned;
    }

    close(): void {
        this.socket.destroy();
    }

    async #say(what: object): Promise<unknown> {
        this.socket.write(`${JSON.stringify(what)}\n`);
        const { value } = await this.#answers.next();
        return JSON.parse(String(value));
    }
}

/** A program that follows a mailbox, with the cursor that it would store. */
class Follower {
    readonly uids: number[] = [];
    sessions = 0;
    isStopping = false;
    #cursor: string | undefined;

    /** Whether something was told in this session. */
    isFollowing = false;
    /** Why the sessions ended that did not end by a renewal. */
    readonly endings: string[] = [];

    async run(path: Path, reissue: number, lives: number): Promise<void> {
        const source = async () => ({ token: await path.token(), expiresInMs: lives });
        const policy = { backoffBase: 50, backoffMax: 200, loginInterval: 1, endsWithToken: true };
        const at = { host: path.host, port: path.port, tls: "implicit", tlsOptions: { ca: path.ca } } as const;
        const options = { user: USER, token: source, policy, ...at, timeout: ANSWER_MS };
        for await (const connection of sessions({ protocol: "imap", ...options })) {
            this.isFollowing = false;
            this.sessions += 1;
            await connection.use(async () => {
                const how = { since: this.#cursor, reissue, answer: ANSWER_MS };
                for await (const event of connection.newMessages(path.mailbox, how)) {
                    this.isFollowing = true;
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
            if (connection.verdict !== undefined && connection.verdict.cause !== "no_fault") {
                this.endings.push(connection.verdict.cause);
            }
        }
    }
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

before(async () => {
    [servers] = await Promise.all([RealServers.start(), Path.startAll()]);
});
after(async () => {
    await Promise.all([servers.stop(), Path.stopAll()]);
});

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
            assert.match(
                error.message,
                /^The mailbox "Nope" cannot be followed \(check the name with client.list\(\)\)/,
            );
            assert.match(error.message, /Mailbox doesn't exist: Nope/);
            assert.equal(error.mailbox, "Nope");
            assert.throws(() => connection.newMessages("INBOX", { since: "soon" }), ConfigError);
            break;
        }
        for await (const connection of sessions({ protocol: "pop3", user: USER, token, ...servers.at("pop3") })) {
            assert.throws(() => connection.idle(), Misuse);
            break;
        }
    });

    it("is read on after a path that swallows all", async () => {
        const path = await Path.open("node swallowed");
        const follower = new Follower();
        const work = follower.run(path, 1_000, 600_000);
        await until("a session", () => follower.isFollowing);
        await path.deliver();
        await until("the first message", () => follower.uids.length === 1);
        await path.cut();
        const begun = performance.now();
        await path.deliver();
        await until("the second message", () => follower.uids.length === 2);
        // IDLE anew, its answer, back-off and login.
        assert.ok(performance.now() - begun < 1_000 + ANSWER_MS + 5_000);
        follower.isStopping = true;
        await path.deliver();
        await work;
        path.close();
        assert.deepEqual([follower.uids, follower.endings], [numbers(3), ["timed_out"]]);
    });

    it(`tells each message once over ${EXPIRIES} expiries and ${CUTS} black holes`, async () => {
        const path = await Path.open("node once");
        const follower = new Follower();
        const work = follower.run(path, 400, 1_000);
        let [delivered, cuts] = [0, 0];
        await until("a session", () => follower.isFollowing);
        while (follower.sessions < EXPIRIES + CUTS || cuts < CUTS) {
            await path.deliver();
            delivered += 1;
            if (cuts < CUTS && follower.isFollowing && follower.sessions > 2 * cuts) {
                const cutIn = follower.sessions;
                await path.cut();
                cuts += 1;
                await until("another session", () => follower.sessions > cutIn);
            }
            await sleep(100);
        }
        await until("all that was delivered", () => follower.uids.length === delivered);
        follower.isStopping = true;
        await path.deliver();
        await work;
        path.close();
        assert.deepEqual([cuts, follower.uids], [CUTS, numbers(delivered + 1)]);
    });
});
