/** What connections are made of: addresses tried in turn, probes of the system, and certificates that were verified. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import dns from "node:dns";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import * as net from "node:net";
import { afterEach, beforeEach, describe, it } from "node:test";
import tls from "node:tls";
import nodemailer from "nodemailer";
import { connect, LoginFailed, type MailProtocol, sessions } from "mailbearer";
import * as imapflow from "mailbearer/imapflow";
import { login } from "mailbearer/nodemailer";
import { Server } from "mailbearer/testing";
import { certificate, type Identity } from "./certificates.mjs";
import { rejection, until } from "./waiting.mjs";

const USER = "joe@gmail.com";
const ATTEMPT_MS = 250;

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

/** The name `two.example.test` has these addresses. */
function named(context: { mock: { method: typeof import("node:test").mock.method } }, ...addresses: string[]): string {
    const found = addresses.map((address) => ({ address, family: net.isIP(address) }));
    context.mock.method(dns, "lookup", (_: string, __: object, done: (error: null, all: object[]) => void) =>
        setImmediate(done, null, found),
    );
    return "two.example.test";
}

/** An address at which the system takes no more connections: the next SYN has no answer. */
async function swallows(address: string, port: number): Promise<void> {
    const program =
        `import socket,sys;s=socket.socket();s.bind(('${address}',${port}));s.listen(0);` +
        `c=[socket.socket() for _ in range(4)];[(x.setblocking(False),x.connect_ex(('${address}',${port}))) for x in c];` +
        "print(1,flush=True);sys.stdin.read()";
    const child = spawn("python3", ["-c", program], { stdio: ["pipe", "pipe", "inherit"] });
    closing.push(() => child.stdin.end());
    await once(child.stdout, "data");
}

/** For `two.example.test`, at the port of the testing server. */
async function front(identity: Identity, port = 0): Promise<number> {
    const secure = tls.createServer(identity, (socket) => {
        const behind = tls.connect({ port: server.port("imap"), host: "127.0.0.1", rejectUnauthorized: false });
        socket.on("error", () => behind.destroy());
        behind.on("error", () => socket.destroy());
        socket.pipe(behind).pipe(socket);
        socket.on("close", () => behind.destroy());
        behind.on("close", () => socket.destroy());
    });
    secure.on("tlsClientError", () => undefined);
    const sockets: Socket[] = [];
    secure.on("connection", (socket) => sockets.push(socket));
    closing.push(() => {
        secure.close();
        sockets.forEach((socket) => socket.destroy());
    });
    await once(secure.listen(port, "127.0.0.1"), "listening");
    return (secure.address() as net.AddressInfo).port;
}

describe("the addresses of a host", () => {
    const identity = certificate(undefined, "DNS:two.example.test");

    it("are all tried, the next one soon after the one before, and one that swallows packets is not waited for", async (context) => {
        const port = await front(identity);
        await swallows("127.0.0.2", port);
        const host = named(context, "127.0.0.2", "127.0.0.1");
        const way = { host, port, user: USER, tlsOptions: { ca: identity.ca } };
        const connection = await connect({ ...way, protocol: "imap", token: server.issueToken(USER) });
        assert.ok(connection.elapsed >= ATTEMPT_MS - 5 && connection.elapsed < 5_000, `${connection.elapsed} ms`);
        assert.equal(connection.socket.remoteAddress, "127.0.0.1");
        assert.equal(connection.socket.authorized, true);
        await connection.close();
        const client = await imapflow.connect({ ...way, token: server.issueToken(USER) });
        await client.logout();
        const made = sessions({ ...way, protocol: "imap", token: () => server.issueToken(USER) });
        assert.ok((await made.next()).value);
        await made.close();
    });

    it("that refuse are passed over at once", async (context) => {
        const port = await front(identity);
        const host = named(context, "127.0.0.3", "127.0.0.4", "127.0.0.1");
        const options = { protocol: "imap", user: USER, host, port, tlsOptions: { ca: identity.ca } } as const;
        const connection = await connect({ ...options, token: server.issueToken(USER) });
        assert.ok(connection.elapsed < 2 * ATTEMPT_MS, `${connection.elapsed} ms`);
        await connection.close();
    });

    it("that are slow are kept while the next is tried: the first to answer is taken, and the other is closed", async (context) => {
        const port = await front(identity);
        await swallows("127.0.0.2", port);
        // The good one comes first, and takes longer than the time after which the next is tried.
        const host = named(context, "127.0.0.1", "127.0.0.2");
        const real = net.Socket.prototype.connect;
        const held: Array<() => void> = [];
        context.mock.method(net.Socket.prototype, "connect", function (this: Socket, ...given: never[]) {
            const [first] = given.flat() as Array<{ host?: string; port?: number }>;
            if (first?.host === "127.0.0.1" && first.port === port) {
                held.push(() => void Reflect.apply(real, this, given));
                setTimeout(() => held.pop()?.(), 2 * ATTEMPT_MS);
                return this;
            }
            return Reflect.apply(real, this, given) as Socket;
        });
        const options = { protocol: "imap", user: USER, host, port, tlsOptions: { ca: identity.ca } } as const;
        const connection = await connect({ ...options, token: server.issueToken(USER) });
        assert.equal(connection.socket.remoteAddress, "127.0.0.1");
        assert.ok(connection.elapsed >= 2 * ATTEMPT_MS - 5, `${connection.elapsed} ms`);
        await connection.close();
    });

    it("that all swallow packets are given up at the one deadline", async (context) => {
        const port = await front(identity);
        await swallows("127.0.0.2", port);
        await swallows("127.0.0.3", port);
        const host = named(context, "127.0.0.2", "127.0.0.3");
        const begun = performance.now();
        const options = { protocol: "imap", user: USER, token: "abc", host, port, timeout: 600 } as const;
        assert.equal((await rejection(LoginFailed, connect(options))).code, "unreachable");
        assert.ok(performance.now() - begun < 1_500);
    });
});

describe("the system asks whether the peer is there", () => {
    /** Whether the timer of a socket is the one for keep-alive probes: the second field after the queues is 02. */
    function isProbed({ localPort }: Socket): boolean {
        const port = (localPort ?? 0).toString(16).toUpperCase().padStart(4, "0");
        const lines = ["tcp", "tcp6"].flatMap((file) => readFileSync(`/proc/net/${file}`, "utf8").split("\n"));
        const line = lines.find((one) => one.trim().split(/\s+/)[1]?.endsWith(`:${port}`));
        return line?.trim().split(/\s+/)[5]?.startsWith("02:") === true;
    }

    for (const mode of ["implicit", "starttls"] as const) {
        it(`on every connection that a front door gives (${mode})`, async () => {
            const options = (protocol: MailProtocol) => ({ user: USER, ...server.at(protocol, mode) });
            const token = () => server.issueToken(USER);
            for (const protocol of ["imap", "pop3", "smtp"] as const) {
                const one = await connect({ ...options(protocol), protocol, token });
                const made = sessions({ ...options(protocol), protocol, token });
                const { value } = await made.next();
                // While what was written is not acknowledged, the system shows another timer.
                const sockets = [one.socket, value?.socket as Socket];
                await until(`${protocol} is probed`, () => sockets.every(isProbed));
                await Promise.all([one.close(), made.close()]);
            }
            const transport = login({ ...options("smtp"), token });
            const given = await new Promise<Socket>((resolve, reject) =>
                transport.getSocket({}, (error, socket) =>
                    error ? reject(error) : resolve((socket as { connection: Socket }).connection),
                ),
            );
            await until("what Nodemailer gets is probed", () => isProbed(given));
            given.destroy();
        });
    }
});

describe("a certificate", () => {
    it("is verified whatever is added to the options later", async () => {
        const wrong = certificate("/CN=Nobody", "DNS:other.example.test");
        const port = await front(wrong);
        for (const add of [
            { checkServerIdentity: () => undefined },
            { rejectUnauthorized: false },
            { servername: "other.example.test" },
            { pskCallback: () => null },
        ]) {
            const tlsOptions: tls.SecureContextOptions = { ca: wrong.ca };
            const options = { user: USER, token: "abc", host: "127.0.0.1", port, tlsOptions };
            const made = sessions({ ...options, protocol: "imap" });
            const own = nodemailer.createTransport(login({ ...options, port }));
            Object.assign(tlsOptions, add);
            for (const failing of [() => made.next(), () => own.verify()]) {
                assert.equal((await rejection(LoginFailed, failing())).failure.cause, "tls_failed");
            }
            await made.close();
        }
        const { checkServerIdentity } = tls;
        Object.assign(tls, { checkServerIdentity: () => undefined });
        const options = { protocol: "imap", user: USER, token: "abc", host: "127.0.0.1", port } as const;
        const error = await rejection(LoginFailed, connect({ ...options, tlsOptions: { ca: wrong.ca } }));
        Object.assign(tls, { checkServerIdentity });
        assert.equal(error.code, "tls_failed");
    });

    it("that has the host as its common name only is of nobody", async (context) => {
        const only = certificate(undefined, "email:postmaster@two.example.test", 2, "/CN=two.example.test");
        const port = await front(only);
        const host = named(context, "127.0.0.1");
        const options = { protocol: "imap", user: USER, token: "abc", host, port } as const;
        const error = await rejection(LoginFailed, connect({ ...options, tlsOptions: { ca: only.ca } }));
        assert.equal(error.code, "tls_failed");
        assert.match(error.message, /certificate of another host/);
    });
});
