/** The ways to a server: proxies, a socket of the program's own, an address, a lookup; at every front door. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import dns from "node:dns";
import { once } from "node:events";
import * as https from "node:https";
import * as net from "node:net";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { after, before, describe, it } from "node:test";
import { inspect, promisify } from "node:util";
import nodemailer from "nodemailer";
import {
    Account,
    ConfigError,
    connect,
    discover,
    GaveUp,
    LoginFailed,
    Misuse,
    ProxyFailed,
    type RouteOptions,
    sessions,
    type SessionEvent,
    type SocketRequest,
} from "mailbearer";
import * as imapflow from "mailbearer/imapflow";
import { login, transport } from "mailbearer/nodemailer";
import { caFile, Server } from "mailbearer/testing";
import { certificate } from "./certificates.mjs";
import { fetchWith } from "./inside.mjs";
import { APP } from "./places.mjs";
import { behindTls, PROXY_PASSWORD, PROXY_USER, RealProxy } from "./proxies.mjs";
import { rejection, until } from "./waiting.mjs";

const USER = "joe@gmail.com";
const MAIL = { from: USER, to: "ann@example.org", subject: "hello", text: "..." };

let server: Server;
let socks: RealProxy;
let http: RealProxy;
/** Connections that came to the testing server, by the port that they came from. */
before(async () => {
    server = await Server.start();
    socks = await RealProxy.socks();
    http = await RealProxy.http([server.port("imap"), server.port("pop3"), server.port("smtp")]);
});
after(async () => {
    await Promise.all([server.stop(), socks.stop(), http.stop()]);
});

/** Every way in, which ends what it has made. */
const DOORS: Record<string, (way: RouteOptions) => Promise<unknown>> = {
    "connect (imap)": async (way) =>
        (await connect({ protocol: "imap", user: USER, token: token(), ...at("imap"), ...way })).close(),
    "connect (smtp)": async (way) =>
        (await connect({ protocol: "smtp", user: USER, token: token(), ...at("smtp"), ...way })).close(),
    sessions: async (way) => {
        const made = sessions({ protocol: "pop3", user: USER, token: token(), ...at("pop3"), ...way, policy: SOON });
        await first(made);
    },
    "an account, whose sessions go its way": async (way) => {
        const account = new Account({ user: USER, token: token(), provider: "gmail", ...way, policy: SOON });
        await first(account.sessions({ protocol: "imap", ...at("imap") }));
        await account.close();
    },
    "a session of an account, by a way of its own": async (way) => {
        // Nobody listens there.
        const account = new Account({ user: USER, token: token(), proxy: "http://127.0.0.1:9", policy: SOON });
        await first(account.sessions({ protocol: "imap", ...at("imap"), ...way }));
        await account.close();
    },
    "imapflow.connect": async (way) =>
        (await imapflow.connect({ user: USER, token: token(), ...at("imap"), ...way })).logout(),
    "imapflow.sessions": async (way) =>
        first(imapflow.sessions({ user: USER, token: token(), ...at("imap"), ...way, policy: SOON })),
    "nodemailer login": async (way) => {
        const made = nodemailer.createTransport(login({ user: USER, token: token(), ...at("smtp"), ...way }));
        await made.sendMail(MAIL);
        made.close();
    },
    "nodemailer transport": async (way) => {
        const made = nodemailer.createTransport(
            transport({ user: USER, token: token(), ...at("smtp"), ...way, policy: SOON }),
        );
        try {
            await made.sendMail(MAIL);
        } finally {
            made.close();
        }
    },
};

const SOON = { first: 1 };
const token = () => server.issueToken(USER);
const at = (protocol: "imap" | "pop3" | "smtp", starttls = false) =>
    server.at(protocol, starttls ? "starttls" : "implicit");

async function first(made: AsyncIterableIterator<{ letGo(): Promise<void> }>): Promise<void> {
    try {
        const { value } = await made.next();
        await (value as { letGo(): Promise<void> }).letGo();
    } finally {
        await made.return?.();
    }
}

/** Names that this process looks up meanwhile. */
async function lookedUp(work: () => Promise<unknown>): Promise<string[]> {
    const names: string[] = [];
    const { lookup } = dns;
    dns.lookup = ((name: string, ...others: never[]) => {
        names.push(name);
        return (lookup as (...all: unknown[]) => unknown)(name, ...others);
    }) as never;
    try {
        await work();
    } finally {
        dns.lookup = lookup;
    }
    return names;
}

describe("a proxy", () => {
    for (const [door, open] of Object.entries(DOORS)) {
        it(`is gone through by ${door}, and looks the name up`, async () => {
            for (const url of [socks.url, http.url]) {
                const names = await lookedUp(() => open({ proxy: url }));
                assert.ok(!names.includes("localhost"), `${url}: ${names.join(", ")}`);
            }
        });

        it(`that is not there is told as its own failure by ${door}`, async () => {
            for (const proxy of ["socks5://me:hidden@127.0.0.1:9", "http://me:hidden@127.0.0.1:9"]) {
                const error = await rejection(LoginFailed, open({ proxy }));
                const failed = proxyFailure(error);
                assert.equal(failed.reason, "unreachable");
                assert.match(error.message, /the proxy (socks5|http):\/\/127\.0\.0\.1:9 cannot be reached/);
            }
        });
    }

    it("is found in the environment, but for the hosts that are exempt", async () => {
        process.env["ALL_PROXY"] = "socks5://127.0.0.1:9";
        try {
            const through = connect({
                protocol: "imap",
                user: USER,
                token: token(),
                ...at("imap"),
                proxy: "environment",
            });
            assert.equal(proxyFailure(await rejection(LoginFailed, through)).proxy, "socks5://127.0.0.1:9");
            for (const exempt of ["localhost", "example.org, localhost", "*"]) {
                process.env["NO_PROXY"] = exempt;
                await DOORS["connect (imap)"]?.({ proxy: "environment" });
            }
            process.env["NO_PROXY"] = "host";
            await rejection(LoginFailed, DOORS["connect (imap)"]?.({ proxy: "environment" }) as Promise<unknown>);
        } finally {
            delete process.env["ALL_PROXY"];
            delete process.env["NO_PROXY"];
        }
    });

    it("is spoken to over TLS where it is https, verified for its own name", async () => {
        const own = certificate("/CN=a proxy's authority", "IP:127.0.0.1");
        const outer = await behindTls(http, own);
        const proxy = `https://${PROXY_USER}:${PROXY_PASSWORD}@127.0.0.1:${outer.port}`;
        const { tlsOptions, ...place } = at("imap") as { tlsOptions: { ca: Buffer } };
        try {
            const both = { ca: [tlsOptions.ca, own.ca] };
            const options = { protocol: "imap", user: USER, token: token(), ...place, proxy } as const;
            await (await connect({ ...options, tlsOptions: both })).close();
            const error = await rejection(LoginFailed, connect({ ...options, tlsOptions }));
            assert.equal(proxyFailure(error).reason, "unreachable");
        } finally {
            outer.stop();
        }
    });

    it("says what it has against us, without the password", async () => {
        const wrong = "wr0ng-P4ssword";
        const web = net.createServer((client) => client.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
        web.listen(0, "127.0.0.1");
        await once(web, "listening");
        const cases = [
            [socks.urlOf(PROXY_USER, wrong), "authentication"],
            [http.urlOf(PROXY_USER, wrong), "authentication"],
            [`socks5://127.0.0.1:${socks.port}`, "authentication"],
            [`http://127.0.0.1:${http.port}`, "authentication"],
            [`socks5://127.0.0.1:${(web.address() as net.AddressInfo).port}`, "protocol"],
            [socks.urlOf(PROXY_USER, PROXY_PASSWORD, "http"), "protocol"],
        ] as const;
        for (const [proxy, reason] of cases) {
            const error = await rejection(LoginFailed, DOORS["connect (imap)"]?.({ proxy }) as Promise<unknown>);
            assert.equal(proxyFailure(error).reason, reason, `${proxy}: ${error.message}`);
            assert.equal(error.failure.cause, "proxy_failed");
            for (const secret of [wrong, PROXY_PASSWORD, Buffer.from(`${PROXY_USER}:${wrong}`).toString("base64")]) {
                assert.ok(!`${inspect(error, { depth: 9, showHidden: true })}${error.stack}`.includes(secret), proxy);
            }
        }
        web.close();
    });

    it("tells what it found at the server: nobody, and a port that it does not allow", async () => {
        const nobody = {
            protocol: "imap",
            user: USER,
            token: token(),
            ...at("imap"),
            port: 9,
            tls: "implicit",
        } as const;
        const refused = await rejection(LoginFailed, connect({ ...nobody, proxy: socks.url }));
        assert.deepEqual([refused.code, proxyFailure(refused).reason], ["proxy_failed", "refused"]);
        const forbidden = await rejection(LoginFailed, connect({ ...nobody, proxy: http.url }));
        assert.equal(proxyFailure(forbidden).reason, "forbidden", forbidden.message);
    });

    it("hands on what the server says at once, in one packet with its own answer", async () => {
        const asked: string[] = [];
        // Each reads one request, waits for the server's greeting, and sends both together.
        const eager = net.createServer((client) => {
            client.on("error", () => undefined);
            client.once("data", (data) => {
                const isHttp = data[0] !== 4;
                // SOCKS4a: version, command, port, 0.0.0.1, a user, a name.
                const [, host = ""] = isHttp ? [] : data.subarray(8).toString().split("\0");
                asked.push(isHttp ? (String(data).split("\r\n")[0] as string) : `${host}:${data.readUInt16BE(2)}`);
                const port = isHttp ? Number(/:(\d+) /.exec(String(data))?.[1]) : data.readUInt16BE(2);
                const answer = isHttp
                    ? Buffer.from("HTTP/1.1 200 go on\r\n\r\n")
                    : Buffer.from([0, 90, 0, 0, 0, 0, 0, 0]);
                const upstream = net.connect(port, "127.0.0.1");
                upstream.on("error", () => undefined);
                upstream.once("data", (greeting) => {
                    client.write(Buffer.concat([answer, greeting]));
                    client.pipe(upstream).pipe(client);
                });
            });
        });
        eager.listen(0, "127.0.0.1");
        await once(eager, "listening");
        const { port } = eager.address() as net.AddressInfo;
        for (const scheme of ["socks4a", "http"]) {
            for (const protocol of ["imap", "smtp"] as const) {
                const proxy = `${scheme}://127.0.0.1:${port}`;
                const options = { protocol, user: USER, token: token(), ...at(protocol, true), proxy };
                await (await connect(options)).close();
                await first(sessions({ ...options, policy: SOON }));
            }
        }
        assert.ok(
            asked.every((one) => one.includes("localhost:")),
            asked.join("\n"),
        );
        eager.close();
    });

    it("is gone around by nothing: a port that says nothing is not looked at with TLS", async () => {
        let connections = 0;
        const mute = net.createServer(() => (connections += 1)).listen(0, "127.0.0.1");
        await once(mute, "listening");
        const { port } = mute.address() as net.AddressInfo;
        const way = { host: "localhost", port, tls: "starttls", timeout: 600, proxy: socks.url } as const;
        await rejection(LoginFailed, connect({ protocol: "imap", user: USER, token: "abc", ...way }));
        assert.equal(connections, 1);
        mute.close();
    });

    it("that does not answer keeps no process alive once the session is closed", async () => {
        const mute = net.createServer().listen(0, "127.0.0.1");
        await once(mute, "listening");
        const connected = once(mute, "connection") as Promise<[net.Socket]>;
        const gone = connected.then(([socket]) => once(socket.resume(), "close"));
        const proxy = `socks5://127.0.0.1:${(mute.address() as net.AddressInfo).port}`;
        const made = sessions({ protocol: "imap", user: USER, token: token(), ...at("imap"), proxy });
        const waiting = made.next();
        await connected;
        await made.close();
        assert.deepEqual(await waiting, { done: true, value: undefined });
        await gone;
        mute.close();
    });

    it("that does not answer is waited for no longer than the login", async () => {
        const mute = net.createServer().listen(0, "127.0.0.1");
        await once(mute, "listening");
        const { port } = mute.address() as net.AddressInfo;
        for (const scheme of ["socks5", "http"]) {
            const proxy = `${scheme}://127.0.0.1:${port}`;
            const late = connect({ protocol: "imap", user: USER, token: token(), ...at("imap"), proxy, timeout: 300 });
            const error = await rejection(LoginFailed, late);
            assert.match(error.message, /through the proxy/);
            const { signal } = new AbortController();
            const aborted = AbortSignal.any([signal, AbortSignal.timeout(50)]);
            const given = connect({
                protocol: "imap",
                user: USER,
                token: token(),
                ...at("imap"),
                proxy,
                signal: aborted,
            });
            await assert.rejects(given, { name: "TimeoutError" });
        }
        mute.close();
    });

    it("does not change whom TLS is verified for", async () => {
        const other = certificate("/CN=another authority", "DNS:imap.example.org");
        const wrong = net.createServer().listen(0);
        await once(wrong, "listening");
        wrong.close();
        const elsewhere = await import("node:tls").then((tls) => tls.createServer(other).listen(0, "127.0.0.1"));
        await once(elsewhere, "listening");
        const { port } = elsewhere.address() as net.AddressInfo;
        const way = { host: "localhost", port, tlsOptions: { ca: other.ca }, proxy: socks.url };
        const error = await rejection(LoginFailed, connect({ protocol: "imap", user: USER, token: "abc", ...way }));
        assert.equal(error.code, "tls_failed");
        elsewhere.close();
    });

    it("is refused where it cannot work, without its password", () => {
        for (const [proxy, words] of [
            ["socks4://u:hidden@localhost", /socks4:\/\/ cannot give a name/],
            ["ftp://u:hidden@localhost", /must be socks5/],
            ["u:hidden@localhost:1080", /must be socks5/],
            ["socks5://", /must be socks5/],
            ["http://u:hidden@localhost/path", /nothing behind/],
            ["http://u:%hidden@localhost", /write %25/],
            [7, /must be a URL/],
        ] as const) {
            for (const make of [
                () => sessions({ protocol: "imap", user: USER, token: "abc", proxy: proxy as string }),
                () => new Account({ user: USER, token: "abc", proxy: proxy as string }),
                () => transport({ user: USER, token: "abc", proxy: proxy as string }),
                () => login({ user: USER, token: "abc", proxy: proxy as string }),
            ]) {
                assert.throws(make, (error) => {
                    assert.ok(error instanceof ConfigError, String(error));
                    assert.match(error.message, words);
                    return !inspect(error).includes("hidden");
                });
            }
        }
    });
});

/** The proxy's own failure, which a stop and an event tell too. */
function proxyFailure(error: unknown): ProxyFailed {
    const { cause } = error as Error;
    assert.ok(cause instanceof ProxyFailed, inspect(error));
    assert.equal(cause.code, "proxy_failed");
    return cause;
}

describe("a proxy that is given with a login", () => {
    it("is gone through by the requests for its tokens", async () => {
        const identity = certificate("/CN=an authority", "DNS:localhost");
        const asked: string[] = [];
        const tokens = https.createServer(identity, (request, response) => {
            asked.push(`${request.method} ${request.url}`);
            response.end("{}");
        });
        tokens.listen(0, "127.0.0.1");
        await once(tokens, "listening");
        const url = `https://localhost:${(tokens.address() as net.AddressInfo).port}/token`;
        const send = fetchWith({ ca: identity.ca }, { proxy: socks.url });
        const names = await lookedUp(() => send(url, { method: "POST", headers: {}, body: "a=b" }));
        assert.deepEqual([asked, names.includes("localhost")], [["POST /token"], false]);
        const nowhere = fetchWith({ ca: identity.ca }, { proxy: "socks5://u:hidden@127.0.0.1:9" });
        await assert.rejects(nowhere(url, { method: "POST", headers: {} }), (error: Error) => {
            return /cannot be reached/.test(error.message) && !inspect(error).includes("hidden");
        });
        tokens.close();
    });

    it("is gone through by the command, which takes no password", async () => {
        const command = join(APP, "node_modules/.bin/mailbearer");
        const run = promisify(execFile);
        const imap = server.port("imap");
        const words = ["check", USER, "--no-pop3", "--no-smtp", `--imap=localhost:${imap}`, "--ca-file", caFile];
        const env = { ...process.env, MAILBEARER_TOKEN: token(), ALL_PROXY: socks.url };
        const { stdout } = await run(command, [...words, "--proxy", "environment"], { env });
        assert.match(stdout, /1 of 1 worked/);
        type Failed = { code: number; stdout: string; stderr: string };
        const failed = async (...more: string[]): Promise<Failed> =>
            run(command, [...words, ...more], { env }).then(
                () => assert.fail("it worked"),
                (error: unknown) => error as Failed,
            );
        const nowhere = await failed("--proxy", "socks5://127.0.0.1:9");
        assert.deepEqual([nowhere.code, /cause {4}proxy_failed/.test(nowhere.stdout)], [1, true], nowhere.stdout);
        const secret = await failed("--proxy", "socks5://u:hidden@127.0.0.1:9");
        assert.equal(secret.code, 2);
        assert.match(secret.stderr, /takes no password/);
        assert.ok(!secret.stderr.includes("hidden"));
    });
});

describe("a socket of the program's own", () => {
    const asked: SocketRequest[] = [];
    const socket = (request: SocketRequest): Duplex => {
        asked.push(request);
        return net.connect(request.port, request.host);
    };
    for (const [door, open] of Object.entries(DOORS)) {
        it(`is asked for by ${door}`, async () => {
            asked.length = 0;
            assert.deepEqual(
                await lookedUp(() =>
                    open({
                        socket: ({ host, port, signal }) =>
                            socket({
                                host: "127.0.0.1",
                                port,
                                signal,
                                ...(host === "localhost" ? {} : assert.fail(host)),
                            }),
                    }),
                ),
                [],
            );
            assert.ok(asked.length > 0);
        });
    }

    it("may be open already, for one login", async () => {
        for (const starttls of [false, true]) {
            const place = at("imap", starttls);
            const open = net.connect((place as { port: number }).port, "127.0.0.1");
            const connection = await connect({ protocol: "imap", user: USER, token: token(), ...place, socket: open });
            connection.socket.write("A1 NOOP\r\n");
            const [answer] = (await once(connection.socket, "data")) as [Buffer];
            assert.match(String(answer), /^A1 OK/);
            await connection.close();
        }
    });

    it("that is open is not used twice: a refused token is told", async () => {
        const open = net.connect(server.port("imap"), "127.0.0.1");
        let calls = 0;
        const source = () => {
            calls += 1;
            return server.issueToken(USER, { lifetime: 0 });
        };
        const given = connect({ protocol: "imap", user: USER, token: source, ...at("imap"), socket: open });
        assert.equal((await rejection(LoginFailed, given)).advice, "refresh_token");
        assert.equal(calls, 1);
    });

    it("is a function where there is more than one connection", () => {
        const open = new Duplex();
        for (const make of [
            () => sessions({ protocol: "imap", user: USER, token: "abc", socket: open }),
            () => new Account({ user: USER, token: "abc", socket: open }),
            () => transport({ user: USER, token: "abc", socket: open }),
            () => login({ user: USER, token: "abc", socket: open }),
        ]) {
            assert.throws(make, /socket must be a function/);
        }
    });

    it("that fails is told with the program's own error, and one that is none as a mistake", async () => {
        const own = Object.assign(new Error("the tunnel is down"), { code: "ECONNREFUSED" });
        const options = { protocol: "imap", user: USER, token: token(), ...at("imap") } as const;
        const failed = await rejection(LoginFailed, connect({ ...options, socket: () => Promise.reject(own) }));
        assert.deepEqual([failed.code, failed.cause], ["connection_refused", own]);
        assert.match(failed.message, /the program's own socket: Error: the tunnel is down/);
        await rejection(Misuse, connect({ ...options, socket: () => 7 as never }));
    });

    it("that comes too late is closed", async () => {
        const late = net.connect(server.port("imap"), "127.0.0.1");
        let give = (_: Duplex): void => undefined;
        const coming = new Promise<Duplex>((resolve) => (give = resolve));
        const options = { protocol: "imap", user: USER, token: token(), ...at("imap"), timeout: 100 } as const;
        await rejection(LoginFailed, connect({ ...options, socket: () => coming }));
        give(late);
        await until("it is closed", () => late.destroyed);
    });

    it("excludes the other ways", () => {
        const make = () =>
            sessions({
                protocol: "imap",
                user: USER,
                token: "abc",
                socket: () => new Duplex(),
                proxy: "http://localhost",
            });
        assert.throws(make, /socket and proxy exclude each other/);
    });
});

describe("an address and a lookup", () => {
    for (const [door, open] of Object.entries(DOORS)) {
        it(`are used by ${door}`, async () => {
            const asked: string[] = [];
            const lookup = ((name: string, _: object, call: (...all: unknown[]) => void) => {
                asked.push(name);
                call(null, [{ address: "127.0.0.1", family: 4 }]);
            }) as net.LookupFunction;
            const from: string[] = [];
            const { connect: inner } = net.Socket.prototype as unknown as { connect: (...all: unknown[]) => unknown };
            (net.Socket.prototype as unknown as { connect: unknown }).connect = function (
                this: net.Socket,
                ...all: unknown[]
            ) {
                this.once("connect", () => from.push(String(this.localAddress)));
                return inner.apply(this, all);
            };
            try {
                assert.deepEqual(await lookedUp(() => open({ lookup, localAddress: "127.0.0.9" })), []);
            } finally {
                (net.Socket.prototype as unknown as { connect: unknown }).connect = inner;
            }
            assert.ok(asked.includes("localhost"));
            assert.ok(from.includes("127.0.0.9"), from.join());
        });
    }

    it("may give one address only, fail, and throw", async () => {
        const options = { protocol: "imap", user: USER, token: token(), ...at("imap") } as const;
        const one = ((_: string, __: object, call: (...all: unknown[]) => void) => call(null, "127.0.0.1", 4)) as never;
        await (await connect({ ...options, lookup: one })).close();
        const own = Object.assign(new Error("no such name"), { code: "ENOTFOUND" });
        const fails = ((_: string, __: object, call: (error: Error) => void) => call(own)) as never;
        const throws = (() => {
            throw own;
        }) as never;
        for (const lookup of [fails, throws]) {
            const failed = await rejection(LoginFailed, connect({ ...options, lookup }));
            assert.deepEqual([failed.code, failed.cause], ["host_not_found", own]);
        }
    });

    it("must be of one family, and be there", async () => {
        const options = { protocol: "imap", user: USER, token: token(), ...at("imap") } as const;
        const four = ((_: string, __: object, call: (...all: unknown[]) => void) =>
            call(null, "127.0.0.1", 4)) as never;
        const failed = await rejection(LoginFailed, connect({ ...options, lookup: four, localAddress: "::1" }));
        assert.match(failed.message, /no address of IPv6, as localAddress is/);
        assert.throws(() => sessions({ ...options, localAddress: "eth0" }), /must be an IP address/);
        assert.throws(() => sessions({ ...options, lookup: "8.8.8.8" as never }), /lookup must be a function/);
    });
});

describe("discover", () => {
    it("goes through a proxy, and asks no DNS here", async () => {
        const resolved: string[] = [];
        const { Resolver } = dns.promises;
        const asked = [Resolver.prototype.resolveMx, Resolver.prototype.resolveSrv] as const;
        Resolver.prototype.resolveMx = ((name: string) => resolved.push(name)) as never;
        Resolver.prototype.resolveSrv = ((name: string) => resolved.push(name)) as never;
        const connects: string[] = [];
        const proxy = net.createServer((client) => {
            client.on("error", () => undefined);
            client.once("data", (data) => {
                connects.push(String(data).split("\r\n")[0] as string);
                client.end("HTTP/1.1 403 Forbidden\r\n\r\n");
            });
        });
        proxy.listen(0, "127.0.0.1");
        await once(proxy, "listening");
        try {
            const url = `http://127.0.0.1:${(proxy.address() as net.AddressInfo).port}`;
            const names = await lookedUp(() => discover("joe@company.example", { proxy: url, timeout: 5_000 }));
            assert.deepEqual([names.filter((name) => name !== "127.0.0.1"), resolved], [[], []]);
            assert.ok(
                connects.some((line) => line.startsWith("CONNECT autoconfig.company.example:443")),
                connects.join(),
            );
        } finally {
            [Resolver.prototype.resolveMx, Resolver.prototype.resolveSrv] = asked;
            proxy.close();
        }
    });

    it("gets its files over a socket of the program's own, and for a login too", async () => {
        const asked: string[] = [];
        const socket = ({ host }: SocketRequest): Duplex => {
            asked.push(host);
            throw new Error("no way");
        };
        await discover("joe@company.example", { socket });
        assert.ok(asked.includes("autoconfig.company.example"), asked.join());
        asked.length = 0;
        const given = connect({ protocol: "imap", user: "joe@company.example", token: "abc", socket });
        await given.catch(() => undefined);
        assert.ok(asked.includes("autoconfig.company.example"), asked.join());
    });
});

describe("an event", () => {
    it("of a first connection is the end of it at once, as where no server listens", async () => {
        const options = { protocol: "imap", user: USER, token: token(), ...at("imap") } as const;
        for (const way of [{ proxy: "socks5://127.0.0.1:9" }, { proxy: "http://127.0.0.1:9" }, { port: 9 }]) {
            const made = sessions({ ...options, ...way, unusualPort: true });
            const begun = performance.now();
            const error = await rejection(GaveUp, made.next());
            assert.equal(error.code, "port" in way ? "connection_refused" : "proxy_failed");
            // Else it waits for a minute.
            assert.ok(performance.now() - begun < 30_000);
            await made.close();
        }
    });

    it("of a session tells the proxy's failure too", async () => {
        const events: SessionEvent[] = [];
        const options = { protocol: "imap", user: USER, token: token(), ...at("imap"), policy: SOON } as const;
        const made = sessions({
            ...options,
            proxy: "socks5://u:hidden@127.0.0.1:9",
            onEvent: (one) => events.push(one),
        });
        await rejection(LoginFailed, made.next());
        const failed = events.find(({ kind }) => kind === "login_failed");
        assert.ok(failed?.error instanceof ProxyFailed);
        assert.ok(!inspect(events, { depth: 9 }).includes("hidden"));
        await made.close();
    });
});
