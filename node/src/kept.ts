/** A connection that an account keeps an eye on, and a mail client over it. */
import { Connection, hangUp } from "./connection";
import type { Aftermath, Mechanism, Verdict } from "./core";
import { nowMs } from "./clock";
import type { Driver } from "./driver";
import { type LoginFailed, SessionEnded } from "./errors";
import { type Changes, follow, type IdleOptions, type Messages, type MessagesOptions } from "./following";
import type { Settings } from "./settings";
import { type Listener, Tap } from "./tap";
import type { LinkWire } from "./wire";
import type { Given } from "./world";

/**
 * A mail client over a connection, for the adapters: how it is made, how it says goodbye, and whether an error of its own
 * says that the connection is gone.
 * @internal
 */
export interface Adapter<Client> {
    make(connection: SessionConnection<Client>): Promise<Client>;
    goodbye(client: Client): Promise<void>;
    /** Lets it say something harmless, while it waits for no answer. */
    ask(client: Client): void;
    isLost(error: unknown): boolean;
}

/** For the goodbye of a mail client, when its connection is let go. */
const GOODBYE_MS = 5_000;

/** A connection that a session keeps an eye on. */
export class SessionConnection<Client> extends Connection {
    /** The mail client, logged in, with the adapters; else `undefined`. */
    client!: Client;
    /** The number of the connection attempt. */
    readonly ticket: number;
    /** Counts the connections of the session, from one. */
    readonly generation: number;
    /** What was in flight in the connection before; `undefined` at first. */
    readonly resumed: Aftermath | undefined;
    /** @internal */
    readonly settings: Settings;
    /** The last tag of who followed a mailbox over it. @internal */
    followTags = 0;
    readonly #driver: Driver<LinkWire>;
    readonly #adapter: Adapter<Client>;
    readonly #tap: Tap;
    readonly #due = new AbortController();
    #verdict: Verdict | undefined;
    #aftermath: Aftermath | undefined;
    #renewBy: Date | undefined;
    #isOpen = true;

    /** @internal */
    constructor(
        driver: Driver<LinkWire>,
        adapter: Adapter<Client>,
        settings: Settings,
        given: Given,
        { link }: LinkWire,
    ) {
        const { mechanism, capabilities } = given;
        super(link, settings.endpoint, { mechanism: mechanism as Mechanism, capabilities, leftover: Buffer.alloc(0) });
        this.ticket = given.ticket;
        this.generation = given.generation;
        this.resumed = given.resumed;
        this.settings = settings;
        this.#driver = driver;
        this.#adapter = adapter;
        this.#tap = new Tap(this.socket, this.#listener(), settings.timeout);
        // The machine has seen what came with the login, and not yet what came behind it.
        this.#tap.begin();
        this.putBack(given.leftover);
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

    /** Whether it is to be let go. */
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

    /**
     * Waits in IDLE, and tells what changes in the mailbox that is selected; until the connection is due.
     *
     * IDLE is said anew every 90 seconds, so that a server or a path that is mute is noticed within two minutes: the session
     * ends then. A server without IDLE is asked with NOOP each minute. Between two changes the program may use `socket`.
     *
     * @throws {@link Misuse} where this is no connection of IMAP, or a mail client reads from it.
     * @throws {@link SessionEnded} when the session has ended.
     */
    async *idle({ reissue }: IdleOptions = {}): AsyncGenerator<Changes, void, void> {
        for await (const event of follow(this, { reissueMs: reissue }, this.#due.signal)) {
            if (event.kind === "changed") {
                yield { exists: event.exists, expunged: event.expunged, flagged: event.flagged };
            }
        }
    }

    /**
     * Selects a mailbox, and tells its messages that are new to the program; until the connection is due.
     *
     *     for await (const { uids, cursor } of connection.messages({ since: stored })) { … }
     *
     * Nothing that came since is missed, and nothing is told twice. It waits as {@link SessionConnection.idle} does.
     *
     * @throws {@link ConfigError} where `since` is no cursor.
     * @throws {@link MailboxRefused} where the server does not select the mailbox.
     * @throws {@link Misuse} where this is no connection of IMAP, or a mail client reads from it.
     * @throws {@link SessionEnded} when the session has ended.
     */
    async *messages(options: MessagesOptions = {}): AsyncGenerator<Messages, void, void> {
        const { mailbox = "INBOX", since, readOnly, reissue } = options;
        const how = { mailbox, since, readOnly, reissueMs: reissue, tellsMessages: true };
        for await (const event of follow(this, how, this.#due.signal)) {
            if (event.kind === "messages") {
                yield { uids: event.uids, cursor: event.cursor, isReset: false };
            } else if (event.kind === "reset") {
                yield { uids: [], cursor: event.cursor, isReset: true };
            }
        }
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
    over(verdict: Verdict, aftermath: Aftermath | undefined): void {
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
    ask(): void {
        if (this.#isOpen && this.client !== undefined && this.#driver.machine.isQuiet(this.ticket)) {
            this.#adapter.ask(this.client);
        }
    }

    /** The server does not answer. @internal */
    lost(problem: LoginFailed): void {
        this.#driver.ended(this.ticket, problem);
    }

    #leave(): void {
        if (this.#isOpen) {
            this.#isOpen = false;
            this.#tap.letGo();
            this.#due.abort();
            this.#driver.letGo(this.ticket);
        }
    }

    #listener(): Listener {
        const [driver, { machine }, { ticket }] = [this.#driver, this.#driver, this];
        return {
            received: (data) => driver.received(ticket, data),
            skipped: (count) => machine.skipped(ticket, count),
            sent: (data) => machine.sent(ticket, data),
            lost: (problem) => driver.ended(ticket, problem),
            closed: () => this.#leave(),
            get isQuiet() {
                return machine.isQuiet(ticket);
            },
        };
    }
}
