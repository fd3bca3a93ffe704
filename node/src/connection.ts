/** A login: from nothing to a TLS socket that is logged in. */
import { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { onAbort } from "./abort";
import { checkedWatch, tracerFor, type WatchOptions } from "./audience";
import {
    type AccessToken,
    type Authenticated,
    type Discovered,
    type Failure,
    type MailProtocol,
    type Mechanism,
    Negotiation,
    type Step,
} from "./core";
import { counted } from "./counting";
import { discoveredFor } from "./discover";
import { LoginFailed } from "./errors";
import { Link } from "./link";
import { known, type OptionsOf, takes } from "./options";
import { placed, sourceFor } from "./sources";
import { type Endpoint, LOGIN_OPTIONS, type LoginOptions, resolve, type Settings } from "./settings";
import { hinted, sourceOf, tokenInTime, type TokenSource } from "./tokens";
import { cleaned, type Logger, logSafely } from "./logger";
import type { Trace } from "./trace";

/** The options of {@link connect}. */
export interface ConnectOptions extends LoginOptions {
    protocol: MailProtocol;
    /** Where tokens come from; left out: what `mailbearer login` has stored, as `stored(user)`. */
    token?: TokenSource | undefined;
    /** Ends the login, and closes its socket. */
    signal?: AbortSignal | undefined;
    /** Called with the lines of the dialogue, the token masked. */
    trace?: Trace | undefined;
    /** A logger in pino's shape: `info` hears of the login, `warn` of one that failed, `debug` of the dialogue. */
    logger?: Logger | undefined;
}

/** @internal */
export const CONNECT_OPTIONS: OptionsOf<ConnectOptions> = takes("connect", {
    protocol: "string",
    ...LOGIN_OPTIONS,
    token: "own",
    signal: "signal",
    trace: "function",
    logger: "own",
});

/** A TLS socket that is logged in. */
export class Connection {
    /** The socket. Octets that came behind the login are what it gives first. */
    readonly socket: TLSSocket;
    /** Where it leads. */
    readonly endpoint: Endpoint;
    /** How it was logged in. */
    readonly mechanism: Mechanism;
    /** What the server said that it can do now; empty where it said nothing. */
    readonly capabilities: readonly string[];
    /** Times that the client waited for the server, from the greeting on, TLS apart. */
    readonly roundTrips: number;
    /** Milliseconds that connection and login took. */
    readonly elapsed: number;
    /** What was looked up, where neither host nor provider was given and the domain is not known. */
    readonly discovered: Discovered | undefined;

    /** @internal */
    constructor(link: Link, endpoint: Endpoint, authenticated: Authenticated, discovered?: Discovered) {
        this.discovered = discovered;
        this.elapsed = link.elapsed;
        this.roundTrips = link.roundTrips;
        this.socket = link.loggedIn();
        this.endpoint = endpoint;
        this.mechanism = authenticated.mechanism;
        this.capabilities = authenticated.capabilities;
        this.putBack(authenticated.leftover);
    }

    /** `TLSv1.3`, for example. */
    get tlsVersion(): string {
        return this.socket.getProtocol() ?? "";
    }

    /** Closes the socket; resolves when it is closed. */
    async close(): Promise<void> {
        await hangUp(this.socket);
    }

    [Symbol.asyncDispose](): Promise<void> {
        return this.close();
    }

    /** Makes the socket give these octets first. @internal */
    putBack(octets: Uint8Array): void {
        if (octets.length > 0 && !this.socket.readableEnded && !this.socket.destroyed) {
            this.socket.unshift(octets);
        }
    }
}

/** For the goodbye of TLS when a connection is closed: a peer that says none is not waited for longer. */
const GOODBYE_MS = 1_000;

/** Closes a socket, with TLS's goodbye; resolves when it is closed. @internal */
export async function hangUp(socket: TLSSocket): Promise<void> {
    if (socket.destroyed) {
        return;
    }
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    socket.on("error", () => undefined);
    const late = setTimeout(() => socket.destroy(), GOODBYE_MS);
    socket.destroySoon();
    await closed;
    clearTimeout(late);
}

/**
 * Connects and logs in.
 *
 *     const { socket } = await connect({ protocol: "imap", user: "joe@gmail.com", token: getAccessToken });
 *
 * The provider's profile is found from the mail address where its domain makes that certain; `host`, `port`, `tls` and
 * the other options override it. Where neither `host` nor `provider` is given and the domain is not known, its servers are
 * looked up with {@link discover} (up to 15 seconds more); `discover: false` forbids it, and {@link Connection.discovered}
 * has what was found. Certificate and host name are always verified. Where the server refuses the token and
 * the source can get another, one more login is made with a fresh one.
 *
 * It rejects with {@link LoginFailed} and the true reason (the socket is closed then), with {@link TokenSourceFailed}
 * where there is no token, and with {@link ConfigError} where a setting cannot work, and nothing was sent.
 */
export async function connect(options: ConnectOptions): Promise<Connection> {
    known(options, CONNECT_OPTIONS, "options of connect");
    const token = sourceFor(options);
    const where = placed(options.protocol, options, token);
    const discovered = await discoveredFor(where, options.signal);
    const settings = resolve(options.protocol, where, discovered);
    return connectTo(settings, { ...options, token });
}

/** The same, where the settings are checked already. @internal */
export async function connectTo(
    settings: Settings,
    { token, signal, ...others }: Pick<ConnectOptions, "signal" | "trace" | "logger"> & { token: TokenSource },
): Promise<Connection> {
    const watch = checkedWatch(others);
    const source = sourceOf(token, settings.user, settings.service.scopes ?? []);
    const first = await tokenInTime(source, false, settings.timeout, signal);
    try {
        return await login(settings, first, signal, watch);
    } catch (error) {
        if (!(error instanceof LoginFailed) || error.advice !== "refresh_token") {
            throw error;
        }
        if (!source.canRefresh) {
            throw new LoginFailed(hinted(error.failure, source), { cause: error.cause });
        }
        if (settings.route.socket instanceof Duplex) {
            // There is no second one.
            throw error;
        }
        const second = await tokenInTime(source, true, settings.timeout, signal);
        if (second.equals(first)) {
            throw error;
        }
        return await login(settings, second, signal, watch);
    }
}

async function login(
    settings: Settings,
    token: AccessToken,
    signal: AbortSignal | undefined,
    watch: WatchOptions,
): Promise<Connection> {
    signal?.throwIfAborted();
    const { user, endpoint } = settings;
    const dialogueOf = { user, protocol: endpoint.protocol, host: endpoint.host };
    // The dialogue has masked the token already: there is no other one.
    const link = new Link(
        settings,
        tracerFor([watch], dialogueOf, token, (text) => text),
    );
    const ignore = onAbort(signal, () => link.abort(signal?.reason));
    try {
        const authenticated = await dialogue(link, new Negotiation(settings.login, token));
        const connection = new Connection(link, settings.endpoint, authenticated, settings.discovered);
        const { mechanism, roundTrips, elapsed } = connection;
        logSuccess(watch.logger, settings, { mechanism, roundTrips, elapsed });
        return connection;
    } catch (error) {
        link.abort();
        logFailure(watch.logger, settings, error);
        throw error;
    } finally {
        link.tracer?.flush();
        ignore();
    }
}

/** What is told of a login that worked. */
interface Success {
    readonly mechanism: Mechanism;
    readonly roundTrips?: number;
    readonly elapsed?: number;
}

/** A login alone has no events. @internal */
export function logSuccess(logger: Logger | undefined, settings: Settings, success: Success): void {
    if (logger === undefined) {
        return;
    }
    const { mechanism, roundTrips, elapsed } = success;
    const trips = roundTrips === undefined ? "" : `, in ${counted(roundTrips, "round trip")}`;
    const spent = elapsed === undefined ? "" : ` and ${Math.round(elapsed)} ms`;
    const line = `${whose(settings)}: logged in to ${settings.endpoint} with ${mechanism}${trips}${spent}`;
    logSafely(logger, "info", { event: "online", ...about(settings), ...success }, line);
}

/** The same of one that did not. @internal */
export function logFailure(logger: Logger | undefined, settings: Settings, error: unknown): void {
    if (logger !== undefined && error instanceof LoginFailed) {
        const line = `${whose(settings)}: could not log in to ${settings.endpoint}: ${error.message}`;
        const err = error.cause === undefined ? {} : { err: cleaned(error.cause, (text) => text) };
        logSafely(logger, "warn", { event: "login_failed", ...about(settings), cause: error.code, ...err }, line);
    }
}

function whose({ user, endpoint }: Settings): string {
    return `${user} ${endpoint.protocol}`;
}

function about({ user, endpoint: { protocol, host, port } }: Settings): object {
    return { user, protocol, host, port };
}

/** Gives the octets to the machine, and what the machine says to the link. */
async function dialogue(link: Link, negotiation: Negotiation): Promise<Authenticated> {
    await link.open();
    let step = await heard(link, negotiation);
    for (;;) {
        if (step.send.length > 0) {
            link.write(step.send, step.sensitive);
        }
        switch (step.next) {
            case "read":
                step = await heard(link, negotiation);
                break;
            case "start_tls":
                step = await upgraded(link, negotiation);
                break;
            case "done":
                return step.authenticated;
            case "failed":
                throw refusal(step.failure, link);
        }
    }
}

/** The error for a login that failed; what the system says of a connection that broke is its cause. */
function refusal(failure: Failure, link: Link): LoginFailed {
    return new LoginFailed(failure, { cause: link.error });
}

/**
 * Speaks until the server has greeted and TLS is there, and no further: for a mail client that logs in by itself, to which
 * the server greets then.
 * @internal
 */
export async function secureSocket(settings: Settings): Promise<TLSSocket> {
    const link = new Link(settings);
    // It stands in for the token: no step before TLS or the greeting holds it.
    const negotiation = new Negotiation(settings.login, "x");
    try {
        await link.open();
        for (;;) {
            const step = await heard(link, negotiation);
            if (step.next === "failed") {
                throw refusal(step.failure, link);
            }
            if (step.next === "start_tls") {
                const upgrade = await upgraded(link, negotiation);
                if (upgrade.next === "failed") {
                    throw refusal(upgrade.failure, link);
                }
                return link.loggedIn();
            }
            if (step.send.length > 0 && settings.endpoint.tls === "implicit") {
                return link.loggedIn();
            }
            link.write(step.send, step.sensitive);
        }
    } catch (error) {
        link.abort();
        throw error;
    }
}

async function heard(link: Link, negotiation: Negotiation): Promise<Step> {
    const data = await link.read();
    return data === undefined ? negotiation.closed() : negotiation.receive(data);
}

async function upgraded(link: Link, negotiation: Negotiation): Promise<Step> {
    // Behind the reply that starts TLS nothing may come in the clear.
    const injected = link.take();
    if (injected !== undefined) {
        return negotiation.receive(injected);
    }
    await link.startTls();
    return negotiation.tlsEstablished();
}
