/** What stands between a program and a login: no host, no port, no way, the wrong way of TLS, a certificate of others. */
import assert from "node:assert/strict";
import dns from "node:dns";
import { once } from "node:events";
import * as net from "node:net";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import * as tls from "node:tls";
import nodemailer from "nodemailer";
import {
    type Cause,
    ConfigError,
    connect,
    GaveUp,
    LoginFailed,
    type MailProtocol,
    Provider,
    type SessionEvent,
    sessions,
} from "mailbearer";
import * as imapflow from "mailbearer/imapflow";
import { login, transport } from "mailbearer/nodemailer";
import { Server } from "mailbearer/testing";
import { certificate, type Identity } from "./certificates.mjs";
import { rejection } from "./waiting.mjs";

const USER = "joe@gmail.com";
const PROTOCOLS: readonly MailProtocol[] = ["imap", "pop3", "smtp"];
/** All of a look at a port that says nothing. */
const LOOK_MS = 6_000;

/** How a login is told to go, but for the protocol. */
interface Way {
    host: string;
    port: number;
    tls?: "implicit" | "starttls";
    tlsOptions?: tls.SecureContextOptions;
    unusualPort?: boolean;
}

/** Every way in, with the error that it gives. */
const DOORS: Record<string, (way: Way) => Promise<LoginFailed>> = {
    ...Object.fromEntries(
        PROTOCOLS.map((protocol) => [
            `connect (${protocol})`,
            (way: Way) => rejection(LoginFailed, connect({ protocol, user: USER, token: "abc", ...way })),
        ]),
    ),
    "imapflow.connect": (way) => rejection(LoginFailed, imapflow.connect({ user: USER, token: "abc", ...way })),
    "nodemailer login": (way) => sent(login({ user: USER, token: "abc", ...way })),
    "nodemailer login, pooled": (way) => sent({ ...login({ user: USER, token: "abc", ...way }), pool: true }),
};

async function sent(options: object): Promise<LoginFailed> {
    const transporter = nodemailer.createTransport(options);
    const mail = { from: USER, to: USER, subject: "never", text: "never" };
    const [one, two] = await Promise.all([
        rejection(LoginFailed, transporter.sendMail(mail)),
        rejection(LoginFailed, transporter.verify()),
    ]);
    assert.equal(one.failure.cause, two.failure.cause);
    transporter.close();
    return one;
}

/** Sessions do not give up where a network may come back: the event tells. */
const KEEPERS: Record<string, (way: Way, onEvent: (event: SessionEvent) => void) => () => unknown> = {
    sessions: (way, onEvent) => {
        const made = sessions({ protocol: "pop3", user: USER, token: "abc", ...way, onEvent });
        made.next().catch(() => undefined);
        return () => made.close();
    },
    "imapflow.sessions": (way, onEvent) => {
        const made = imapflow.sessions({ user: USER, token: "abc", ...way, onEvent });
        made.next().catch(() => undefined);
        return () => made.close();
    },
    "nodemailer transport": (way, onEvent) => {
        const made = transport({ user: USER, token: "abc", ...way, onEvent });
        made.verify()?.catch(() => undefined);
        return () => made.close();
    },
};

function firstFailure(keep: (typeof KEEPERS)[string], way: Way): Promise<SessionEvent> {
    return new Promise((resolve) => {
        const close = keep(way, (event) => {
            if (event.kind === "login_failed") {
                setImmediate(close);
                resolve(event);
            }
        });
    });
}

const closing: Array<() => unknown> = [];
afterEach(async () => {
    for (const close of closing.splice(0)) {
        await close();
    }
});

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

async function closedPort(): Promise<number> {
    const server = net.createServer();
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as net.AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    return port;
}

describe("a connection that never was is told by its cause, with the system's words and its error:", () => {
    const never: Array<[Cause, string, RegExp, () => Promise<Way>]> = [
        [
            "connection_refused",
            "ECONNREFUSED",
            /connect ECONNREFUSED 127\.0\.0\.1:\d+: connection refused/,
            async () => ({ host: "127.0.0.1", port: await closedPort() }),
        ],
        [
            "host_not_found",
            "ENOTFOUND",
            /getaddrinfo ENOTFOUND no-such-host\.invalid/,
            async () => ({ host: "no-such-host.invalid", port: 2_993 }),
        ],
        [
            "unreachable",
            "ENETUNREACH",
            /connect (ENETUNREACH|EHOSTUNREACH|EACCES|EINVAL)/,
            // No packet leaves for a broadcast address: the system refuses.
            async () => ({ host: "255.255.255.255", port: 2_993 }),
        ],
    ];
    for (const [cause, code, words, way] of never) {
        for (const tls of ["implicit", "starttls"] as const) {
            it(`${cause} (${tls})`, async () => {
                const given = { ...(await way()), tls };
                for (const [door, open] of Object.entries(DOORS)) {
                    const error = await open(given);
                    assert.equal(error.failure.cause, cause, door);
                    assert.equal(error.advice, "back_off", door);
                    assert.match(error.message, words, door);
                    const { code: found } = error.cause as NodeJS.ErrnoException;
                    assert.ok(cause === "unreachable" || found === code, `${door}: ${found}`);
                }
                for (const [door, keep] of Object.entries(KEEPERS)) {
                    const event = await firstFailure(keep, given);
                    assert.equal(event.cause, cause, door);
                    assert.match(event.text ?? "", words, door);
                }
            });
        }
    }

    it("where nothing answers, in time", async () => {
        // The queue of a listener that accepts nothing is full at once: the next SYN has no answer.
        const port = await fullPort();
        const options = { protocol: "imap", user: USER, token: "abc", host: "127.0.0.1", port, timeout: 400 } as const;
        const error = await rejection(LoginFailed, connect(options));
        assert.equal(error.code, "unreachable");
        assert.match(error.message, /no answer from 127\.0\.0\.1:\d+ in time/);
    });

    it("all addresses of a host are named, and a refusal says more than no way", async (context) => {
        const addresses = [
            { address: "255.255.255.255", family: 4 },
            { address: "127.0.0.1", family: 4 },
        ];
        const way = { host: "two.example.test", port: await closedPort() };
        context.mock.method(dns, "lookup", (_: string, __: object, done: (error: null, all: object[]) => void) =>
            setImmediate(done, null, addresses),
        );
        const error = await rejection(LoginFailed, connect({ protocol: "imap", user: USER, token: "abc", ...way }));
        assert.equal(error.code, "connection_refused");
        assert.match(error.message, /255\.255\.255\.255:\d+.*; connect ECONNREFUSED 127\.0\.0\.1:\d+/);
        assert.ok(error.cause instanceof AggregateError && error.cause.errors.length === 2);
    });
});

/** A port at which the system takes no more connections. */
async function fullPort(): Promise<number> {
    const program =
        "import socket,sys;s=socket.socket();s.bind(('127.0.0.1',0));s.listen(0);p=s.getsockname()[1];" +
        "c=[socket.socket() for _ in range(4)];[(x.setblocking(False),x.connect_ex(('127.0.0.1',p))) for x in c];" +
        "print(p,flush=True);sys.stdin.read()";
    const { spawn } = await import("node:child_process");
    const child = spawn("python3", ["-c", program], { stdio: ["pipe", "pipe", "inherit"] });
    closing.push(() => child.stdin.end());
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    return Number(line.toString());
}

describe("the wrong way of TLS at a port", () => {
    let server: Server;
    beforeEach(async () => {
        server = await Server.start();
    });
    afterEach(() => server.stop());

    it("is found at once where TLS was to begin with the first octet", async () => {
        for (const protocol of PROTOCOLS) {
            const place = { ...server.at(protocol), port: server.port(protocol, "starttls") };
            const error = await rejection(LoginFailed, connect({ protocol, user: USER, token: "abc", ...place }));
            assert.equal(error.code, "wrong_tls_mode");
            assert.equal(error.advice, "fix_configuration");
            assert.match(error.message, /answers in plain text/);
            assert.ok(error.cause instanceof Error);
        }
        const place = { ...server.at("smtp"), port: server.port("smtp", "starttls") };
        assert.equal((await sent(login({ user: USER, token: "abc", ...place }))).failure.cause, "wrong_tls_mode");
        assert.equal((await gaveUp(place)).code, "wrong_tls_mode");
    });

    function gaveUp(place: Way): Promise<GaveUp> {
        const made = sessions({ protocol: "smtp", user: USER, token: "abc", ...place });
        closing.push(() => made.close());
        return rejection(GaveUp, made.next());
    }

    it("is found after a silence where STARTTLS was meant, also where the certificate is nobody's", async () => {
        const begun = performance.now();
        const at = (protocol: MailProtocol) => ({ ...server.at(protocol), tls: "starttls" }) as const;
        const [imap, pop3, smtp] = [at("imap"), at("pop3"), at("smtp")];
        const found = await Promise.all([
            rejection(LoginFailed, connect({ protocol: "imap", user: USER, token: "abc", ...imap })),
            rejection(LoginFailed, connect({ protocol: "pop3", user: USER, token: "abc", ...pop3, tlsOptions: {} })),
            rejection(LoginFailed, imapflow.connect({ user: USER, token: "abc", ...imap })),
            sent(login({ user: USER, token: "abc", ...smtp })),
        ]);
        assert.ok(performance.now() - begun < LOOK_MS);
        // A session does not give up for what may be said before TLS: it waits, and the event tells.
        const event = await firstFailure(KEEPERS["nodemailer transport"] as never, smtp);
        assert.equal(event.cause, "wrong_tls_mode");
        for (const error of found) {
            assert.equal(error.failure.cause, "wrong_tls_mode");
            assert.match(error.message, /says nothing before TLS/);
        }
    });

    it("is looked for without an octet of ours, and a port that is only slow is waited for", async () => {
        const heard: Buffer[] = [];
        const mute = tls.createServer({ ...certificate() }, (socket) => {
            socket.on("error", () => undefined).on("data", (data) => heard.push(data));
        });
        mute.on("tlsClientError", () => undefined);
        let connections = 0;
        const slow = net.createServer((socket) => {
            socket.on("error", () => undefined);
            connections += 1;
            if (connections === 1) {
                void sleep(LOOK_MS).then(() => {
                    const behind = net.connect(server.port("imap", "starttls"), "127.0.0.1");
                    behind.on("error", () => undefined);
                    socket.pipe(behind).pipe(socket);
                });
            }
        });
        const [mutePort, slowPort] = [await listening(mute), await listening(slow)];
        const options = { protocol: "imap", user: USER, ...server.at("imap", "starttls") } as const;
        const [error, connection] = await Promise.all([
            rejection(LoginFailed, connect({ ...options, token: "abc", port: mutePort })),
            connect({ ...options, token: server.issueToken(USER), port: slowPort }),
        ]);
        assert.equal(error.code, "wrong_tls_mode");
        assert.deepEqual(heard, []);
        assert.ok(connection.elapsed > LOOK_MS);
        assert.equal(connections, 2);
        await connection.close();
    });

    it("is refused in the settings where the port is registered for the other, unless it is unusual", async () => {
        for (const [protocol, port, tls] of [
            ["imap", 993, "starttls"],
            ["imap", 143, "implicit"],
            ["pop3", 110, "implicit"],
            ["smtp", 587, "implicit"],
            ["smtp", 465, "starttls"],
            ["imap", 465, undefined],
        ] as const) {
            const options = { protocol, user: USER, token: "abc", host: "127.0.0.1", port, tls };
            const wrong = await rejection(ConfigError, connect(options));
            assert.match(wrong.message, /unusualPort/);
            const forced = await rejection(LoginFailed, connect({ ...options, unusualPort: true }));
            assert.equal(forced.code, "connection_refused");
        }
        const options = { protocol: "imap", user: USER, token: "abc", host: "localhost", unusualPort: "yes" } as never;
        assert.match((await rejection(ConfigError, connect(options))).message, /unusualPort must be a boolean/);
    });

    it("is what the port says, where nothing else is said", () => {
        for (const [port, requireTLS] of [
            [587, true],
            [25, true],
            [465, false],
            [2_587, false],
        ] as const) {
            const made = login({ user: USER, token: "abc", host: "localhost", port });
            assert.deepEqual([made.requireTLS, made.secure], [requireTLS, !requireTLS]);
        }
        const services = [{ protocol: "smtp", host: "localhost", port: 587 }] as const;
        const provider = { name: "own", domains: [], services };
        assert.equal(login({ user: USER, token: "abc", provider }).requireTLS, true);
        const asked = login({ user: USER, token: "abc", host: "localhost", tls: "starttls" });
        assert.deepEqual([asked.port, asked.requireTLS], [587, true]);
    });

    it("is not what a handshake is that ends or is reset: the connection was lost", async () => {
        const ends = {
            end: (socket: net.Socket) => socket.end(),
            reset: (socket: net.Socket) => socket.resetAndDestroy(),
        };
        for (const [how, end] of Object.entries(ends)) {
            const cut = net.createServer((socket) => {
                socket.on("error", () => undefined).once("data", () => end(socket));
            });
            const way = { host: "127.0.0.1", port: await listening(cut) };
            for (const [door, open] of Object.entries(DOORS)) {
                assert.equal((await open(way)).failure.cause, "connection_lost", `${door}: ${how}`);
            }
        }
    });
});

describe("what a server does not take is told by its name:", () => {
    /** Says the first line, and answers each line by the first rule that fits. */
    async function scripted(greeting: string, rules: Array<[RegExp, string]>) {
        const identity = certificate();
        const server = tls.createServer(identity, (socket) => {
            socket.on("error", () => undefined);
            socket.on("data", (data) => {
                const answer = rules.find(([asked]) => asked.test(data.toString()))?.[1];
                socket.write(`${answer ?? "500 5.5.1 what?"}\r\n`);
            });
            socket.write(`${greeting}\r\n`);
        });
        server.on("tlsClientError", () => undefined);
        return { host: "localhost", port: await listening(server), tlsOptions: { ca: identity.ca } };
    }

    for (const refusal of [
        "504 5.5.2 <[127.0.0.1]>: Helo command rejected: need fully-qualified hostname",
        "501 5.5.4 Invalid domain name",
    ]) {
        it(`the name in EHLO (${refusal.slice(0, 9)}), and ehloName is the way out`, async () => {
            const hello: Array<[RegExp, string]> = [
                [/^(EHLO|HELO) client\.example\.org/, "250-hello\r\n250 AUTH XOAUTH2"],
                [/^(EHLO|HELO)/, refusal],
                [/^AUTH/, "235 in"],
                [/^QUIT/, "221 bye"],
            ];
            const way = await scripted("220 strict ESMTP", hello);
            const options = { protocol: "smtp", user: USER, token: "abc", ...way } as const;
            for (const work of [() => connect(options), () => sessions(options).next()]) {
                const error = await rejection(LoginFailed, work());
                assert.equal(error.failure.cause, "client_name_refused", error.message);
                assert.equal(error.advice, "fix_configuration");
                assert.match(error.message, /ehlo_name/);
            }
            await (await connect({ ...options, ehloName: "client.example.org" })).close();
            const kept = transport({ user: USER, token: "abc", ...way, ehloName: "client.example.org" });
            assert.equal(await kept.verify(), true);
            kept.close();
            const own = login({ user: USER, token: "abc", ...way, ehloName: "client.example.org" });
            assert.equal(await nodemailer.createTransport(own).verify(), true);
        });
    }

    it("another service at the port, at every door", async () => {
        const greetings = {
            smtp: ["* OK IMAP4rev1 ready", "+OK POP3 ready"],
            imap: ["220 mail.example.org ESMTP Postfix", "+OK POP3 ready"],
        };
        for (const greeting of greetings.smtp) {
            const way = await scripted(greeting, []);
            for (const door of ["connect (smtp)", "nodemailer login", "nodemailer login, pooled"]) {
                const error = await DOORS[door]?.(way);
                assert.equal(error?.failure.cause, "wrong_service", `${door}: ${error?.message}`);
            }
        }
        for (const greeting of greetings.imap) {
            const way = await scripted(greeting, []);
            for (const door of ["connect (imap)", "imapflow.connect"]) {
                const error = await DOORS[door]?.(way);
                assert.equal(error?.failure.cause, "wrong_service", `${door}: ${error?.message}`);
            }
        }
    });

    it("a provider that takes no tokens, with what its users do instead", async () => {
        const options = { user: "joe@gmx.net", token: "abc" };
        const words = /gmx cannot be logged in to with OAuth\. .*password/;
        assert.match((await rejection(ConfigError, connect({ ...options, protocol: "imap" }))).message, words);
        assert.throws(() => sessions({ ...options, protocol: "imap" }), words);
        assert.throws(() => login(options), words);
        const { oauth } = Provider.named("gmail");
        assert.match(oauth?.tokenEndpoint ?? "", /^https:\/\/oauth2\.googleapis\.com\//);
        assert.equal(oauth?.parameters["access_type"], "offline");
    });

    it("a host that is none, before anything is sent", async () => {
        for (const [host, words] of [
            ["bücher.example", /xn--bcher-kva\.example/],
            ["mail.example.org:993", /port/],
            ["https://mail.example.org/", /URL|host/],
            ["", /empty/],
        ] as const) {
            const options = { user: USER, token: "abc", host };
            for (const protocol of PROTOCOLS) {
                assert.match((await rejection(ConfigError, connect({ ...options, protocol }))).message, words);
            }
            assert.match((await rejection(ConfigError, imapflow.connect(options))).message, words);
            assert.throws(() => login(options), words);
            assert.throws(() => sessions({ ...options, protocol: "imap" }), words);
        }
    });
});

describe("the sentence of a certificate that fails names its issuer and its names:", () => {
    const kinds: Record<string, [Identity, (identity: Identity) => object, RegExp[]]> = {
        "of an issuer that is not trusted": [
            certificate(),
            () => ({}),
            [/Example Shield/, /localhost/, /self-signed certificate in certificate chain/],
        ],
        "for another host": [
            certificate("/CN=Example Shield", "DNS:mail.example.test,DNS:*.example.org"),
            ({ ca }) => ({ ca }),
            [/Example Shield/, /mail\.example\.test, \*\.example\.org/, /127\.0\.0\.1|localhost/],
        ],
        "that is over": [
            certificate("/CN=Example Shield", "DNS:localhost", -1),
            ({ ca }) => ({ ca }),
            [/Example Shield/, /certificate has expired/],
        ],
    };
    for (const [kind, [identity, options, words]] of Object.entries(kinds)) {
        it(kind, async () => {
            const heard: Buffer[] = [];
            const wrong = tls.createServer(identity, (socket) => {
                socket.on("error", () => undefined).on("data", (data) => heard.push(data));
            });
            wrong.on("tlsClientError", () => undefined);
            const upgrade = upgrading(identity, heard);
            const tlsOptions = options(identity);
            const implicit = { host: "localhost", port: await listening(wrong), tlsOptions };
            const starttls = {
                host: "localhost",
                port: await listening(upgrade),
                tls: "starttls" as const,
                tlsOptions,
            };
            const open = Object.entries(DOORS);
            const found: Array<[string, LoginFailed]> = [];
            for (const [door, way] of open) {
                found.push([door, await way(implicit)]);
                if (/smtp|nodemailer/.test(door)) {
                    found.push([`${door}, STARTTLS`, await way(starttls)]);
                }
            }
            for (const [door, error] of found) {
                assert.equal(error.failure.cause, "tls_failed", door);
                for (const word of words) {
                    assert.match(error.message, word, door);
                }
                assert.ok(error.cause instanceof Error, door);
            }
            const made = sessions({ protocol: "smtp", user: USER, token: "abc", ...implicit });
            closing.push(() => made.close());
            const error = await rejection(GaveUp, made.next());
            assert.match(error.message, /Example Shield/);
            assert.ok(error.cause instanceof Error);
            for (const keep of Object.values(KEEPERS)) {
                assert.match((await firstFailure(keep, implicit)).text ?? "", /Example Shield/);
            }
            const upgraded = await firstFailure(KEEPERS["nodemailer transport"] as never, starttls);
            assert.match(upgraded.text ?? "", /Example Shield/);
            assert.deepEqual(heard, [], "nothing is said to it");
        });
    }

    /** SMTP up to STARTTLS, and then this certificate. */
    function upgrading(identity: Identity, heard: Buffer[]): net.Server {
        const context = tls.createSecureContext(identity);
        return net.createServer((socket) => {
            const said = (data: Buffer) => {
                if (/^STARTTLS/i.test(data.toString())) {
                    socket.off("data", said);
                    socket.write("220 go ahead\r\n");
                    const secure = new tls.TLSSocket(socket, { isServer: true, secureContext: context });
                    secure.on("error", () => undefined).on("data", (octets: Buffer) => heard.push(octets));
                } else {
                    socket.write("250-hello\r\n250-STARTTLS\r\n250 AUTH XOAUTH2\r\n");
                }
            };
            socket.on("error", () => undefined).on("data", said);
            socket.write("220 smtp\r\n");
        });
    }
});
