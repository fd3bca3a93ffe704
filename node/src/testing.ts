/**
 * A Gmail-like mail server on loopback, for tests of programs that log in with OAuth.
 *
 * It speaks real TLS, it takes only tokens that it issued itself, and it refuses, cuts and vanishes where a test wants it
 * to. It has no dialogue of its own: that is a machine of the core.
 *
 *     import { Server } from "mailbearer/testing";
 *
 *     const server = await Server.start({ tokenLifetime: 5_000 });
 *     const { socket } = await connect({ ...server.at("imap"), user, token: server.issueToken(user) });
 *     await server.stop();
 *
 * @module mailbearer/testing
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import * as net from "node:net";
import { join } from "node:path";
import * as tls from "node:tls";
import { type Cause, type MailProtocol, Provider, type Tls } from "./core";
import { ConfigError, Misuse } from "./errors";
import { kindOf } from "./foreign";
import { enter, native, numeric, optionalNumeric, optionalText, text, texts } from "./native";
import { defined, known, type OptionsOf, takes } from "./options";
import type { TlsOptions } from "./settings";

/** How the server behaves. */
export interface ServerOptions {
    /** Whose words it uses. Default: `gmail`. */
    flavour?: "gmail" | "outlook" | "dovecot" | undefined;
    /** Milliseconds that a token lives. Default: an hour. */
    tokenLifetime?: number | undefined;
    /** Milliseconds that a session may live. */
    sessionLimit?: number | undefined;
    /**
     * What happens to a session whose token or time is over: `words` (the provider's own, the default), `silent`,
     * `vanish` (the connection stays open and nothing is answered) or `never`.
     */
    cut?: "words" | "silent" | "vanish" | "never" | undefined;
    /** Every login is refused for this; see {@link Server.refuse}. */
    refuse?: Cause | undefined;
    /** How many connections one user may have logged in at once. */
    connectionsMax?: number | undefined;
    /** How many messages each user finds in the INBOX. Default: 3. */
    messages?: number | undefined;
    /** Octets of the largest message that is taken over SMTP and APPEND. Default: 35,882,577. */
    messageOctetsMax?: number | undefined;
    /** Milliseconds that a recipient is refused for now (450, 451) after a user's first message to it. */
    greylist?: number | undefined;
    /** Accounts that are there from the beginning. */
    users?: readonly string[] | undefined;
    /** Of the tokens, so that runs can be repeated. Default: each server issues other ones. */
    seed?: bigint | undefined;
    /** The address that it listens on; its certificate is for `localhost` and `127.0.0.1`. Default: `127.0.0.1`. */
    host?: string | undefined;
    /** Ports in place of free ones, by protocol and TLS: `{ "imap implicit": 10993 }`. */
    ports?: Readonly<Partial<Record<`${MailProtocol} ${Tls}`, number | undefined>>> | undefined;
}

/** Why a recipient is refused: 550, 452, 550 or 554, 450 or 451. */
export type RecipientRefusal = "unknown" | "full" | "denied" | "rate_limited";

/** A message in a mailbox. */
export interface StoredMessage {
    readonly uid: number;
    /** `\\Seen`, `\\Flagged`, …, and keywords. */
    readonly flags: readonly string[];
    /** When it came. */
    readonly date: Date;
    readonly content: Buffer;
}

/** What a token is like. */
export interface IssueOptions {
    /** Milliseconds that it lives; 0: it is over. Default: as {@link ServerOptions.tokenLifetime} says. */
    lifetime?: number | undefined;
    /** The scope that it is for. Default: the whole mailbox. */
    scope?: string | undefined;
    /** Its length in octets. Default: 200. */
    octets?: number | undefined;
}

/** How a message is put into a mailbox. */
export interface DeliverOptions {
    /** The mailbox, which is made where it is missing. Default: `INBOX`. */
    mailbox?: string | undefined;
    /** `\\Seen`, `\\Flagged`, …, and keywords. Default: none. */
    flags?: readonly string[] | undefined;
    /** When it came, for SINCE and BEFORE. Default: now. */
    date?: Date | undefined;
}

/** Where a fault strikes. */
export type Stage = "greeting" | "capabilities" | "upgrade" | "login" | "verdict" | "command" | "after_dot";
/** What a fault does: the connection ends, or answers no more; what comes is garbage, too much, or in front of TLS. */
export type FaultKind = "drop" | "vanish" | "garbage" | "flood" | "inject";

/** What happened: when (milliseconds of `performance.now()`), on which connection, and what. */
export interface ServerEvent {
    readonly atMs: number;
    readonly connection: number;
    readonly protocol: MailProtocol;
    readonly what: string;
}

/** What was accepted over SMTP. */
export interface Submitted {
    readonly user: string;
    readonly sender: string;
    readonly recipients: readonly string[];
    readonly content: Buffer;
}

/** The options that lead `connect` and `sessions` to a server. */
export interface Place {
    host: string;
    port: number;
    tls: Tls;
    provider: Provider;
    tlsOptions: TlsOptions;
}

/** The path of the certificate authority that signed the server's certificate. */
export const caFile: string = join(__dirname, "ca.pem");

const PROTOCOLS: readonly MailProtocol[] = ["imap", "pop3", "smtp"];
const MODES: readonly Tls[] = ["implicit", "starttls"];
const PROFILES = { gmail: "gmail", outlook: "microsoft", dovecot: undefined };
/** What Node's timers take: a longer one would ring at once. */
const TIMER_MS_MAX = 2_147_483_647;

/**
 * A mail server for tests: it listens on free ports of 127.0.0.1.
 *
 * Each user has an account with an INBOX and the mailboxes of the flavour (`[Gmail]/Sent Mail`, `Sent Items`, `Sent`, …). It is
 * there with the user's first token, or by {@link addUser}, before anybody logs in.
 */
export class Server {
    readonly #machine: native.NativeServer;
    readonly #flavour: "gmail" | "outlook" | "dovecot";
    readonly #host: string;
    readonly #wanted: Readonly<Record<string, number | undefined>>;
    readonly #context = tls.createSecureContext(identity());
    readonly #listeners: net.Server[] = [];
    readonly #ports = new Map<string, number>();
    readonly #peers = new Map<number, Peer>();
    readonly #accepted = new Set<net.Socket>();
    #timer: NodeJS.Timeout | undefined;
    #isStopped = false;

    private constructor(options: ServerOptions) {
        known(options, OPTIONS, "options of Server.start");
        const { seed = randomBytes(8).readBigUInt64LE() } = options;
        const given = { ...DEFAULTS, ...defined(options) };
        this.#flavour = given.flavour;
        const settings = {
            flavour: text(given.flavour, "flavour"),
            cut: text(given.cut, "cut"),
            tokenLifetimeMs: numeric(given.tokenLifetime, "tokenLifetime"),
            sessionLimitMs: optionalNumeric(given.sessionLimit, "sessionLimit"),
            connectionsMax: optionalNumeric(given.connectionsMax, "connectionsMax"),
            messages: numeric(given.messages, "messages"),
            messageOctetsMax: numeric(given.messageOctetsMax, "messageOctetsMax"),
            greylistMs: optionalNumeric(given.greylist, "greylist"),
            unixEpochMs: Math.max(0, Date.now() - now()),
        };
        this.#machine = enter(() => new native.NativeServer(settings, BigInt.asUintN(64, seed)));
        this.refuse(given.refuse);
        for (const user of texts(given.users, "users")) {
            this.addUser(user);
        }
        this.#host = text(given.host, "host");
        known(given.ports, PORTS, "ports");
        this.#wanted = given.ports;
    }

    /** Starts a server; {@link stop} ends it, as does `await using`. */
    static async start(options: ServerOptions = {}): Promise<Server> {
        const server = new Server(options);
        try {
            for (const protocol of PROTOCOLS) {
                for (const mode of MODES) {
                    await server.#listen(protocol, mode);
                }
            }
        } catch (error) {
            // A port is taken: nothing is left behind.
            await server.stop();
            throw error;
        }
        return server;
    }

    /**
     * Closes all connections and stops listening. What was there can be read still ({@link submitted}, {@link messages},
     * {@link events}, …); what would change it, and {@link at} and {@link port}, are a {@link Misuse} then.
     */
    async stop(): Promise<void> {
        this.#isStopped = true;
        clearTimeout(this.#timer);
        const closed = this.#listeners.map((one) => new Promise<void>((resolve) => one.close(() => resolve())));
        for (const socket of this.#accepted) {
            socket.destroy();
        }
        await Promise.all(closed);
    }

    [Symbol.asyncDispose](): Promise<void> {
        return this.stop();
    }

    /** The options that lead `connect` and `sessions` here: host, port, TLS, profile and trust. */
    at(protocol: MailProtocol, mode: Tls = "implicit"): Place {
        const profile = PROFILES[this.#flavour];
        return {
            host: "localhost",
            port: this.port(protocol, mode),
            tls: mode,
            provider: profile === undefined ? Provider.generic("localhost") : Provider.named(profile),
            tlsOptions: { ca: readFileSync(caFile) },
        };
    }

    /** The port of a protocol. */
    port(protocol: MailProtocol, mode: Tls = "implicit"): number {
        this.#running();
        const port = this.#ports.get(`${protocol} ${mode}`);
        if (port === undefined) {
            const words = "a protocol is imap, pop3 or smtp, and the mode implicit or starttls";
            throw new ConfigError(`${JSON.stringify(protocol)} with ${JSON.stringify(mode)}: ${words}`);
        }
        return port;
    }

    /** Issues an access token for a user, who has an account then. */
    issueToken(user: string, options: IssueOptions = {}): string {
        this.#running();
        known(options, TOKEN_OPTIONS, "options of server.issueToken");
        const { lifetime, scope, octets: length } = options;
        const name = text(user, "user");
        return enter(() => this.#machine.issueToken(now(), name, lifetime, scope, length));
    }

    /** Refuses a token from now on. */
    revokeToken(token: string): void {
        this.#running();
        const given = text(token, "token");
        enter(() => this.#machine.revokeToken(given));
    }

    /**
     * Refuses every login for a cause, over one protocol or all three; without a cause, that ends.
     *
     * @throws ConfigError where this flavour has no words for it over one of them; it tells what it can say. Gmail, for example,
     * locks a mailbox over POP3 only, and never says that a scope is missing.
     */
    refuse(cause?: Cause, protocol?: MailProtocol): void {
        this.#running();
        const [given, over] = [optionalText(cause, "cause"), optionalText(protocol, "protocol")];
        enter(() => this.#machine.refuse(given, over));
    }

    /** Refuses a recipient over SMTP, in the flavour's words; `null` ends that. */
    refuseRecipient(address: string, why: RecipientRefusal | null = "unknown"): void {
        this.#running();
        const [name, reason] = [text(address, "address"), why === null ? undefined : text(why, "why")];
        enter(() => this.#machine.refuseRecipient(name, reason));
    }

    /** Sets a fault that strikes once. */
    setFault(stage: Stage, kind: FaultKind): void {
        this.#running();
        const [where, what] = [text(stage, "stage"), text(kind, "kind")];
        enter(() => this.#machine.setFault(where, what));
    }

    /** Takes a fault back that has not struck. */
    clearFault(): void {
        this.#running();
        enter(() => this.#machine.clearFault());
    }

    /** Makes an account, where there is none; {@link issueToken} does it too. */
    addUser(user: string): void {
        this.#running();
        const name = text(user, "user");
        enter(() => this.#machine.addUser(name));
    }

    /** The users that have an account. */
    get users(): string[] {
        return enter(() => this.#machine.users());
    }

    /** The names of a user's mailboxes. */
    mailboxes(user: string): string[] {
        const name = text(user, "user");
        return enter(() => this.#machine.mailboxes(name));
    }

    /** Makes a mailbox; where it is there, nothing happens. */
    createMailbox(user: string, mailbox: string): void {
        this.#running();
        const [whose, name] = [text(user, "user"), text(mailbox, "mailbox")];
        enter(() => this.#machine.createMailbox(whose, name));
    }

    /** Removes a mailbox with its messages; a `ConfigError` where it is not there. */
    deleteMailbox(user: string, mailbox: string): void {
        this.#running();
        const [whose, name] = [text(user, "user"), text(mailbox, "mailbox")];
        enter(() => this.#machine.deleteMailbox(whose, name));
        this.#tick();
    }

    /**
     * Puts a message into a mailbox; clients in IDLE are told at once. It is header and body, as a text or as its octets; a line end
     * of LF alone becomes CRLF.
     *
     *     server.deliver("joe@gmail.com", "From: ann@example.org\nSubject: hello\n\nHello!\n");
     */
    deliver(user: string, message: string | Uint8Array, options: DeliverOptions = {}): void {
        this.#running();
        known(options, DELIVER_OPTIONS, "options of server.deliver");
        const name = text(user, "user");
        const content = contentOf(message);
        const { mailbox, date = new Date() } = options;
        if (!(date instanceof Date) || Number.isNaN(date.getTime())) {
            throw new ConfigError("date must be a Date that is one");
        }
        const [flags, dateMs] = [texts(options.flags ?? [], "flags"), date.getTime()];
        enter(() => this.#machine.deliver(name, content, mailbox, flags, dateMs));
        this.#tick();
    }

    /** The messages in a user's mailbox. */
    messages(user: string, mailbox = "INBOX"): Buffer[] {
        return this.stored(user, mailbox).map(({ content }) => content);
    }

    /** The messages in a user's mailbox with their UIDs, flags and dates; none where it is not there. */
    stored(user: string, mailbox = "INBOX"): StoredMessage[] {
        const [whose, name] = [text(user, "user"), text(mailbox, "mailbox")];
        const messages = enter(() => this.#machine.messagesIn(whose, name));
        return messages.map(({ uid, flags, dateMs, content }) => ({ uid, flags, date: new Date(dateMs), content }));
    }

    /** What was accepted over SMTP. */
    submitted(): Submitted[] {
        return enter(() => this.#machine.submitted());
    }

    /** What happened since the last call. */
    events(): ServerEvent[] {
        return enter(() => this.#machine.takeEvents()) as ServerEvent[];
    }

    /** Ends all connections with the words of a shutdown, and goes on. */
    restart(): void {
        this.#running();
        this.#act(enter(() => this.#machine.restart(now())));
    }

    /** Connections that are logged in. */
    get sessions(): number {
        return enter(() => this.#machine.sessions());
    }

    /** What is said to a server that nobody can reach is a mistake. */
    #running(): void {
        if (this.#isStopped) {
            throw new Misuse("the server is stopped: start another");
        }
    }

    async #listen(protocol: MailProtocol, mode: Tls): Promise<void> {
        const greet = (socket: net.Socket) => this.#greet(socket, protocol, mode);
        const listener =
            mode === "implicit"
                ? tls.createServer({ ...identity(), noDelay: true }, greet)
                : net.createServer({ noDelay: true }, greet);
        // A client that refuses our certificate, or goes away, is an ordinary thing in a test.
        listener.on("tlsClientError", () => undefined);
        // Also while it is in its handshake, when nobody else knows of it.
        listener.on("connection", (socket: net.Socket) => {
            this.#accepted.add(socket);
            socket.on("close", () => this.#accepted.delete(socket));
        });
        await new Promise<void>((resolve, reject) => {
            listener.once("error", reject);
            listener.listen(this.#wanted[`${protocol} ${mode}`] ?? 0, this.#host, resolve);
        });
        this.#listeners.push(listener);
        this.#ports.set(`${protocol} ${mode}`, (listener.address() as net.AddressInfo).port);
    }

    #greet(socket: net.Socket, protocol: MailProtocol, mode: Tls): void {
        const first = enter(() => this.#machine.open(now(), protocol, mode));
        const id = first.connection;
        const peer = new Peer(socket, this.#context, {
            received: (data) => this.#act([enter(() => this.#machine.receive(now(), id, data))]),
            secured: () => this.#act([enter(() => this.#machine.tlsEstablished(id))]),
            closed: () => {
                this.#peers.delete(id);
                enter(() => this.#machine.closed(now(), id));
            },
        });
        this.#peers.set(id, peer);
        this.#act([first]);
    }

    #act(replies: native.JsReply[]): void {
        for (const reply of replies) {
            this.#peers.get(reply.connection)?.act(reply);
        }
        this.#schedule();
    }

    #tick(): void {
        this.#act(enter(() => this.#machine.tick(now())));
    }

    /** Comes back when the next session ends by itself. It keeps no process alive. */
    #schedule(): void {
        clearTimeout(this.#timer);
        const wakeMs = enter(() => this.#machine.nextWakeMs());
        if (wakeMs !== null) {
            const wait = Math.min(Math.max(1, wakeMs - now()), TIMER_MS_MAX);
            this.#timer = setTimeout(() => this.#tick(), wait).unref();
        }
    }
}

const OPTIONS: OptionsOf<ServerOptions> = takes("Server.start", {
    flavour: "string",
    tokenLifetime: "number",
    sessionLimit: "number",
    cut: "string",
    refuse: "string",
    connectionsMax: "number",
    messages: "number",
    messageOctetsMax: "number",
    greylist: "number",
    users: "own",
    seed: "bigint",
    host: "string",
    ports: "object",
});

const PORTS: OptionsOf<NonNullable<ServerOptions["ports"]>> = {
    "imap implicit": "number",
    "imap starttls": "number",
    "pop3 implicit": "number",
    "pop3 starttls": "number",
    "smtp implicit": "number",
    "smtp starttls": "number",
};

const TOKEN_OPTIONS: OptionsOf<IssueOptions> = takes("server.issueToken", {
    lifetime: "number",
    scope: "string",
    octets: "number",
});

const DELIVER_OPTIONS: OptionsOf<DeliverOptions> = takes("server.deliver", {
    mailbox: "string",
    flags: "own",
    date: "own",
});

const DEFAULTS = {
    flavour: "gmail" as const,
    tokenLifetime: 3_600_000,
    sessionLimit: undefined,
    cut: "words" as const,
    refuse: undefined,
    connectionsMax: undefined,
    messages: 3,
    messageOctetsMax: 35_882_577,
    greylist: undefined,
    users: [] as readonly string[],
    host: "127.0.0.1",
    ports: {},
};

function contentOf(message: unknown): Uint8Array {
    if (typeof message !== "string" && !(message instanceof Uint8Array)) {
        throw new ConfigError(`message must be a string or a Uint8Array, not ${kindOf(message)}`);
    }
    return typeof message === "string" ? Buffer.from(text(message, "message")) : message;
}

interface PeerListener {
    received(data: Buffer): void;
    secured(): void;
    closed(): void;
}

/** One connection. */
class Peer {
    readonly #context: tls.SecureContext;
    readonly #listener: PeerListener;
    readonly #hear = (data: Buffer): void => this.#listener.received(data);
    #socket: net.Socket;

    constructor(socket: net.Socket, context: tls.SecureContext, listener: PeerListener) {
        this.#socket = socket;
        this.#context = context;
        this.#listener = listener;
        socket.on("error", () => undefined);
        socket.on("data", this.#hear);
        socket.on("close", () => listener.closed());
    }

    act(reply: native.JsReply): void {
        if (this.#socket.destroyed || this.#socket.writableEnded) {
            return;
        }
        if (reply.send.length > 0) {
            this.#socket.write(reply.send);
        }
        if (reply.then === "close") {
            this.#socket.end();
            // A client that never closes its side is not waited for.
            this.#socket.destroySoon();
        } else if (reply.then === "start_tls") {
            this.#startTls();
        }
    }

    #startTls(): void {
        const plain = this.#socket;
        plain.off("data", this.#hear);
        const secure = new tls.TLSSocket(plain, { isServer: true, secureContext: this.#context });
        secure.on("error", () => plain.destroy());
        secure.on("secure", () => this.#listener.secured());
        secure.on("data", this.#hear);
        this.#socket = secure;
    }
}

function identity(): { key: Buffer; cert: Buffer } {
    const both = readFileSync(join(__dirname, "localhost.pem"));
    return { key: both, cert: both };
}

function now(): number {
    return Math.floor(performance.now());
}
