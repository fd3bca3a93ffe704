/** Logins: against real Dovecot and Postfix over real TLS, and against the testing server, which misbehaves. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TLSSocket } from "node:tls";
import {
    ADVICES,
    CAUSES,
    type Cause,
    connect,
    LoginFailed,
    type MailProtocol,
    type Mechanism,
    type Tls,
    TokenSourceFailed,
} from "mailbearer";
import { type FaultKind, Server, type Stage } from "mailbearer/testing";
import { RealServers, realToken } from "./real_servers.mjs";
import { Counted, rejection, until } from "./waiting.mjs";

const PROTOCOLS: readonly MailProtocol[] = ["imap", "pop3", "smtp"];
const MODES: readonly Tls[] = ["implicit", "starttls"];
const MECHANISMS: readonly Mechanism[] = ["XOAUTH2", "OAUTHBEARER"];
const USER = "joe@example.com";
const NOOP = { imap: "a NOOP\r\n", pop3: "NOOP\r\n", smtp: "NOOP\r\n" };

async function ask(socket: TLSSocket, command: string): Promise<string> {
    socket.write(command);
    const [data] = (await once(socket, "data")) as [Buffer];
    return data.toString();
}

describe("real Dovecot and Postfix", () => {
    let servers: RealServers;
    before(async () => {
        servers = await RealServers.start();
    });
    after(() => servers.stop());

    const tokens = new Map([300, 900, 2000, 4000].map((length) => [length, () => realToken(USER, { length })]));
    for (const [length, token] of tokens) {
        it(`take tokens of ${length} octets over everything`, async () => {
            const minted = token();
            for (const protocol of PROTOCOLS) {
                for (const tls of MODES) {
                    for (const mechanism of MECHANISMS) {
                        const options = {
                            protocol,
                            user: USER,
                            token: minted,
                            mechanisms: [mechanism],
                            ...servers.at(protocol, tls),
                        };
                        const connection = await connect(options);
                        assert.equal(connection.mechanism, mechanism);
                        assert.match(connection.tlsVersion, /^TLSv1\.[23]$/);
                        assert.ok(connection.socket instanceof TLSSocket && connection.socket.authorized);
                        const alone = { imap: 1, pop3: 3, smtp: length === 300 ? 2 : 3 }[protocol];
                        const upgraded = { imap: 3, pop3: 5, smtp: alone + 2 }[protocol];
                        assert.equal(connection.roundTrips, tls === "implicit" ? alone : upgraded);
                        assert.match(await ask(connection.socket, NOOP[protocol]), /^(a OK|\+OK|250 )/);
                        await connection.close();
                    }
                }
            }
        });
    }

    const bad = {
        expired: () => realToken(USER, { expiresIn: -3600 }),
        "of another user": () => realToken("eve@example.com"),
        forged: () => realToken(USER, { forged: true }),
        "made up": () => "ya29.nothing-nothing",
    };
    for (const [kind, token] of Object.entries(bad)) {
        it(`refuse a token that is ${kind}`, async () => {
            const minted = token();
            for (const protocol of PROTOCOLS) {
                for (const mechanism of MECHANISMS) {
                    const options = {
                        protocol,
                        user: USER,
                        token: minted,
                        mechanisms: [mechanism],
                        ...servers.at(protocol),
                    };
                    const error = await rejection(LoginFailed, connect(options));
                    assert.equal(error.code, "token_rejected");
                    assert.equal(error.advice, "refresh_token");
                    assert.ok(error.failure.rejection);
                    assert.ok(!`${error.stack}${JSON.stringify(error)}`.includes(minted.slice(0, 16)));
                }
            }
        });
    }

    it("get a fresh token once, when they refuse the first", async () => {
        const asked: boolean[] = [];
        const token = ({ forceRefresh }: { forceRefresh: boolean }) => {
            asked.push(forceRefresh);
            return realToken(USER, { expiresIn: forceRefresh ? 3600 : -3600 });
        };
        await (await connect({ protocol: "imap", user: USER, token, ...servers.at("imap") })).close();
        assert.deepEqual(asked, [false, true]);
    });

    it("behave from another address as a network does", async () => {
        const token = realToken(USER);
        for (const protocol of PROTOCOLS) {
            for (const tls of MODES) {
                await (
                    await connect({ protocol, user: USER, token, ...servers.at(protocol, tls, "127.0.0.2") })
                ).close();
            }
        }
    });

    it("get both mechanisms through Postfix", async () => {
        const token = realToken(USER, { length: 2000 });
        for (const tls of MODES) {
            for (const mechanism of MECHANISMS) {
                const options = {
                    protocol: "smtp",
                    user: USER,
                    mechanisms: [mechanism],
                    ...servers.at("postfix", tls),
                } as const;
                await (await connect({ ...options, token })).close();
                const refused = await rejection(
                    LoginFailed,
                    connect({ ...options, token: realToken(USER, { expiresIn: -1 }) }),
                );
                assert.equal(refused.code, "token_rejected");
            }
        }
    });

    for (const kind of ["unknown-ca", "wrong-host", "expired"] as const) {
        it(`are not trusted with a certificate that is ${kind}`, async () => {
            const bad = await servers.badTls(kind);
            process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
            try {
                const options = { ...servers.at("imap"), port: bad.port };
                const error = await rejection(
                    LoginFailed,
                    connect({ protocol: "imap", user: USER, token: realToken(USER), ...options }),
                );
                assert.equal(error.code, "tls_failed");
                assert.match(error.message, /certificate/);
                assert.equal(bad.received(), "");
            } finally {
                delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
                bad.server.close();
            }
        });
    }

    it("get no token where they do not speak TLS", async () => {
        for (const protocol of PROTOCOLS) {
            const options = { ...servers.at(protocol), port: servers.port(protocol, "starttls") };
            const error = await rejection(
                LoginFailed,
                connect({ protocol, user: USER, token: realToken(USER), ...options }),
            );
            assert.equal(error.code, "wrong_tls_mode");
        }
    });
});

describe("the testing server", () => {
    const user = "joe@gmail.com";

    async function withServer(
        options: Parameters<typeof Server.start>[0],
        work: (server: Server) => Promise<void>,
    ): Promise<void> {
        const server = await Server.start(options);
        try {
            await work(server);
        } finally {
            await server.stop();
        }
    }

    for (const flavour of ["gmail", "outlook", "dovecot"] as const) {
        it(`says why, in the words of ${flavour}`, () =>
            withServer({ flavour }, async (server) => {
                const reasons = [
                    "protocol_disabled",
                    "too_many_connections",
                    "rate_limited",
                    "unavailable",
                    "interaction_required",
                ];
                for (const reason of reasons as Cause[]) {
                    server.refuse(reason);
                    for (const protocol of ["imap", "smtp"] as const) {
                        const options = { protocol, user, token: server.issueToken(user), ...server.at(protocol) };
                        const error = await rejection(LoginFailed, connect(options));
                        assert.equal(error.code, reason);
                        assert.ok(CAUSES.includes(error.code) && ADVICES.includes(error.advice));
                        // Others send the user to a browser without an address.
                        if (reason === "interaction_required" && flavour === "gmail") {
                            assert.match(error.failure.url ?? "", /^https:\/\/accounts\.google\.com\//);
                        }
                    }
                }
            }));
    }

    for (const kind of ["drop", "garbage", "flood"] as FaultKind[]) {
        it(`that answers with a ${kind} is a failure at once`, () =>
            withServer({}, async (server) => {
                for (const tls of MODES) {
                    for (const stage of ["greeting", "capabilities", "login", "verdict"] as Stage[]) {
                        server.setFault(stage, kind);
                        const token = server.issueToken(user, { octets: 900 });
                        const error = await rejection(
                            LoginFailed,
                            connect({ protocol: "smtp", user, token, ...server.at("smtp", tls) }),
                        );
                        assert.ok(
                            ["connection_lost", "protocol_violation", "limit_exceeded"].includes(error.code),
                            error.code,
                        );
                    }
                }
            }));
    }

    it("that vanishes meets the deadline", () =>
        withServer({}, async (server) => {
            for (const stage of ["greeting", "verdict"] as Stage[]) {
                server.setFault(stage, "vanish");
                const begun = performance.now();
                const options = {
                    protocol: "imap",
                    user,
                    token: server.issueToken(user),
                    ...server.at("imap"),
                    timeout: 300,
                } as const;
                assert.equal((await rejection(LoginFailed, connect(options))).code, "timed_out");
                assert.ok(performance.now() - begun > 290);
            }
        }));

    it("that puts octets in front of TLS is found out, and gets no token", () =>
        withServer({}, async (server) => {
            for (const protocol of PROTOCOLS) {
                server.setFault("upgrade", "inject");
                const options = { protocol, user, token: server.issueToken(user), ...server.at(protocol, "starttls") };
                assert.equal((await rejection(LoginFailed, connect(options))).code, "plaintext_injected");
            }
            assert.equal(new Counted(server).of("logged_in"), 0);
        }));

    it("is left, when the program aborts", () =>
        withServer({}, async (server) => {
            const counted = new Counted(server);
            server.setFault("verdict", "vanish");
            const controller = new AbortController();
            const options = { protocol: "imap", user, token: server.issueToken(user), ...server.at("imap") } as const;
            const login = connect({ ...options, signal: controller.signal });
            const refused = assert.rejects(login, (error) => error === controller.signal.reason);
            await until(
                "the connection is open",
                () => counted.of("connected") + counted.of("opened") + counted.of("open") > 0,
            );
            controller.abort();
            await refused;
            await until("the connection is closed", () => counted.of("closed") > 0);
            await assert.rejects(connect({ ...options, signal: controller.signal }), { name: "AbortError" });
        }));

    it("gives its octets to whoever reads first", () =>
        withServer({}, async (server) => {
            const options = { protocol: "smtp", user, token: server.issueToken(user), ...server.at("smtp") } as const;
            const connection = await connect(options);
            connection.socket.write("NOOP\r\nNOOP\r\n");
            let read = "";
            for await (const chunk of connection.socket) {
                read += String(chunk);
                if (read === "250 2.0.0 OK\r\n250 2.0.0 OK\r\n") {
                    break;
                }
            }
            await connection.close();
        }));

    it("shows its dialogue to a trace, without the token", () =>
        withServer({}, async (server) => {
            const token = server.issueToken(user);
            const lines: string[] = [];
            const trace = (side: string, line: string) => void lines.push(`${side}: ${line}`);
            await (await connect({ protocol: "smtp", user, token, trace, ...server.at("smtp") })).close();
            assert.ok(
                lines.some((line) => /^C: AUTH XOAUTH2 <token, \d+ octets>$/.test(line)),
                lines.join("\n"),
            );
            assert.ok(lines.some((line) => line.startsWith("S: 235 ")));
            assert.ok(!lines.join().includes(token));
        }));

    it("does not get the token that it refused a second time", () =>
        withServer({}, async (server) => {
            const counted = new Counted(server);
            const expired = server.issueToken(user, { lifetime: 0 });
            await rejection(
                LoginFailed,
                connect({ protocol: "imap", user, token: () => expired, ...server.at("imap") }),
            );
            assert.equal(counted.of("refused"), 1);
        }));

    it("is not asked where there is no token", () =>
        withServer({}, async (server) => {
            const counted = new Counted(server);
            const broken = () => Promise.reject(new RangeError("the vault is sealed"));
            const error = await rejection(
                TokenSourceFailed,
                connect({ protocol: "imap", user, token: broken, ...server.at("imap") }),
            );
            assert.match(error.message, /the token source threw RangeError: the vault is sealed/);
            assert.ok(error.cause instanceof RangeError);
            assert.equal(counted.of("closed"), 0);
        }));
});

describe("the testing server", () => {
    it("has no port for what is no protocol and no mode", async () => {
        const server = await Server.start();
        const words = /a protocol is imap, pop3 or smtp, and the mode implicit or starttls/;
        assert.throws(() => server.at("imaps" as "imap"), words);
        assert.throws(() => server.at("imap", "tls" as "implicit"), words);
        await server.stop();
    });

    it("stops at once, whatever handshake a client is in", async () => {
        for (const hello of ["", "\x16\x03\x01"]) {
            const server = await Server.start();
            const client = connectTcp(server.port("imap"), "127.0.0.1").resume();
            const closed = once(client, "close");
            await once(client, "connect");
            client.write(hello);
            // Until the server has accepted it.
            await sleep(50);
            await server.stop();
            await closed;
        }
    });
});
