/** Discovery: lookups over real sockets on loopback, the front doors that use it, and the command. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import dns from "node:dns";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import { after, afterEach, before, beforeEach, describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Account, ConfigError, connect, discover, LookupFailed, type SessionEvent, sessions } from "mailbearer";
import { certificate, type Identity } from "./certificates.mjs";
import { type Answers, StandIn } from "./discover_cases.mjs";
import { APP } from "./places.mjs";
import { httpsOpener, isPublic, systemResolver } from "./inside.mjs";

const USER = "joe@company.example";
const HOST = "imap.company.example";

/** What it is refused with. */
async function rejection(work: Promise<unknown>): Promise<Error> {
    return work.then(
        () => assert.fail("it was not refused"),
        (error: unknown) => error as Error,
    );
}

/** Why a lookup has no answer. */
async function trouble(answer: Promise<unknown>): Promise<string> {
    const error = await rejection(answer);
    assert.ok(error instanceof LookupFailed, String(error));
    return error.trouble;
}

function find(answers: Answers) {
    const standIn = new StandIn(answers);
    return { standIn, options: { resolver: standIn, opener: standIn.open } };
}

// ---- DNS ------------------------------------------------------------------------------------------------------------

const TYPES = { MX: 15, SRV: 33 };

function labels(name: string): Buffer {
    const words = name.split(".").filter((word) => word !== "");
    return Buffer.concat([...words.map((word) => Buffer.from([word.length, ...Buffer.from(word)])), Buffer.from([0])]);
}

function numbers(...values: number[]): Buffer {
    return Buffer.concat(values.map((value) => Buffer.from([value >> 8, value & 0xff])));
}

/** A name server on loopback: records by name and type, in the form of RFC 1035 section 4. */
class NameServer {
    readonly #socket: Socket = createSocket("udp4");
    #records = new Map<string, Buffer[]>();
    rcode = 0;
    isSilent = false;

    async start(): Promise<string> {
        this.#socket.on("message", (query, from) => {
            if (!this.isSilent) {
                this.#socket.send(this.#reply(query), from.port, from.address);
            }
        });
        this.#socket.bind(0, "127.0.0.1");
        await once(this.#socket, "listening");
        return `127.0.0.1:${this.#socket.address().port}`;
    }

    add(name: string, type: keyof typeof TYPES, ...records: Buffer[]): void {
        this.#records.set(`${name} ${TYPES[type]}`, records);
    }

    #reply(query: Buffer): Buffer {
        const end = query.indexOf(0, 12) + 5;
        const question = query.subarray(12, end);
        const name = this.#name(question);
        const records = this.#records.get(`${name} ${question.readUInt16BE(question.length - 4)}`) ?? [];
        const isKnown = [...this.#records.keys()].some((key) => key.startsWith(`${name} `));
        const rcode = this.rcode !== 0 ? this.rcode : isKnown ? 0 : 3;
        const header = Buffer.concat([query.subarray(0, 2), numbers(0x8180 | rcode, 1, records.length, 0, 0)]);
        const answers = records.map((data) =>
            Buffer.concat([numbers(0xc00c), question.subarray(-4), numbers(0, 60, data.length), data]),
        );
        return Buffer.concat([header, question, ...answers]);
    }

    #name(question: Buffer): string {
        const words: string[] = [];
        for (let at = 0; question[at] !== 0; at += (question[at] ?? 0) + 1) {
            words.push(question.toString("latin1", at + 1, at + 1 + (question[at] ?? 0)));
        }
        return words.join(".");
    }

    stop(): void {
        this.#socket.close();
    }
}

describe("the system's resolver", () => {
    let server: NameServer;
    let resolver: ReturnType<typeof systemResolver>;
    beforeEach(async () => {
        server = new NameServer();
        resolver = systemResolver([await server.start()]);
        server.add("company.example", "MX", Buffer.concat([numbers(10), labels("mx.company.example")]));
        server.add("_imaps._tcp.company.example", "SRV", Buffer.concat([numbers(0, 5, 993), labels(HOST)]));
        server.add("_imap._tcp.company.example", "SRV", Buffer.concat([numbers(0, 0, 0), labels(".")]));
    });
    afterEach(() => server.stop());

    it("reads records as they stand, and none as none", async () => {
        const mx = await resolver.mx("company.example", 2_000);
        assert.deepEqual(mx, [{ preference: 10, exchange: "mx.company.example" }]);
        const srv = await resolver.srv("_imaps._tcp.company.example", 2_000);
        assert.deepEqual(srv, [{ priority: 0, weight: 5, port: 993, target: HOST }]);
        const [none] = await resolver.srv("_imap._tcp.company.example", 2_000);
        assert.equal(none?.target, "");
        assert.deepEqual(await resolver.srv("_pop3s._tcp.company.example", 2_000), []);
        assert.deepEqual(await resolver.mx("_imaps._tcp.company.example", 2_000), []);
    });

    it("says why it has no answer", async () => {
        server.rcode = 2;
        assert.equal(await trouble(resolver.mx("company.example", 500)), "refused");
        server.isSilent = true;
        assert.equal(await trouble(resolver.mx("company.example", 300)), "timed_out");
    });

    it("is all that is asked where the exchangers are of a hoster that is built in", async () => {
        server.add("company.example", "MX", Buffer.concat([numbers(1), labels("smtp.google.com")]));
        const opener = () => assert.fail("no file is asked for");
        const found = await discover(USER, { resolver, opener });
        assert.deepEqual([found.outcome, found.provider, found.hoster], ["found", "gmail", "Google Workspace"]);
        assert.equal(found.profile.oauth?.tokenEndpoint, "https://oauth2.googleapis.com/token");
    });
});

// ---- HTTPS ----------------------------------------------------------------------------------------------------------

describe("a GET over https", () => {
    let identity: Identity;
    let server: TlsServer | undefined;
    const requests: string[] = [];
    before(() => {
        identity = certificate();
    });
    afterEach(() => {
        server?.close();
        requests.length = 0;
    });

    async function serve(answer: (socket: TLSSocket) => void): Promise<string> {
        server = createServer({ key: identity.key, cert: identity.cert }, (socket) => {
            socket.on("error", () => undefined);
            socket.once("data", (data) => {
                requests.push(data.toString("latin1"));
                answer(socket);
            });
        });
        server.listen(0, "127.0.0.1");
        await once(server, "listening");
        return `https://localhost:${(server.address() as AddressInfo).port}/x?y`;
    }

    const plain = { timeout: 5_000, octetsMax: 1_000, publicOnly: false };
    const get = (url: string, options = {}) => httpsOpener({ ca: identity.ca })(url, { ...plain, ...options });

    it("reads a file whole, and tells nothing of the user", async () => {
        const url = await serve((socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
        const { status, location, body } = await get(url);
        assert.deepEqual([status, location, Buffer.from(body).toString()], [200, undefined, "hello"]);
        assert.match(requests[0] ?? "", /^GET \/x\?y HTTP\/1\.1\r\n/);
        assert.match(requests[0] ?? "", /mailbearer\//);
        assert.doesNotMatch(requests[0] ?? "", /cookie|authorization/i);
    });

    it("follows no redirect: each status is an answer", async () => {
        for (const code of [301, 302, 307, 308, 404, 500]) {
            const head = `HTTP/1.1 ${code} x\r\nLocation: https://localhost:1/\r\nContent-Length: 0\r\n\r\n`;
            const { status, location } = await get(await serve((socket) => socket.end(head)));
            assert.deepEqual([status, location], [code, "https://localhost:1/"]);
            server?.close();
        }
    });

    it("asks no private address that others have named", async () => {
        const url = await serve((socket) => socket.end("HTTP/1.1 200 OK\r\n\r\n"));
        assert.equal(await trouble(get(url, { publicOnly: true })), "not_public");
        assert.deepEqual(requests, []);
    });

    it("knows the addresses of the Internet", () => {
        for (const address of ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]) {
            assert.ok(isPublic(address), address);
        }
        const own =
            "10.1.2.3 127.0.0.1 169.254.169.254 100.64.0.1 172.31.0.1 192.168.0.1 0.0.0.0 224.0.0.1 255.255.255.255";
        for (const address of `${own} ::1 :: fe80::1 fd00::1 ::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1::1 2001:db8::1`.split(
            " ",
        )) {
            assert.ok(!isPublic(address), address);
        }
    });

    it("is bounded in octets and in time", async () => {
        const drip = (octets: string) => (socket: TLSSocket) => {
            socket.write("HTTP/1.1 200 OK\r\n\r\n");
            const timer = setInterval(() => socket.write(octets), 20);
            socket.on("close", () => clearInterval(timer));
        };
        assert.equal(await trouble(get(await serve(drip("x".repeat(500))))), "too_large");
        server?.close();
        const began = performance.now();
        assert.equal(await trouble(get(await serve(drip("x")), { timeout: 300 })), "timed_out");
        assert.ok(performance.now() - began < 4_000);
    });

    it("tells what is wrong with a server", async () => {
        const url = await serve((socket) => socket.end("220 smtp.example ESMTP\r\n"));
        assert.equal(await trouble(get(url)), "malformed");
        assert.equal(await trouble(httpsOpener()(url, plain)), "tls");
        server?.close();
        assert.equal(await trouble(get("https://localhost:1/")), "unreachable");
    });
});

// ---- The whole ------------------------------------------------------------------------------------------------------

describe("discover", () => {
    it("is over in its time, whatever hangs", async () => {
        const { standIn, options } = find({});
        const hanging = { mx: () => new Promise<never>(() => undefined), srv: (name: string) => standIn.srv(name) };
        const began = performance.now();
        const found = await discover(USER, { ...options, resolver: hanging, timeout: 300 });
        assert.ok(performance.now() - began < 4_000);
        assert.deepEqual(found.looks[0], { what: "MX company.example", seen: "failed", text: "no answer in time" });
    });

    it("ends with its signal", async () => {
        const never = () => new Promise<never>(() => undefined);
        const signal = AbortSignal.timeout(50);
        const error = await rejection(discover(USER, { resolver: { mx: never, srv: never }, signal }));
        assert.equal(error.name, "TimeoutError");
    });

    it("takes what a stand-in throws as no answer", async () => {
        const { standIn, options } = find({ "SRV _imaps._tcp.company.example": [[0, 1, 993, `${HOST}.`]] });
        const broken = { mx: () => Promise.reject(new RangeError("x")), srv: (name: string) => standIn.srv(name) };
        assert.equal((await discover(USER, { ...options, resolver: broken })).outcome, "found");
    });

    it("refuses what cannot be looked up, before it asks", async () => {
        for (const user of ["joe", "joe@192.0.2.1", 7 as unknown as string]) {
            assert.ok((await rejection(discover(user))) instanceof ConfigError);
        }
        assert.ok((await rejection(discover(USER, { timeout: 0 }))) instanceof ConfigError);
        assert.ok((await rejection(discover(USER, { colour: "red" } as object))) instanceof ConfigError);
    });
});

// ---- Front doors ----------------------------------------------------------------------------------------------------

describe("a login that was told no server", () => {
    let identity: Identity;
    let server: TlsServer;
    let asked: string[];
    let answers: Answers;
    before(async () => {
        identity = certificate("/CN=an authority", `DNS:${HOST}`);
        server = createServer({ key: identity.key, cert: identity.cert }, (socket) => {
            socket.on("error", () => undefined);
            socket.write("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER] hi\r\n");
            socket.on("data", (line) => socket.write(`${line.toString("latin1").split(" ")[0]} OK done\r\n`));
        });
        server.listen(0, "127.0.0.1");
        await once(server, "listening");
    });
    after(() => server.close());

    /** The Internet as the front doors see it: DNS, and no host but the server's. */
    function internet(context: TestContext): { tlsOptions: { ca: Buffer } } {
        const { port } = server.address() as AddressInfo;
        answers = { "SRV _imaps._tcp.company.example": [[0, 1, port, `${HOST}.`]] };
        asked = [];
        const table = (what: string) => {
            asked.push(what);
            return (answers[what] ?? []) as any[];
        };
        const { prototype } = dns.promises.Resolver;
        context.mock.method(prototype, "resolveMx", (domain: string) =>
            Promise.resolve(table(`MX ${domain}`).map(([priority, exchange]) => ({ priority, exchange }))),
        );
        context.mock.method(prototype, "resolveSrv", (name: string) =>
            Promise.resolve(
                table(`SRV ${name}`).map(([priority, weight, port, name]) => ({ priority, weight, port, name })),
            ),
        );
        context.mock.method(
            dns,
            "lookup",
            (host: string, options: { all?: boolean }, done: (...all: unknown[]) => void) => {
                const error = Object.assign(new Error("no such host"), { code: "ENOTFOUND", syscall: "getaddrinfo" });
                const found = { address: "127.0.0.1", family: 4 };
                setImmediate(() => (host === HOST ? done(null, options.all ? [found] : "127.0.0.1", 4) : done(error)));
            },
        );
        return { tlsOptions: { ca: identity.ca } };
    }

    it("finds it, and says so", async (context) => {
        const connection = await connect({ protocol: "imap", user: USER, token: "token", ...internet(context) });
        assert.equal(connection.endpoint.host, HOST);
        assert.equal(
            connection.discovered?.sentence,
            "company.example has its mail at imap.company.example, as its SRV records say (likely); " +
                "whether it takes tokens is not said, its greeting will tell",
        );
        await connection.close();
    });

    it("can be forbidden, and is not made where the server is named", async (context) => {
        const options = { protocol: "imap", user: USER, token: "token", ...internet(context) } as const;
        assert.match(String(await rejection(connect({ ...options, discover: false }))), /host is missing/);
        await rejection(connect({ ...options, host: "localhost", port: 1 }));
        assert.throws(() => sessions({ ...options, discover: false }), /host is missing/);
        assert.throws(() => sessions({ ...options, discover: "no" as never }), /discover must be a boolean/);
        assert.deepEqual(asked, []);
    });

    it("sends no token to another domain that DNS names", async (context) => {
        const options = { protocol: "imap", user: USER, token: "token", ...internet(context) } as const;
        answers["SRV _imaps._tcp.company.example"] = [[0, 1, 993, "imap.evil.example."]];
        const error = await rejection(connect(options));
        assert.ok(error instanceof ConfigError);
        assert.match(error.message, /if it is right, give imap\.evil\.example as host/);
    });

    it("says what was looked at where there is none", async (context) => {
        const options = { protocol: "imap", user: USER, token: "token", ...internet(context) } as const;
        answers = {};
        const said = /no mail server is known for company\.example: it has no MX record/;
        assert.match(String(await rejection(connect(options))), said);
        assert.match(String(await rejection(sessions(options).next())), said);
    });

    it("is told by sessions as an event, alone and of an account", async (context) => {
        const { tlsOptions } = internet(context);
        for (const isOfAccount of [false, true]) {
            const events: SessionEvent[] = [];
            const onEvent = (event: SessionEvent) => void events.push(event);
            const account = new Account({ user: USER, token: "token", onEvent: isOfAccount ? onEvent : undefined });
            const connections = isOfAccount
                ? account.sessions({ protocol: "imap", tlsOptions })
                : sessions({ protocol: "imap", user: USER, token: "token", onEvent, tlsOptions });
            assert.throws(() => connections.status(), /looked up at the first connection/);
            const { value } = await connections.next();
            assert.equal(value?.endpoint.host, HOST);
            assert.equal(value?.discovered?.outcome, "found");
            const told = events.filter(({ kind }) => kind === "discovered");
            assert.equal(told.length, 1);
            assert.deepEqual([told[0]?.protocol, told[0]?.session, events[0]], ["imap", 1, told[0]]);
            assert.match(told[0]?.text ?? "", /as its SRV records say/);
            assert.equal(connections.status().protocol, "imap");
            await connections.close();
            await account.close();
        }
    });

    it("asks the source for the scopes that were found", async (context) => {
        internet(context);
        answers["MX company.example"] = [[1, "smtp.google.com"]];
        const scopes: unknown[] = [];
        // As MSAL's, but that it only notes what is asked for.
        const token = {
            getTokenCache: () => ({ getAllAccounts: () => Promise.resolve([{ username: USER }]) }),
            acquireTokenSilent(request: { scopes: unknown }) {
                scopes.push(request.scopes);
                return Promise.reject(new ConfigError("no token in this test"));
            },
        };
        const error = await rejection(sessions({ protocol: "imap", user: USER, token }).next());
        assert.match(String(error), /token/);
        assert.deepEqual(scopes[0], ["https://mail.google.com/"]);
    });

    it("is over where it is closed meanwhile, and adds nothing", async (context) => {
        const { tlsOptions } = internet(context);
        context.mock.method(dns.promises.Resolver.prototype, "resolveMx", () => sleep(200, []));
        const account = new Account({ user: USER, token: "token" });
        const connections = account.sessions({ protocol: "imap", tlsOptions });
        const next = connections.next();
        await sleep(50);
        await connections.close();
        assert.equal((await next).done, true);
        assert.deepEqual(account.status().sessions, []);
        await account.close();
    });

    it("tells settings that cannot work before it looks anything up", (context) => {
        const options = { protocol: "imap", user: USER, token: "token", ...internet(context) } as const;
        assert.throws(() => sessions({ ...options, timeout: -1 }), ConfigError);
        const account = new Account({ user: USER, token: "token" });
        assert.throws(() => account.sessions({ protocol: "imap", policy: { first: 1 } }), ConfigError);
        assert.deepEqual(asked, []);
    });
});

// ---- The command ----------------------------------------------------------------------------------------------------

describe("the command", () => {
    let folder: string;
    let server: TlsServer;
    before(async () => {
        folder = mkdtempSync(join(tmpdir(), "mb-discover-"));
        const identity = certificate("/CN=an authority", `DNS:${HOST}`);
        writeFileSync(join(folder, "ca.pem"), identity.ca);
        server = createServer({ key: identity.key, cert: identity.cert }, (socket) => {
            socket.on("error", () => undefined);
            socket.write("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER] hi\r\n");
            socket.on("data", (line) => socket.write(`${line.toString("latin1").split(" ")[0]} OK done\r\n`));
        });
        server.listen(0, "127.0.0.1");
        await once(server, "listening");
        writeFileSync(join(folder, "internet.cjs"), internet((server.address() as AddressInfo).port));
    });
    after(() => {
        server.close();
        rmSync(folder, { recursive: true });
    });

    /** DNS and hosts as the command sees them; what is asked for it prints to standard error. */
    function internet(port: number): string {
        return `
            const dns = require("node:dns");
            const { prototype } = dns.promises.Resolver;
            prototype.resolveMx = async (domain) => (console.error("asked MX " + domain), []);
            prototype.resolveSrv = async (name) =>
                name === "_imaps._tcp.company.example" ? [{ priority: 0, weight: 1, port: ${port}, name: "${HOST}" }] : [];
            dns.lookup = (host, options, done) =>
                setImmediate(() =>
                    host === "${HOST}"
                        ? done(null, options.all ? [{ address: "127.0.0.1", family: 4 }] : "127.0.0.1", 4)
                        : done(Object.assign(new Error("no such host"), { code: "ENOTFOUND" })),
                );
        `;
    }

    function run(...words: string[]): Promise<{ status: number; out: string; err: string }> {
        const env = {
            ...process.env,
            MAILBEARER_TOKEN: "token",
            NODE_OPTIONS: `--require ${join(folder, "internet.cjs")}`,
        };
        return new Promise((resolve) => {
            const command = join(APP, "node_modules/.bin/mailbearer");
            execFile(command, words, { env, timeout: 60_000 }, (error, out, err) =>
                resolve({ status: error === null ? 0 : Number(error.code), out, err }),
            );
        });
    }

    it("says what, from where, and how sure", async () => {
        const { status, out } = await run("discover", USER);
        assert.equal(status, 0);
        assert.match(
            out,
            /^imap {3}imap\.company\.example:\d+ \(TLS\), user joe@company\.example, OAuth not known; srv, likely$/m,
        );
        assert.match(out, /^ {2}nothing {2}MX company\.example: no record$/m);
        const json = await run("discover", USER, "--json");
        assert.equal(JSON.parse(json.out).services[0].user_pattern, "%EMAILADDRESS%");
        const known = await run("discover", "joe@gmail.com", "--json");
        assert.equal(JSON.parse(known.out).oauth.token_endpoint, "https://oauth2.googleapis.com/token");
        assert.doesNotMatch(known.err, /asked/);
    });

    it("tells by its exit status what came of it", async () => {
        const nothing = await run("discover", "joe@nothing.example");
        assert.deepEqual([nothing.status, /no mail server is known/.test(nothing.out)], [1, true]);
        const wrong = await run("discover", "joe");
        assert.deepEqual([wrong.status, /no mail address/.test(wrong.err)], [2, true]);
        assert.equal((await run("discover")).status, 2);
        assert.match((await run("discover", "--colour", USER)).err, /there is no option --colour/);
        assert.match((await run("discover", "--help")).out, /its local part is told to nobody/);
    });

    it("looks up once for all protocols of a check", async () => {
        const trusting = ["--ca-file", join(folder, "ca.pem")];
        const { status, out, err } = await run("check", USER, ...trusting);
        assert.equal(status, 1);
        assert.match(out, /as its SRV records say \(likely\)/);
        assert.match(out, /1 of 3 worked/);
        assert.match(out, /no pop3 server was found/);
        assert.deepEqual(err.match(/asked MX/g), ["asked MX"]);
        const forbidden = await run("check", USER, ...trusting, "--no-discover");
        assert.match(forbidden.out, /host is missing/);
        assert.doesNotMatch(forbidden.err, /asked/);
        const json = await run("check", USER, ...trusting, "--json", "--no-pop3", "--no-smtp");
        assert.deepEqual([json.status, JSON.parse(json.out).discovered.outcome], [0, "found"]);
    });
});
