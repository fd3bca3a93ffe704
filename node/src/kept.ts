/** A connection that an account keeps an eye on, and a mail client over it. */
import { Connection, hangUp } from "./connection";
import { type Aftermath, failureOfHost, type MailboxEvent, type Mechanism, type Verdict } from "./core";
import { nowMs } from "./clock";
import type { Driver } from "./driver";
import { ConfigError, LoginFailed, MailbearerError, Misuse, SessionEnded } from "./errors";
import { failureOf } from "./explain";
import { Follower, type Ground, type IdleOptions } from "./follower";
import { numeric, text } from "./native";
import { known, type OptionsOf, takes } from "./options";
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
    /**
     * Keeps it from saying anything until what it gives is called, with this mailbox open in it; `undefined`: with the one
     * that is.
     */
    quiet(client: Client, mailbox: string | undefined, readOnly: boolean): Promise<() => void>;
    /** Lets it say something harmless, while it waits for no answer. */
    ask(client: Client): void;
    isLost(error: unknown): boolean;
    /** Where an error says that a command was refused, asks once more: the answer may end the session, and say why. */
    askAgain(client: Client, error: unknown): Promise<void>;
}

/** How new messages are followed. */
export interface NewMessagesOptions extends IdleOptions {
    /** A cursor that was stored; left out: messages that come from now on. */
    since?: string | undefined;
    /** Whether the mailbox is opened with EXAMINE, so that nothing is marked as read. Default: false. */
    readOnly?: boolean | undefined;
}

const IDLE_OPTIONS: OptionsOf<IdleOptions> = takes("connection.idle", {
    reissue: "number",
    answer: "number",
    poll: "number",
});

const NEW_MESSAGES_OPTIONS: OptionsOf<NewMessagesOptions> = takes("connection.newMessages", {
    since: "string",
    readOnly: "boolean",
    ...IDLE_OPTIONS,
});

/** What Node's timers take: a longer one would ring at once. */
const TIMER_MS_MAX = 2_147_483_647;

/** For the goodbye of a mail client, when its connection is let go. */
const GOODBYE_MS = 5_000;

/** A connection that a session keeps an eye on. */
export class SessionConnection<Client> extends Connection {
    /** The number of the connection attempt. */
    readonly ticket: number;
    /** Counts the connections of the session, from one. */
    readonly generation: number;
    /** What was in flight in the connection before; `undefined` at first. */
    readonly resumed: Aftermath | undefined;
    /** @internal */
    readonly settings: Settings;
    readonly #driver: Driver<LinkWire>;
    readonly #adapter: Adapter<Client>;
    readonly #tap: Tap;
    readonly #due = new AbortController();
    #client: Client | undefined;
    #verdict: Verdict | undefined;
    #aftermath: Aftermath | undefined;
    #renewBy: Date | undefined;
    #isOpen = true;
    #follower: Follower<MailboxEvent> | undefined;

    /** @internal */
    constructor(
        driver: Driver<LinkWire>,
        adapter: Adapter<Client>,
        settings: Settings,
        given: Given,
        { link }: LinkWire,
    ) {
        const { mechanism, capabilities } = given;
        super(
            link,
            settings.endpoint,
            { mechanism: mechanism as Mechanism, capabilities, leftover: Buffer.alloc(0) },
            settings.discovered,
        );
        this.ticket = given.ticket;
        this.generation = given.generation;
        this.resumed = given.resumed;
        this.settings = settings;
        this.#driver = driver;
        this.#adapter = adapter;
        this.#tap = new Tap(this.socket, this.#listener(), settings);
        // The machine has seen what came with the login, and not yet what came behind it.
        this.#tap.begin();
        this.putBack(given.leftover);
    }

    /**
     * The mail client, logged in, with the adapters. A session over sockets has none: it is a {@link Misuse}, for the program speaks
     * the protocol itself over `socket`.
     */
    get client(): Client {
        if (this.#client === undefined) {
            throw new Misuse(
                "a session over sockets has no client: take sessions of mailbearer/imapflow or transport of " +
                    "mailbearer/nodemailer, or speak the protocol yourself over connection.socket",
            );
        }
        return this.#client;
    }

    /** Makes the mail client. @internal */
    async begin(): Promise<void> {
        this.#client = await this.#adapter.make(this);
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
            await this.#inTime(() => this.#adapter.askAgain(this.#client as Client, error));
            const isEnd = error instanceof SessionEnded || this.#adapter.isLost(error);
            const isTold = this.#verdict !== undefined;
            await this.close();
            if (isEnd && isTold) {
                return undefined;
            }
            throw error;
        }
    }

    /**
     * Sleeps, and wakes early when the connection is due to be let go, or has ended. True in these two cases. Without a number it
     * sleeps until one of them.
     */
    async wait(milliseconds?: number): Promise<boolean> {
        if (milliseconds !== undefined && !(numeric(milliseconds, "milliseconds") <= TIMER_MS_MAX)) {
            throw new ConfigError(`milliseconds must be a number up to ${TIMER_MS_MAX}: left out, it waits for ever`);
        }
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
     * Waits in IDLE for what changes in the mailbox that is selected, and iterates over it. Between two changes the connection
     * is the program's, and nobody idles.
     *
     *     for await (const { exists, expunged, flagged } of connection.idle()) { ... }
     *
     * It ends when the connection is to be let go, or has ended; go on with the next one. IDLE is said anew every 90 seconds, so
     * that a server or a path that is mute is noticed within two minutes. Where the server has no IDLE, it is asked with NOOP.
     */
    idle(options: IdleOptions = {}): AsyncIterableIterator<MailboxEvent & { kind: "changed" }> {
        known(options, IDLE_OPTIONS, "options of idle");
        return this.#followed(undefined, false, options, {});
    }

    /**
     * Selects a mailbox, and iterates over its new messages by UID, from where the program stands (`since`, a cursor of
     * before) or from now on. What came between two connections is told once.
     *
     *     for await (const event of connection.newMessages("INBOX", { since: cursor })) {
     *         ...                              // fetch event.uids, where event.kind is "messages"
     *         cursor = event.cursor;           // store it, and give it to the next connection
     *     }
     *
     * It ends as {@link idle} does, and rejects with {@link MailboxRefused} where the mailbox cannot be selected.
     */
    newMessages(
        mailbox: string,
        options: NewMessagesOptions = {},
    ): AsyncIterableIterator<MailboxEvent & { kind: "messages" | "reset" }> {
        known(options, NEW_MESSAGES_OPTIONS, "options of newMessages");
        const { since, readOnly = false, ...times } = options;
        const name = text(mailbox, "mailbox");
        return this.#followed(name, readOnly, times, { mailbox: name, since, readOnly, tellsMessages: true });
    }

    #followed<E extends MailboxEvent>(
        mailbox: string | undefined,
        readOnly: boolean,
        options: IdleOptions,
        others: object,
    ): Follower<E> {
        if (this.endpoint.protocol !== "imap") {
            throw new Misuse("only IMAP has mailboxes to follow");
        }
        const has = this.capabilities.map((one) => one.toUpperCase());
        this.#follower = new Follower<E>(this.#ground(mailbox, readOnly), {
            reissueMs: options.reissue,
            answerMs: options.answer,
            pollMs: options.poll,
            // Where the server has not said what it can do, it is tried.
            hasIdle: has.length === 0 || has.includes("IDLE"),
            firstTag: this.#follower?.tags ?? 0,
            ...others,
        }) as Follower<MailboxEvent>;
        return this.#follower as Follower<E>;
    }

    #ground(mailbox: string | undefined, readOnly: boolean): Ground {
        const own = (): SessionConnection<Client> => this;
        const late = failureOfHost("timed_out", "in IDLE");
        return {
            quiet: () => this.#quiet(mailbox, readOnly),
            divert: (to) => {
                this.#tap.divert(to);
                // Somebody must read, or nothing comes.
                this.socket.read(0);
            },
            write: (data) => void this.socket.write(data),
            late: () => this.#driver.ended(this.ticket, new LoginFailed(late)),
            due: this.#due.signal,
            get isOver() {
                return own().#verdict !== undefined || !own().#isOpen;
            },
        };
    }

    /** The mail client's silence; nothing, where the connection ended meanwhile: that is told as its end, in our words. */
    async #quiet(mailbox: string | undefined, readOnly: boolean): Promise<(() => void) | undefined> {
        try {
            return await this.#adapter.quiet(this.#client as Client, mailbox, readOnly);
        } catch (error) {
            const isEnd = !(error instanceof MailbearerError) && this.#adapter.isLost(error);
            if (isEnd && (await this.wait(GOODBYE_MS))) {
                return undefined;
            }
            throw error;
        }
    }

    /** Says goodbye, if a mail client is there, and closes. POP3 and SMTP clients commit by that. */
    async letGo(): Promise<void> {
        await this.#inTime(() => this.#adapter.goodbye(this.#client as Client));
        await this.close();
    }

    /** Lets the mail client say something before the end, if it is there still. */
    async #inTime(say: () => Promise<void>): Promise<void> {
        if (!this.#isOpen || this.#verdict !== undefined || this.#client === undefined) {
            return;
        }
        let late: NodeJS.Timeout | undefined;
        const deadline = new Promise<void>((resolve) => (late = setTimeout(resolve, GOODBYE_MS)));
        // What fails here has ended the session, and is told with the next one.
        await Promise.race([say().catch(() => undefined), deadline]);
        clearTimeout(late);
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
    over(verdict: Verdict, aftermath: Aftermath | undefined, error: unknown): void {
        this.#verdict = verdict;
        this.#aftermath = aftermath;
        this.#tap.end(verdict, error);
        this.#due.abort();
    }

    /** @internal */
    renew(byMs: number): void {
        this.#renewBy = new Date(Date.now() + byMs - nowMs());
        this.#due.abort();
    }

    /** @internal */
    ask(): void {
        if (this.#follower?.ask() === true) {
            return;
        }
        if (this.#isOpen && this.#client !== undefined && this.#driver.machine.isQuiet(this.ticket)) {
            this.#adapter.ask(this.#client);
        }
    }

    /** Whether the end of a message was written, and no answer to it has come. @internal */
    get isDelivering(): boolean {
        return this.#verdict === undefined && this.#driver.machine.isDelivering(this.ticket);
    }

    /** Masks the tokens of the account. @internal */
    redact(text: string): string {
        return this.#driver.machine.redact(text);
    }

    /** The mail client gave it up, for nothing came in its own time. @internal */
    timedOut(error: Error): void {
        this.#driver.ended(this.ticket, new LoginFailed(failureOfHost("timed_out", error.message), { cause: error }));
    }

    /** The mail client could not begin: what a server or the network did ends the session, as later. @internal */
    brokenBy(error: unknown): void {
        if (this.#verdict !== undefined || error instanceof MailbearerError) {
            return;
        }
        const failure = failureOf(error, { protocol: this.endpoint.protocol });
        if (failure.cause !== "unrecognized") {
            this.#driver.ended(this.ticket, new LoginFailed(failure, { cause: error }));
        }
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
            get isDelivering() {
                return machine.isDelivering(ticket);
            },
        };
    }
}
