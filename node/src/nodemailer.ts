/**
 * Nodemailer, with logins that work. It needs the package `nodemailer`, from 6.9 on, as it is.
 *
 *     import nodemailer from "nodemailer";
 *     import { login, transport } from "mailbearer/nodemailer";
 *
 *     nodemailer.createTransport(login({ user, token }));       // Nodemailer's own connections, our login
 *     nodemailer.createTransport(transport({ user, token }));   // connections that sessions keep
 *
 * @module mailbearer/nodemailer
 */
import type { TLSSocket } from "node:tls";
import { checkedWatch, tracerFor, type WatchOptions } from "./audience";
import { logFailure, logSuccess, secureSocket } from "./connection";
import { type AccessToken, type Failure, Negotiation } from "./core";
import { ConfigError, LoginFailed } from "./errors";
import type { Logger } from "./logger";
import { known, type OptionsOf, takes } from "./options";
import { refuseOpenSocket } from "./route";
import { SessionTransport, type TransportOptions } from "./sending";
import { placed, sourceFor } from "./sources";
import { LOGIN_OPTIONS, type LoginOptions, resolve, type Settings } from "./settings";
import { hinted, type Source, sourceOf, tokenInTime, type TokenSource } from "./tokens";
import type { Trace } from "./trace";

// ---- Nodemailer's own connections, our login ------------------------------------------------------------------------

/** What Nodemailer gives to a handler of `customAuth`. */
export interface AuthContext {
    /** What EHLO said, of the mechanisms that Nodemailer knows. */
    authMethods?: readonly string[];
    /** Says a line, and resolves with the reply to it. */
    sendCommand(command: string): Promise<{ response: string }>;
}

/** Options for `nodemailer.createTransport`. */
export interface NodemailerOptions {
    host: string;
    port: number;
    secure: boolean;
    requireTLS: boolean;
    /** A server that offers no login is an error, and gets no message. */
    forceAuth: true;
    auth: { type: "custom"; user: string; method: typeof METHOD };
    customAuth: { [METHOD]: (context: AuthContext) => Promise<void> };
    /** Opens the connections, so that what is wrong with one is told as with every login of mailbearer. */
    getSocket: (options: object, callback: SocketCallback) => void;
    tls: object;
    connectionTimeout: number;
    /** Silence that Nodemailer bears: the end of a message may take its time. */
    socketTimeout: number;
    name: string | undefined;
}

/** The options of {@link login}. */
export interface NodemailerLoginOptions extends LoginOptions {
    /** Where tokens come from; left out: what `mailbearer login` has stored, as `stored(user)`. */
    token?: TokenSource | undefined;
    /** Called with the lines of the dialogue of each login, the token masked. */
    trace?: Trace | undefined;
    /** A logger in pino's shape: `info` hears of logins, `warn` of those that failed, `debug` of the dialogue. */
    logger?: Logger | undefined;
}

const LOGIN = "login of mailbearer/nodemailer";

const OPTIONS: OptionsOf<NodemailerLoginOptions> = takes(LOGIN, {
    ...LOGIN_OPTIONS,
    token: "own",
    trace: "function",
    logger: "own",
});

type SocketCallback = (error: Error | null, socket?: object) => void;

const METHOD = "MAILBEARER";

/**
 * Options for `nodemailer.createTransport`, also for a pool (`{ ...login(options), pool: true }`): the connections are
 * Nodemailer's own, over TLS, and the login is mailbearer's. The token goes in one step where the line takes it, else in
 * two; after a refusal one more login is made with a fresh token, on the same connection.
 *
 * Whatever options are put beside these, the token goes over TLS, and only over a connection that mailbearer has opened: with
 * a `proxy` or a `getSocket` of Nodemailer's the login fails. A reply that repeats the token is read without it.
 *
 * Without a `token` it is what `mailbearer login` has stored, as `stored(user)`. How messages are sent is for the options of
 * Nodemailer, put beside these; those of the way and of the login are given here, and cannot be put there.
 */
export function login(options: NodemailerLoginOptions): NodemailerOptions {
    known(options, OPTIONS, `options of ${LOGIN}`);
    refuseOpenSocket(options, "Nodemailer's connections");
    const token = sourceFor(options);
    const settings = resolve("smtp", placed("smtp", options, token));
    const watch = checkedWatch({ trace: options.trace, logger: options.logger });
    const logins = new Logins(settings, sourceOf(token, settings.user, settings.service.scopes ?? []), watch);
    const { host, port, tls } = settings.endpoint;
    return {
        host,
        port,
        secure: tls === "implicit",
        requireTLS: tls === "starttls",
        forceAuth: true,
        auth: { type: "custom", user: settings.user, method: METHOD },
        customAuth: { [METHOD]: () => Promise.reject(new ConfigError(NOT_OURS)) },
        getSocket: (_, callback) => void logins.open().then((socket) => callback(null, socket), callback),
        tls: { ...settings.tlsOptions, rejectUnauthorized: true },
        connectionTimeout: settings.timeout,
        socketTimeout: settings.dataTimeout,
        name: settings.login.ehloName,
    };
}

/** Of another connection nobody can tell here whether it is encrypted. */
const NOT_OURS =
    "the connection is not the one that mailbearer opens over TLS, and the token was not sent: " +
    "leave getSocket, proxy and customAuth out, and give a proxy to login({ … })";

/** The logins of one transporter, each over a connection that mailbearer opens. */
class Logins {
    readonly #settings: Settings;
    readonly #source: Source;
    readonly #watch: WatchOptions;

    constructor(settings: Settings, source: Source, watch: WatchOptions) {
        [this.#settings, this.#source, this.#watch] = [settings, source, watch];
    }

    /**
     * A connection over TLS, as Nodemailer takes it. The login that has the token comes with it, and with no other: whatever
     * options are put beside those of {@link login}, the token goes over TLS.
     */
    async open(): Promise<object> {
        const connection = await this.#told(() => secureSocket(this.#settings));
        // The greeting is read: to Nodemailer, the server greets now.
        connection.unshift(Buffer.from("220 ready\r\n"));
        const masks: Mask[] = [];
        maskReplies(connection, masks);
        const customAuth = { [METHOD]: (context: AuthContext) => this.#told(() => this.#logIn(context, masks)) };
        return { connection, secure: true, secured: true, requireTLS: false, customAuth };
    }

    /** Tells the logger what fails. */
    async #told<T>(work: () => Promise<T>): Promise<T> {
        try {
            return await work();
        } catch (error) {
            logFailure(this.#watch.logger, this.#settings, error);
            throw error;
        }
    }

    async #logIn(context: AuthContext, masks: Mask[]): Promise<void> {
        const [settings, source] = [this.#settings, this.#source];
        const first = await tokenInTime(source, false, settings.timeout, undefined);
        const refusal = await this.#dialogue(context, first, masks);
        if (refusal === undefined) {
            return;
        }
        if (refusal.failure.advice !== "refresh_token" || !source.canRefresh) {
            throw refused(hinted(refusal.failure, source), refusal.redact);
        }
        const second = await tokenInTime(source, true, settings.timeout, undefined, first);
        masks.push(refusal.redact);
        const again = second.equals(first) ? refusal : await this.#dialogue(context, second, masks);
        if (again !== undefined) {
            throw refused(again.failure, (reply) => refusal.redact(again.redact(reply)));
        }
    }

    /** Gives the machine's lines to the server, and its replies to the machine. The greeting was Nodemailer's, as is TLS. */
    async #dialogue(context: AuthContext, token: AccessToken, masks: Mask[]): Promise<Refusal | undefined> {
        const { login, user, endpoint } = this.#settings;
        const negotiation = new Negotiation({ ...login, tls: "implicit" }, token);
        const dialogueOf = { user, protocol: endpoint.protocol, host: endpoint.host };
        const tracer = tracerFor([this.#watch], dialogueOf, token, (text) => text);
        let step = negotiation.receive(Buffer.from("220 ready\r\n"));
        if (step.next === "read" && offersXOAuth2(context, this.#settings)) {
            // Nodemailer has asked already: to ask again would cost a round trip.
            step = negotiation.receive(Buffer.from("250-ready\r\n250 AUTH XOAUTH2\r\n"));
        }
        try {
            for (;;) {
                switch (step.next) {
                    case "done":
                        masks.push((reply) => negotiation.redact(reply));
                        logSuccess(this.#watch.logger, this.#settings, { mechanism: step.authenticated.mechanism });
                        return undefined;
                    case "failed":
                        return { failure: step.failure, redact: (reply) => negotiation.redact(reply) };
                    case "start_tls":
                        throw new TypeError("TLS is there from the start");
                    case "read": {
                        tracer?.sent(step.send, step.sensitive);
                        const line = step.send.toString("latin1").replace(/\r\n$/, "");
                        const { response } = await context.sendCommand(line);
                        const reply = Buffer.from(`${response.replace(/\r?\n/g, "\r\n")}\r\n`);
                        tracer?.received(reply);
                        step = negotiation.receive(reply);
                    }
                }
            }
        } finally {
            tracer?.flush();
        }
    }
}

type Mask = (reply: string) => string;

/** The octets that no reply line is longer than; longer ones go by as they come. RFC 5321 section 4.5.3.1.5 says 512. */
const LINE_OCTETS_MAX = 65_536;

/**
 * A server may repeat the token in a reply, and Nodemailer puts replies into its errors and its log: it reads them without.
 * Lines go by whole, as it takes them.
 */
function maskReplies(socket: TLSSocket, masks: readonly Mask[]): void {
    const push = socket.push.bind(socket);
    let rest: Buffer = Buffer.alloc(0);
    socket.push = (chunk: Buffer | null, encoding?: BufferEncoding): boolean => {
        if (masks.length === 0) {
            return push(chunk, encoding);
        }
        const data = chunk === null ? rest : Buffer.concat([rest, chunk]);
        const end = chunk === null || data.length > LINE_OCTETS_MAX ? data.length : data.lastIndexOf(0x0a) + 1;
        rest = data.subarray(end);
        if (end > 0) {
            const text = data.toString("latin1", 0, end);
            const masked = masks.reduce((line, mask) => mask(line), text);
            push(masked === text ? data.subarray(0, end) : Buffer.from(masked, "latin1"));
        }
        return chunk === null ? push(null) : true;
    };
}

/** A login that the server refused, and the way to mask its token. */
interface Refusal {
    readonly failure: Failure;
    readonly redact: (reply: string) => string;
}

/** Nodemailer adds the server's reply to `message` and `response`, as it came: it may hold the token. */
function refused(failure: Failure, redact: Refusal["redact"]): LoginFailed {
    const error = new LoginFailed(failure);
    const { message } = error;
    let response: string | undefined;
    return Object.defineProperties(error, {
        message: { get: () => message, set: () => undefined },
        response: {
            get: () => response,
            set: (reply: unknown) => (response = redact(String(reply))),
            enumerable: true,
        },
    });
}

/** OAUTHBEARER is unknown to Nodemailer: where it may be preferred, the server is asked. */
function offersXOAuth2(context: AuthContext, { login }: Settings): boolean {
    return login.mechanisms?.[0] === "XOAUTH2" && context.authMethods?.includes("XOAUTH2") === true;
}

// ---- Connections that sessions keep -----------------------------------------------------------------------------------

/**
 * A transport for `nodemailer.createTransport` that sends over connections which sessions keep logged in: one, or up to
 * `maxConnections`. The transporter's `close()` ends it. Without a `token` it is what `mailbearer login` has stored.
 *
 *     const outgoing = nodemailer.createTransport(transport({ user, token, maxConnections: 3, rateLimit: 20, rateDelta: 60_000 }));
 *
 * A message whose session ended before the server took it is sent again over the next one. Where it is not known whether
 * the server took it, sending fails with a {@link SendFailed} whose `outcome` is `unknown`, and nothing is sent twice.
 */
export function transport(options: TransportOptions): SessionTransport {
    return new SessionTransport(options);
}

export { SendFailed } from "./errors";
export { SessionTransport } from "./sending";
export type { TransportOptions } from "./sending";
export type { SendingOptions } from "./sending_limits";
export type { MailMessage, RecipientError, SentInfo } from "./submission";
