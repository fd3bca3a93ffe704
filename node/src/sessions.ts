/** Stay logged in: a connection each time that one is due. */
import { Connection, hangUp } from "./connection";
import type { Action, Aftermath, MailProtocol, Status, Verdict } from "./core";
import { nowMs } from "./clock";
import { Driver, type OnEvent } from "./driver";
import { SessionEnded } from "./errors";
import type { Link } from "./link";
import { known, octets } from "./native";
import type { SessionPolicy } from "./policy";
import { LOGIN_OPTIONS, type LoginOptions, resolve, type Settings } from "./settings";
import { Tap } from "./tap";
import { sourceOf, type TokenSource } from "./tokens";

/** The options of {@link sessions}, but for the protocol. */
export interface SessionOptions extends LoginOptions {
    token: TokenSource;
    /** Limits and times, where the provider's are not right. */
    policy?: SessionPolicy | undefined;
    /** What {@link Sessions.snapshot} gave: go on where another process was. */
    snapshot?: Uint8Array | undefined;
    /** Called for each thing that happens. */
    onEvent?: OnEvent | undefined;
    /** Ends it all: whoever waits gets the reason of the signal. */
    signal?: AbortSignal | undefined;
}

/** @internal */
export const SESSION_OPTIONS = [...LOGIN_OPTIONS, "token", "policy", "snapshot", "onEvent", "signal"];

/**
 * A mail client over a connection, for the adapters: how it is made, how it says goodbye, and whether an error of its own
 * says that the connection is gone.
 * @internal
 */
export interface Adapter<Client> {
    make(connection: SessionConnection<Client>): Promise<Client>;
    goodbye(client: Client): Promise<void>;
    isLost(error: unknown): boolean;
}

/** Without a mail client: the program speaks the protocol itself. */
const NO_CLIENT: Adapter<undefined> = {
    make: () => Promise.resolve(undefined),
    goodbye: () => Promise.resolve(),
    isLost: () => false,
};

/**
 * Stays logged in: iterate, and get a connection each time that one is due.
 *
 *     for await (const connection of sessions({ protocol: "imap", user: "joe@gmail.com", token: getAccessToken })) {
 *         await connection.use(async () => { ... connection.socket ... });
 *     }
 *
 * A connection is due at first, and each time that the one before has ended, or is to be renewed because its token or the
 * provider's limit is near. Leaving the loop closes all. Iterating rejects with {@link NeedsUser} when a person must act,
 * and with {@link GaveUp} when nothing helps; to iterate again is to try again. With a mail client: `mailbearer/imapflow`
 * and `mailbearer/nodemailer`.
 */
export function sessions(options: SessionOptions & { protocol: MailProtocol }): Sessions<undefined> {
    known(options, [...SESSION_OPTIONS, "protocol"], "options");
    return new Sessions(options.protocol, options, NO_CLIENT);
}

/** The connections of {@link sessions}, one after the other. */
export class Sessions<Client> implements AsyncIterableIterator<SessionConnection<Client>> {
    readonly #driver: Driver<SessionConnection<Client>>;
    readonly #adapter: Adapter<Client>;
    readonly #signal: AbortSignal | undefined;
    readonly #abort = (): void => this.#driver.close();
    #given: SessionConnection<Client> | undefined;

    /** @internal */
    constructor(protocol: MailProtocol, options: SessionOptions, adapter: Adapter<Client>) {
        const settings = resolve(protocol, options);
        const { snapshot, onEvent, signal } = options;
        const driverOptions = {
            settings,
            source: sourceOf(options.token, settings.user, settings.service.scopes ?? []),
            policy: options.policy ?? {},
            snapshot: snapshot === undefined ? undefined : octets(snapshot, "snapshot"),
            onEvent,
        };
        const make = (order: Online, link: Link) => new SessionConnection(this.#driver, adapter, order, link);
        this.#driver = new Driver(driverOptions, make);
        this.#adapter = adapter;
        this.#signal = signal;
        signal?.addEventListener("abort", this.#abort);
    }

    [Symbol.asyncIterator](): this {
        return this;
    }

    /** Lets the last connection go, if it is there still, and waits for the next. */
    async next(): Promise<IteratorResult<SessionConnection<Client>, undefined>> {
        const given = this.#given;
        this.#given = undefined;
        await given?.letGo();
        for (;;) {
            this.#signal?.throwIfAborted();
            const connection = await this.#driver.next();
            this.#signal?.throwIfAborted();
            if (connection === undefined) {
                return { done: true, value: undefined };
            }
            if (await this.#hasClient(connection)) {
                this.#given = connection;
                return { done: false, value: connection };
            }
        }
    }

    /** Makes the mail client; false where the session ended meanwhile. */
    async #hasClient(connection: SessionConnection<Client>): Promise<boolean> {
        try {
            connection.client = await this.#adapter.make(connection);
            return true;
        } catch (error) {
            const isEnd = connection.verdict !== undefined || this.#driver.isClosed;
            await connection.close();
            if (!isEnd) {
                throw error;
            }
            return false;
        }
    }

    /** Ends it: what the loop does when it is left. */
    async return(): Promise<IteratorResult<SessionConnection<Client>, undefined>> {
        await this.close();
        return { done: true, value: undefined };
    }

    /** How the session stands. */
    status(): Status {
        return this.#driver.session.status();
    }

    /**
     * What must outlive the process: generation, learnt limits, back-off, a stop, what was in flight. It holds no secret.
     */
    snapshot(): Buffer {
        return this.#driver.session.snapshot();
    }

    /** The network has changed: the connection is not trusted, and made anew. */
    woke(): void {
        this.#driver.woke();
    }

    /** Ends it: the connection says goodbye, where it has a mail client; nothing is left behind. */
    async close(): Promise<void> {
        const given = this.#given;
        this.#given = undefined;
        await given?.letGo();
        this.#driver.close();
        this.#signal?.removeEventListener("abort", this.#abort);
    }

    [Symbol.asyncDispose](): Promise<void> {
        return this.close();
    }
}

type Online = Extract<Action, { kind: "online" }>;

/** For the goodbye of a mail client, when its connection is let go. */
const GOODBYE_MS = 5_000;

/** A connection that a session keeps an eye on. */
export class SessionConnection<Client> extends Connection {
    /** The mail client, logged in, with the adapters; else `undefined`. */
    client!: Client;
    /** The number of the connection attempt. */
    readonly ticket: number;
    /** Counts the sessions, from one. */
    readonly generation: number;
    /** What was in flight in the session before; `undefined` at first. */
    readonly resumed: Aftermath | undefined;
    readonly #driver: Driver<SessionConnection<Client>>;
    readonly #adapter: Adapter<Client>;
    readonly #tap: Tap;
    readonly #due = new AbortController();
    #verdict: Verdict | undefined;
    #aftermath: Aftermath | undefined;
    #renewBy: Date | undefined;
    #isOpen = true;

    /** @internal */
    constructor(driver: Driver<SessionConnection<Client>>, adapter: Adapter<Client>, order: Online, link: Link) {
        const { mechanism, capabilities } = order;
        if (mechanism === undefined) {
            throw new TypeError("the session logs in by itself");
        }
        super(link, driver.settings.endpoint, { mechanism, capabilities, leftover: Buffer.alloc(0) });
        this.ticket = order.ticket;
        this.generation = order.generation;
        this.resumed = order.resumed;
        this.#driver = driver;
        this.#adapter = adapter;
        this.#tap = new Tap(this.socket, this.#listener(), driver.settings.timeout);
        // The session has seen what came with the login, and not yet what came behind it.
        this.#tap.begin();
        this.putBack(order.leftover);
    }

    /** @internal */
    get settings(): Settings {
        return this.#driver.settings;
    }

    /** Why it ended; `undefined` while it lives. */
    get verdict(): Verdict | undefined {
        return this.#verdict;
    }

    /** What was in flight when it ended; `undefined` while it lives. */
    get aftermath(): Aftermath | undefined {
        return this.#aftermath;
    }

    /** When it is closed, if it has not been let go; `undefined`: not yet due. */
    get renewBy(): Date | undefined {
        return this.#renewBy;
    }

    /** Whether it is to be let go. @internal */
    get isDue(): boolean {
        return this.#renewBy !== undefined;
    }

    /**
     * Does some work with it, and lets it go. An end of the session in it is no error: it resolves with `undefined`, and
     * the next connection follows.
     */
    async use<T>(work: (connection: this) => T | Promise<T>): Promise<T | undefined> {
        try {
            const result = await work(this);
            await this.letGo();
            return result;
        } catch (error) {
            const isEnd = error instanceof SessionEnded || this.#adapter.isLost(error);
            const isTold = this.#verdict !== undefined;
            await this.close();
            if (isEnd && isTold) {
                return undefined;
            }
            throw error;
        }
    }

    /** Sleeps, and wakes early when the connection is due to be let go, or has ended. True in these two cases. */
    async wait(milliseconds?: number): Promise<boolean> {
        const { signal } = this.#due;
        if (!signal.aborted) {
            await new Promise<void>((resolve) => {
                const timer = milliseconds === undefined ? undefined : setTimeout(done, milliseconds);
                function done(): void {
                    clearTimeout(timer);
                    signal.removeEventListener("abort", done);
                    resolve();
                }
                signal.addEventListener("abort", done);
            });
        }
        return signal.aborted;
    }

    /** Says goodbye, if a mail client is there, and closes. POP3 and SMTP clients commit by that. */
    async letGo(): Promise<void> {
        if (this.#isOpen && this.#verdict === undefined && this.client !== undefined) {
            let late: NodeJS.Timeout | undefined;
            const deadline = new Promise<void>((resolve) => (late = setTimeout(resolve, GOODBYE_MS)));
            // What fails here has ended the session, and is told with the next one.
            await Promise.race([this.#adapter.goodbye(this.client).catch(() => undefined), deadline]);
            clearTimeout(late);
        }
        await this.close();
    }

    /** Closes it without a goodbye, and lets the next one come. */
    override async close(): Promise<void> {
        this.#leave();
        await hangUp(this.socket);
    }

    override [Symbol.asyncDispose](): Promise<void> {
        return this.letGo();
    }

    /** @internal */
    end(verdict: Verdict, aftermath: Aftermath | undefined): void {
        this.#verdict = verdict;
        this.#aftermath = aftermath;
        this.#tap.end(verdict);
        this.#due.abort();
    }

    /** @internal */
    renew(byMs: number): void {
        this.#renewBy = new Date(Date.now() + byMs - nowMs());
        this.#due.abort();
    }

    /** @internal */
    destroy(): void {
        this.#isOpen = false;
        this.#tap.letGo();
        this.#due.abort();
        this.socket.destroy();
    }

    #leave(): void {
        if (this.#isOpen) {
            this.#isOpen = false;
            this.#tap.letGo();
            this.#due.abort();
            this.#driver.letGo(this.ticket);
        }
    }

    #listener() {
        const driver = this.#driver;
        const ticket = this.ticket;
        return {
            received: (data: Uint8Array) => driver.received(ticket, data),
            skipped: (count: number) => driver.session.skipped(ticket, count),
            sent: (data: Uint8Array) => driver.sent(ticket, data),
            lost: (cause?: "timed_out") => driver.lost(ticket, cause),
            closed: () => this.#leave(),
            get isQuiet() {
                return driver.session.isQuiet;
            },
        };
    }
}
