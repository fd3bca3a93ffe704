/** The connections of one session, over which messages go one after the other. */
import type SMTPConnection from "nodemailer/lib/smtp-connection";
import { Misuse } from "./errors";
import type { SessionConnection } from "./kept";
import type { Sessions } from "./sessions";
import { SmtpAdapter } from "./submission";

type Client = SMTPConnection;

/** What one session of a transport does. @internal */
export class Lane {
    readonly sessions: Sessions<Client>;
    /** Something waits for it, or it is taken. */
    isBusy = false;
    /** Something is sent over it. */
    isTaken = false;
    #current: SessionConnection<Client> | undefined;
    #sent = 0;
    #work: Promise<unknown> = Promise.resolve();
    #waiting: AbortController | undefined;

    constructor(make: (adapter: SmtpAdapter) => Sessions<Client>) {
        this.sessions = make(new SmtpAdapter((work) => this.alone(work)));
    }

    get isOnline(): boolean {
        const current = this.#current;
        return current !== undefined && current.verdict === undefined && !current.isDue && !current.socket.destroyed;
    }

    /** Whether the end of a message was written, and no answer to it has come. */
    get isDelivering(): boolean {
        return this.#current?.isDelivering ?? false;
    }

    /** The connection that is there, or the next one; nothing, where nobody waits for it any more. */
    async connection(): Promise<SessionConnection<Client> | undefined> {
        if (this.isOnline) {
            return this.#current;
        }
        this.#current = undefined;
        this.#sent = 0;
        const waiting = (this.#waiting = new AbortController());
        try {
            const { value } = await this.sessions.next({ signal: waiting.signal });
            if (value === undefined) {
                throw new Misuse("the transport is closed: make another");
            }
            this.#current = value;
            void this.#letGoInTime(value);
            return value;
        } catch (error) {
            if (waiting.signal.aborted) {
                return undefined;
            }
            throw error;
        } finally {
            this.#waiting = undefined;
        }
    }

    waitNoMore(): void {
        this.#waiting?.abort();
    }

    /** One after the other. */
    alone<T>(work: () => Promise<T>): Promise<T> {
        const done = this.#work.then(work);
        this.#work = done.catch(() => undefined);
        return done;
    }

    /** Messages that went over this connection, with one more. */
    count(connection: SessionConnection<Client>): number {
        return connection === this.#current ? (this.#sent += 1) : 0;
    }

    /** Says goodbye, after what is under way. */
    letGo(): Promise<void> {
        const current = this.#current;
        return this.alone(async () => {
            if (current !== undefined && this.#current === current) {
                this.#current = undefined;
                await current.letGo();
            }
        });
    }

    /** Closes it, whatever is under way. */
    async drop(): Promise<void> {
        const current = this.#current;
        this.#current = undefined;
        await current?.close();
    }

    /** Says goodbye to a connection that is due while nothing is sent. */
    async #letGoInTime(connection: SessionConnection<Client>): Promise<void> {
        await connection.wait();
        if (this.#current === connection) {
            await this.letGo();
        }
    }
}
