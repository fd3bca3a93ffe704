/** Connections of one session, one after the other. */
import { onAbort } from "./abort";
import type { SessionStatus } from "./core";
import type { Driver } from "./driver";
import { Misuse } from "./errors";
import { type Adapter, SessionConnection } from "./kept";
import type { Settings } from "./settings";
import type { LinkWire } from "./wire";

/** What a session is of: an account, which it may have for itself. @internal */
export interface Owner {
    readonly driver: Driver<LinkWire>;
    retry(): void;
    networkLost(): void;
    networkBack(): void;
    snapshot(): Buffer;
    /** A session is over. */
    leave(sessions: Sessions<unknown>, key: number | undefined): void;
}

/** A session of an account, by its number. @internal */
export interface Member {
    readonly key: number;
    readonly settings: Settings;
}

/** Adds a session whose servers must be looked up; nothing where the account is closed meanwhile. @internal */
export type Find = () => Promise<Member | undefined>;

type Signals = readonly [AbortSignal | undefined, AbortSignal | undefined];

/** Of how one is waited for. */
export interface NextOptions {
    /** Ends this wait, and nothing else; the session goes on. */
    signal?: AbortSignal | undefined;
}

/**
 * The connections of a session, one after the other: iterate, and get one each time that one is due.
 *
 * A connection is due at first, and each time that the one before has ended, or is to be renewed because its token or the
 * provider's limit is near. Leaving the loop closes the session. Iterating rejects with {@link NeedsUser} when a person must
 * act, with {@link GaveUp} when nothing helps, and with {@link Misuse} when the token source is wrong. The first two are
 * stops: each later `next` rejects with them too, at once and without I/O, until {@link Sessions.retry} is called.
 */
export class Sessions<Client> implements AsyncIterableIterator<SessionConnection<Client>> {
    readonly #owner: Owner;
    /** Not there before its servers are looked up. */
    #member: Member | undefined;
    readonly #find: () => Promise<Member | undefined>;
    #isOver = false;
    readonly #adapter: Adapter<Client>;
    /** Of the account, and its own. */
    readonly #signals: Signals;
    readonly #ignore: () => void;
    #given: SessionConnection<Client> | undefined;
    #lastStatus: SessionStatus | undefined;

    /** @internal */
    constructor(owner: Owner, member: Member | Find, adapter: Adapter<Client>, signals: Signals) {
        this.#owner = owner;
        this.#member = typeof member === "function" ? undefined : member;
        this.#find = typeof member === "function" ? member : () => Promise.resolve(member);
        this.#adapter = adapter;
        this.#signals = signals;
        this.#ignore = onAbort(signals[1], () => this.#leave());
    }

    /** The sessions are their own iterator: there is one at a time. */
    [Symbol.asyncIterator](): this {
        return this;
    }

    /** Lets the last connection go, if it is there still, and waits for the next. */
    async next(options: NextOptions = {}): Promise<IteratorResult<SessionConnection<Client>, undefined>> {
        await this.letGo();
        const { driver } = this.#owner;
        [...this.#signals, options.signal].forEach((signal) => signal?.throwIfAborted());
        const member = await this.#added();
        if (member === undefined) {
            return { done: true, value: undefined };
        }
        for (;;) {
            [...this.#signals, options.signal].forEach((signal) => signal?.throwIfAborted());
            const connection = await driver.next(
                member.key,
                (order, wire) => new SessionConnection(driver, this.#adapter, member.settings, order, wire),
                options.signal,
            );
            this.#signals.forEach((signal) => signal?.throwIfAborted());
            if (connection === undefined) {
                return { done: true, value: undefined };
            }
            if (await this.#hasClient(connection)) {
                this.#given = connection;
                return { done: false, value: connection };
            }
        }
    }

    /** The session, once its servers are known; nothing where it was closed meanwhile. */
    async #added(): Promise<Member | undefined> {
        if (this.#member === undefined && !this.#isOver) {
            const member = await this.#find();
            if (this.#isOver && member !== undefined) {
                this.#owner.leave(this as Sessions<unknown>, member.key);
                return undefined;
            }
            this.#member = member;
        }
        return this.#member;
    }

    /** Makes the mail client; false where the connection ended meanwhile. */
    async #hasClient(connection: SessionConnection<Client>): Promise<boolean> {
        try {
            await connection.begin();
            return connection.verdict === undefined;
        } catch (error) {
            connection.brokenBy(error);
            const isEnd = connection.verdict !== undefined;
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

    /** How the session stands. Of one whose servers are not looked up yet there is nothing to say: it throws {@link Misuse}. */
    status(): SessionStatus {
        const { sessions } = this.#owner.driver.machine.status();
        const status = sessions.find((one) => one.session === this.#member?.key) ?? this.#lastStatus;
        if (status === undefined) {
            throw new Misuse("the servers are looked up at the first connection: wait for it first");
        }
        return status;
    }

    /**
     * What must outlive the process, of the whole account: stops, waits, limits, what was in flight. It holds no secret.
     */
    snapshot(): Buffer {
        return this.#owner.snapshot();
    }

    /** A person, or the program, has acted: stops of the account are lifted, and it is tried again. */
    retry(): void {
        this.#owner.retry();
    }

    /** The system says that there is no network: nothing is tried for a while. */
    networkLost(): void {
        this.#owner.networkLost();
    }

    /** The system says that there is a network again, or another one: connections are asked whether they live. */
    networkBack(): void {
        this.#owner.networkBack();
    }

    /** Ends it: the connection says goodbye, where it has a mail client; nothing is left behind. */
    async close(): Promise<void> {
        await this.letGo();
        this.#leave();
    }

    [Symbol.asyncDispose](): Promise<void> {
        return this.close();
    }

    /** The connection that the program has. @internal */
    async letGo(): Promise<void> {
        const given = this.#given;
        this.#given = undefined;
        await given?.letGo();
    }

    /** Listens no more. @internal */
    detach(): void {
        this.#ignore();
    }

    #leave(): void {
        this.detach();
        this.#isOver = true;
        if (this.#member !== undefined) {
            this.#lastStatus = this.status();
        }
        this.#owner.leave(this as Sessions<unknown>, this.#member?.key);
    }
}
