/** Sessions against the testing server: expiry, renewal, refusals, sources that fail, and what programs see of it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { afterEach, beforeEach, describe, it } from "node:test";
import { inspect } from "node:util";
import {
    type Cause,
    ConfigError,
    GaveUp,
    LoginFailed,
    type MailProtocol,
    Misuse,
    NeedsUser,
    type SessionConnection,
    SessionEnded,
    type SessionEvent,
    type SessionOptions,
    type Sessions,
    sessions,
    type TokenSource,
    TokenSourceFailed,
    Watch,
} from "mailbearer";
import { Server, type ServerOptions } from "mailbearer/testing";
import { Counted, rejection, until } from "./waiting.mjs";

const USER = "joe@gmail.com";
const LIFE_MS = 1_500;
const AT_END = { renewal: "at_end", backoffBase: 20, loginInterval: 1 } as const;
const QUICK = { backoffBase: 20, backoffMax: 100, loginInterval: 1 };

let server: Server;
let open: Array<Sessions<unknown>> = [];

async function started(options: ServerOptions): Promise<Server> {
    await server.stop();
    server = await Server.start(options);
    return server;
}

beforeEach(async () => {
    server = await Server.start({ tokenLifetime: LIFE_MS });
});
afterEach(async () => {
    await Promise.all(open.map((one) => one.close()));
    open = [];
    await server.stop();
});

function source(lifetime = LIFE_MS): TokenSource {
    return () => ({ token: server.issueToken(USER, { lifetime }), expiresInMs: lifetime });
}

function stay(protocol: MailProtocol, options: Partial<SessionOptions> = {}): Sessions<undefined> {
    const made = sessions({ protocol, user: USER, token: source(), ...server.at(protocol), ...options });
    open.push(made);
    return made;
}

async function next(of: Sessions<undefined>): Promise<SessionConnection<undefined>> {
    const { value } = await of.next();
    assert.ok(value, "there is no next connection");
    return value;
}

/** What the server says next; rejects with the error with which the socket ended. */
function hear({ socket }: SessionConnection<undefined>): Promise<string> {
    return new Promise((resolve, reject) => {
        const close = () => reject(socket.errored ?? new Error("closed"));
        if (socket.closed) {
            close();
            return;
        }
        socket.once("close", close);
        socket.once("data", (data: Buffer) => {
            socket.off("close", close);
            resolve(data.toString());
        });
    });
}

function ask(connection: SessionConnection<undefined>, command: string): Promise<string> {
    connection.socket.write(command);
    return hear(connection);
}

/** Asks for ever; rejects when the session ends. */
async function askOn(connection: SessionConnection<undefined>, command = "A1 NOOP\r\n"): Promise<never> {
    for (;;) {
        await ask(connection, command);
    }
}

class Log {
    readonly events: SessionEvent[] = [];
    readonly onEvent = (event: SessionEvent): void => void this.events.push(event);

    of(kind: SessionEvent["kind"]): SessionEvent[] {
        return this.events.filter((event) => event.kind === kind);
    }
}

describe("the end of a session", () => {
    it("that is closed from outside ends its loop without an error", async () => {
        const made = sessions({
            protocol: "imap",
            user: USER,
            token: () => server.issueToken(USER),
            ...server.at("imap"),
        });
        let given = 0;
        for await (const connection of made) {
            given += 1;
            setImmediate(() => void made.close());
            assert.equal(await connection.use(() => connection.wait()), true);
        }
        assert.equal(given, 1);
    });

    it("over sockets has no client, and says so; and a time is a number", async () => {
        const made = sessions({
            protocol: "imap",
            user: USER,
            token: () => server.issueToken(USER),
            ...server.at("imap"),
        });
        const connection = await next(made);
        assert.throws(
            () => (connection.client as unknown as { noop(): void }).noop(),
            (error) => error instanceof Misuse && /has no client: .*connection\.socket/.test(error.message),
        );
        await assert.rejects(connection.wait("60" as never), /milliseconds must be a number, not a string/);
        await assert.rejects(connection.wait(Number.NaN), ConfigError);
        await assert.rejects(connection.wait(Infinity), /left out, it waits for ever/);
        assert.equal(await connection.wait(-5), false);
        await made.close();
    });

    it("is an error in the middle of the work, and the next connection says what was in flight", async () => {
        const made = stay("imap", { policy: AT_END });
        const first = await next(made);
        await ask(first, "A1 SELECT INBOX\r\n");
        const error = await rejection(SessionEnded, askOn(first));
        assert.equal(error.code, "token_expired");
        assert.equal(error.advice, "refresh_token");
        assert.equal(first.verdict, error.verdict);
        assert.ok(first.socket.destroyed);
        const second = await next(made);
        assert.equal(second.generation, 2);
        assert.ok(second.resumed?.protocol === "imap" && second.resumed.selected?.name === "INBOX");
        assert.match(await ask(second, "A1 NOOP\r\n"), /^A1 OK/);
    });

    it("comes behind what the server said before it, for whoever reads slowly", async () => {
        const connection = await next(stay("imap", { policy: AT_END }));
        connection.socket.write("A1 NOOP\r\n");
        await until("the session has ended", () => connection.verdict !== undefined);
        let read = "";
        const reading = (async () => {
            for await (const chunk of connection.socket) {
                read += String(chunk);
            }
        })();
        await assert.rejects(reading, SessionEnded);
        assert.match(read, /^A1 OK[^]*\* BYE/);
    });

    it("ends writes too", async () => {
        const connection = await next(stay("smtp", { policy: AT_END }));
        await rejection(SessionEnded, askOn(connection, "NOOP\r\n"));
        const failed = new Promise((resolve) => connection.socket.write("NOOP\r\n", resolve));
        assert.ok((await failed) instanceof Error);
    });

    for (const cut of ["words", "silent"] as const) {
        it(`in \`use\` is no error, and the loop goes on (${cut})`, async () => {
            await started({ tokenLifetime: 800, cut });
            const generations: number[] = [];
            for await (const connection of stay("imap", { token: source(800), policy: AT_END })) {
                generations.push(connection.generation);
                if (generations.length === 3) {
                    break;
                }
                assert.equal(await connection.use(askOn), undefined);
                assert.ok(connection.verdict);
            }
            assert.deepEqual(generations, [1, 2, 3]);
            await until("all is closed", () => server.sessions === 0);
        });
    }

    it("does not hide other errors", async () => {
        const connection = await next(stay("imap"));
        await assert.rejects(
            connection.use(() => Promise.reject(new RangeError("mine"))),
            RangeError,
        );
        assert.ok(connection.socket.destroyed);
    });

    it("gives the result of the work", async () => {
        const connection = await next(stay("imap"));
        assert.equal(await connection.use(() => "done"), "done");
        await until("it is closed", () => server.sessions < 2);
    });

    it("is noticed where a server does not answer", async () => {
        const made = stay("imap", { timeout: 400, token: source(60_000) });
        server.setFault("command", "vanish");
        const connection = await next(made);
        const error = await rejection(SessionEnded, askOn(connection));
        assert.equal(error.code, "timed_out");
    });

    it("of a server that restarts is a shutdown", async () => {
        const made = stay("imap", { token: source(60_000) });
        const connection = await next(made);
        const ended = rejection(
            SessionEnded,
            hear(connection).then(() => hear(connection)),
        );
        server.restart();
        await ended;
        assert.equal(connection.verdict?.cause, "shutdown");
        assert.equal((await next(made)).generation, 2);
    });
});

describe("a renewal", () => {
    it("comes before the end, and is told", async () => {
        const log = new Log();
        for await (const connection of stay("pop3", { onEvent: log.onEvent })) {
            const early = connection.renewBy;
            assert.equal(early, undefined);
            assert.equal(await connection.wait(), true);
            assert.ok(connection.renewBy instanceof Date && connection.verdict === undefined);
            assert.match(await ask(connection, "NOOP\r\n"), /^\+OK/);
            if (connection.generation === 3) {
                break;
            }
        }
        assert.deepEqual([...new Set(log.of("ended").map((event) => event.cause))], ["no_fault"]);
        assert.equal(log.of("renewing")[0]?.text, "token_expiry");
        assert.equal(log.of("online").length >= 3, true);
    });

    it("that is ignored cuts before the server does", async () => {
        const counted = new Counted(server);
        const connection = await next(stay("smtp"));
        const error = await rejection(SessionEnded, askOn(connection, "NOOP\r\n"));
        assert.equal(error.code, "session_limit");
        assert.equal(counted.of("ended"), 0);
    });

    it("with overlap has the next one online first", async () => {
        const made = stay("imap", { policy: { renewal: "overlap", loginInterval: 1 } });
        const first = await next(made);
        await until("two are online", () => server.sessions === 2);
        assert.match(await ask(first, "A1 NOOP\r\n"), /^A1 OK/);
        assert.equal((await next(made)).generation, 2);
    });

    it("wait sleeps, and says so", async () => {
        const connection = await next(stay("imap", { token: source(60_000) }));
        assert.equal(await connection.wait(1), false);
        const closed = connection.wait();
        await connection.close();
        assert.equal(await closed, true);
    });
});

describe("a token", () => {
    it("that is refused twice asks the user, and no third login is made", async () => {
        const counted = new Counted(server);
        const log = new Log();
        const token = () => server.issueToken(USER, { lifetime: 0 });
        const made = stay("imap", { token, policy: QUICK, onEvent: log.onEvent });
        const error = await rejection(NeedsUser, made.next());
        assert.equal(error.code, "token_rejected");
        assert.equal(error.advice, "ask_user");
        assert.equal(counted.of("refused"), 2);
        assert.equal(log.of("needs_user").length, 1);
        assert.equal(made.status().phase, "needs_user");
    });

    it("that is handed back after its refusal asks the user", async () => {
        const counted = new Counted(server);
        const made = stay("imap", { token: server.issueToken(USER, { lifetime: 0 }), policy: QUICK });
        assert.equal((await rejection(NeedsUser, made.next())).code, "token_rejected");
        assert.equal(counted.of("refused"), 1);
    });

    it("that is wanted again behind a stop leads to nothing, until the user has acted", async () => {
        const counted = new Counted(server);
        let good = false;
        const token = () => server.issueToken(USER, { lifetime: good ? 60_000 : 0 });
        const made = stay("imap", { token, policy: QUICK });
        await rejection(NeedsUser, made.next());
        good = true;
        assert.equal((await rejection(NeedsUser, made.next())).code, "token_rejected");
        assert.deepEqual([counted.of("refused"), counted.of("logged_in")], [2, 0]);
        made.retry();
        assert.equal((await next(made)).generation, 1);
    });

    it("source that fails for good asks the user, with its error", async () => {
        const revoked = () => Promise.reject(new TokenSourceFailed("the consent is gone", { permanent: true }));
        const error = await rejection(NeedsUser, stay("imap", { token: revoked }).next());
        assert.equal(error.code, "token_unavailable");
        assert.ok(error.cause instanceof TokenSourceFailed && error.cause.message === "the consent is gone");
    });

    it("source that is wrong is told to the program at once, with its error, and stops nothing", async () => {
        const wrong: Array<[() => unknown, RegExp]> = [
            [() => "two words", /what is no token/],
            [() => 5, /gave a number/],
            [() => undefined, /gave undefined/],
            [() => ({ token: null }), /gave null/],
            [() => ({ token: "abc", expiresIn: 3_600 }), /a member expiresIn: the members are token and expiresInMs/],
            [() => ({ access_token: "abc", expires: 3_600 }), /a member expires, which is not known/],
            [() => (undefined as never as { token: string }).token, /TypeError: Cannot read properties of undefined/],
        ];
        for (const [bad, words] of wrong) {
            let calls = 0;
            const token = () => ((calls += 1) === 1 ? bad() : server.issueToken(USER)) as never;
            const made = stay("imap", { token });
            const error = await rejection(Misuse, made.next());
            assert.match(error.message, words);
            assert.match(error.message, /Mend the function that gives the token/);
            assert.equal(error.cause instanceof TypeError, /TypeError/.test(error.message));
            assert.equal((await next(made)).generation, 1);
        }
    });

    it("source that throws is asked again later", async () => {
        const log = new Log();
        let calls = 0;
        const broken = async () => {
            calls += 1;
            if (calls < 4) {
                throw new Error("no route");
            }
            return server.issueToken(USER);
        };
        await next(stay("imap", { token: broken, onEvent: log.onEvent, policy: QUICK }));
        assert.equal(log.of("token_failed").length, 3);
        assert.ok(log.of("waiting").every((event) => (event.waitMs ?? 1e9) <= 200));
    });

    it("source that hangs is given up, told so, and asked again", async () => {
        const signals: AbortSignal[] = [];
        const hangs = ({ signal }: { signal: AbortSignal }): Promise<string> | string => {
            signals.push(signal);
            return signals.length < 3 ? new Promise(() => undefined) : server.issueToken(USER, { lifetime: 60_000 });
        };
        await next(stay("imap", { token: hangs, policy: { ...QUICK, tokenTimeout: 50 } }));
        assert.equal(signals.length, 3);
        assert.ok(signals[0]?.aborted && signals[1]?.aborted);
    });

    it("is never in an event, a status or an error", async () => {
        const log = new Log();
        const issued: string[] = [];
        const token = () => {
            issued.push(server.issueToken(USER, { lifetime: issued.length === 0 ? 0 : LIFE_MS }));
            return { token: issued.at(-1) as string, expiresInMs: LIFE_MS };
        };
        const made = stay("imap", { token, policy: AT_END, onEvent: log.onEvent });
        const connection = await next(made);
        const error = await rejection(SessionEnded, askOn(connection));
        const shown = inspect([log.events, made, made.status(), error, connection.verdict], {
            depth: 9,
            showHidden: true,
        });
        assert.ok(issued.length >= 2);
        assert.ok(issued.every((one) => !shown.includes(one.slice(0, 16)) && !made.snapshot().includes(one)));
    });

    it("is asked for once by sessions that need it together", async () => {
        let calls = 0;
        const shared = async () => {
            calls += 1;
            await new Promise((resolve) => setTimeout(resolve, 50));
            return server.issueToken(USER, { lifetime: 60_000 });
        };
        await Promise.all([next(stay("imap", { token: shared })), next(stay("imap", { token: shared }))]);
        assert.equal(calls, 1);
    });
});

describe("a refusal that is no matter of the token", () => {
    it("backs off, and goes on when it is over", async () => {
        const log = new Log();
        server.refuse("unavailable");
        const waiting = next(stay("imap", { policy: QUICK, token: source(600_000), onEvent: log.onEvent }));
        await until("it has failed three times", () => log.of("login_failed").length >= 3);
        assert.ok(log.of("login_failed").every((event) => event.cause === "unavailable"));
        assert.equal(log.of("fetching_token").length, 1, "no token is asked for where none was refused");
        server.refuse();
        assert.equal((await waiting).generation, 1);
    });

    for (const cause of ["app_password_required", "protocol_disabled"] as Cause[]) {
        it(`stops with its reason where only a person helps: ${cause}`, async () => {
            server.refuse(cause);
            const error = await rejection(LoginFailed, stay("imap", { policy: QUICK }).next());
            assert.ok(error instanceof NeedsUser || error instanceof GaveUp);
            assert.equal(error.code, cause);
        });
    }
});

describe("sessions", () => {
    it("are left behind by a loop that is left", async () => {
        for await (const connection of stay("imap")) {
            assert.equal(server.sessions, 1);
            assert.equal(connection.generation, 1);
            break;
        }
        await until("the connection is closed", () => server.sessions === 0);
    });

    it("end with their signal, whoever waits", async () => {
        server.refuse("unavailable");
        const controller = new AbortController();
        const waiting = stay("imap", { signal: controller.signal }).next();
        const ended = assert.rejects(waiting, { name: "AbortError" });
        controller.abort();
        await ended;
        server.refuse();
        const other = new AbortController();
        const made = stay("imap", { signal: other.signal });
        const connection = await next(made);
        other.abort();
        await until("the connection is closed", () => server.sessions === 0 && connection.socket.destroyed);
        await assert.rejects(made.next(), { name: "AbortError" });
    });

    it("log in only when a connection is asked for", async () => {
        const counted = new Counted(server);
        const log = new Log();
        const made = stay("imap", { onEvent: log.onEvent });
        const first = await next(made);
        await first.letGo();
        await until("it is closed", () => server.sessions === 0);
        await new Promise((resolve) => setTimeout(resolve, LIFE_MS));
        assert.equal(counted.of("logged_in"), 1);
        assert.equal((await next(made)).generation, 2);
        assert.equal(counted.of("logged_in"), 2);
    });

    it("make no login for a program that has left its loops", async () => {
        const counted = new Counted(server);
        const log = new Log();
        const made = stay("imap", { onEvent: log.onEvent });
        let turns = 0;
        for await (const connection of made) {
            connection.socket.write("A1 NOOP\r\n");
            for await (const data of connection.socket) {
                assert.match(String(data), /A1 OK/);
                break;
            }
            await until("it is closed", () => server.sessions === 0);
            await new Promise((resolve) => setTimeout(resolve, 300));
            assert.equal(counted.of("logged_in"), (turns += 1));
            if (turns === 2) {
                break;
            }
        }
        assert.equal(made.status().lastEnding?.cause, "no_fault");
        assert.deepEqual(
            log.of("ended").map(({ cause }) => cause),
            ["no_fault", "no_fault"],
        );
        await assert.rejects(async () => {
            for await (const connection of stay("imap")) {
                throw new Error(connection.endpoint.protocol);
            }
        }, /^Error: imap$/);
        await new Promise((resolve) => setTimeout(resolve, LIFE_MS));
        assert.equal(counted.of("logged_in"), 3);
        assert.equal(server.sessions, 0);
    });

    it("tell which deletions POP3 has not committed", async () => {
        const made = stay("pop3", { token: source(60_000) });
        const first = await next(made);
        assert.match(await ask(first, "DELE 1\r\n"), /^\+OK/);
        server.setFault("command", "drop");
        await assert.rejects(ask(first, "QUIT\r\n"), SessionEnded);
        assert.equal(first.verdict?.cause, "connection_lost");
        const second = await next(made);
        assert.deepEqual(second.resumed, { protocol: "pop3", uncommittedDeletes: [1] });
        // RFC 1939 section 6: the server may answer QUIT with -ERR, where some were not removed.
        const watch = new Watch("pop3");
        watch.sent(Buffer.from("DELE 2\r\nQUIT\r\n"));
        watch.received(Buffer.from("+OK\r\n-ERR some deleted messages not removed\r\n"));
        assert.deepEqual(watch.aftermath(), { protocol: "pop3", uncommittedDeletes: [2] });
        assert.notEqual(watch.closed().cause, "no_fault");
    });

    it("dispose of themselves", async () => {
        {
            await using made = stay("imap");
            await using connection = await next(made);
            assert.equal(connection.socket.destroyed, false);
        }
        await until("the connection is closed", () => server.sessions === 0);
    });

    it("that were closed are done", async () => {
        const made = stay("imap");
        await next(made);
        await made.close();
        assert.deepEqual(await made.next(), { done: true, value: undefined });
        await made.close();
    });

    it("go on from a snapshot", async () => {
        const token = source(60_000);
        const made = stay("imap", { token });
        await ask(await next(made), "A1 SELECT INBOX\r\n");
        const snapshot = made.snapshot();
        await made.close();
        const connection = await next(stay("imap", { token, snapshot }));
        assert.equal(connection.generation, 2);
        assert.ok(connection.resumed?.protocol === "imap" && connection.resumed.selected);
        assert.throws(() => stay("imap", { snapshot: snapshot.subarray(0, -1) }), ConfigError);
    });

    it("keep a connection that works when the network is back", async () => {
        const made = stay("imap", { token: source(600_000) });
        const connection = await next(made);
        made.networkLost();
        made.networkBack();
        assert.match(await ask(connection, "A1 NOOP\r\n"), /^A1 OK/);
        assert.equal(connection.verdict, undefined);
        assert.equal(made.status().standing, "given");
    });

    it("try at once what waited for the network when it is back", async () => {
        const log = new Log();
        const policy = { backoffBase: 300_000, backoffMax: 300_000 };
        const made = stay("imap", { token: source(600_000), policy, onEvent: log.onEvent });
        await next(made);
        await server.stop();
        const ended = made.next();
        await until("it has failed", () => log.of("login_failed").length === 1);
        const tried = performance.now();
        made.networkBack();
        await until("it is tried again", () => log.of("login_failed").length === 2);
        assert.ok(performance.now() - tried < 2_000);
        await made.close();
        assert.deepEqual(await ended, { done: true, value: undefined });
    });

    it("end a wait by its own signal, and go on", async () => {
        server.refuse("unavailable");
        const made = stay("imap", { policy: QUICK, token: source(600_000) });
        const leaving = new AbortController();
        const waiting = assert.rejects(made.next({ signal: leaving.signal }), /enough/);
        leaving.abort(new Error("enough"));
        await waiting;
        assert.equal(made.status().isWanted, false);
        server.refuse();
        assert.equal((await next(made)).generation, 1);
    });

    it("are waited for once at a time", async () => {
        server.refuse("unavailable");
        const made = stay("imap", { policy: QUICK, token: source(600_000) });
        const first = made.next();
        await assert.rejects(made.next(), Misuse);
        server.refuse();
        assert.equal((await first).value?.generation, 1);
    });

    it("do not end by an observer that throws", async () => {
        const warned = once(process, "warning");
        const onEvent = () => {
            throw new RangeError("observer");
        };
        const connection = await next(stay("imap", { onEvent }));
        assert.match(await ask(connection, "A1 NOOP\r\n"), /^A1 OK/);
        const [warning] = (await warned) as [Error];
        assert.match(warning.message, /onEvent threw RangeError/);
    });

    it("pass message content by, and see the end behind it", async () => {
        const body = `Subject: x\r\n\r\n${"* BYE is only text\r\n".repeat(20_000)}`;
        const made = stay("imap", { policy: AT_END, token: source(3_000) });
        const connection = await next(made);
        server.deliver(USER, Buffer.from(body));
        await ask(connection, "A1 SELECT INBOX\r\n");
        connection.socket.write("A2 FETCH 4 BODY[]\r\n");
        let read = "";
        while (!read.includes("A2 OK")) {
            read += await hear(connection);
        }
        assert.ok(read.length > body.length);
        assert.equal(connection.verdict, undefined);
        assert.equal((await rejection(SessionEnded, askOn(connection))).code, "token_expired");
    });

    it("are safe through STARTTLS", async () => {
        for (const protocol of ["imap", "pop3", "smtp"] as const) {
            const connection = await next(
                stay(protocol, { ...server.at(protocol, "starttls"), token: source(60_000) }),
            );
            assert.equal(connection.socket.authorized, true);
            assert.match(await ask(connection, protocol === "imap" ? "A1 NOOP\r\n" : "NOOP\r\n"), /^(A1 OK|\+OK|250)/);
        }
    });
});
