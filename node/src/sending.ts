/** Messages that wait, and the connections that take them: Nodemailer's transport over sessions. */
import { EventEmitter } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type SMTPConnection from "nodemailer/lib/smtp-connection";
import {
    type Account,
    accountOf,
    type AccountSessionOptions,
    checkedOptions,
    type OwnedSessionOptions,
    SESSION_OPTIONS,
    type SessionOptions,
} from "./account";
import { counted } from "./counting";
import { failureOfHost, type SessionStatus } from "./core";
import { Misuse, SendFailed } from "./errors";
import { failureOf } from "./explain";
import type { SessionEvent } from "./events";
import type { SessionConnection } from "./kept";
import { Lane } from "./lane";
import { takes } from "./options";
import { Limits, SENDING_OPTIONS, type SendingOptions } from "./sending_limits";
import type { Sessions } from "./sessions";
import {
    built,
    library,
    type MailMessage,
    messageIdOf,
    reset,
    type SentInfo,
    submit,
    withoutToken,
} from "./submission";

/** The options of a transport: those of its sessions, of their account or with an `account`, and how messages are sent. */
export type TransportOptions = (SessionOptions | (AccountSessionOptions & { account: Account })) & SendingOptions;

const TRANSPORT = "transport of mailbearer/nodemailer";
takes(TRANSPORT, { ...SESSION_OPTIONS, ...SENDING_OPTIONS });

type Callback<T> = (error: Error | null, result?: T) => void;
type Client = SMTPConnection;

/** How often a message is tried whose sessions end before the server takes it. */
const TRIES = 3;

/** Something that is done over a connection that is logged in. */
interface Job {
    /** Whether it counts for limits. */
    readonly isMessage: boolean;
    tries: number;
    /** Its caller has been answered. */
    isOver: boolean;
    /** The one that it is on its way over. */
    lane: Lane | undefined;
    /** Gives what tells its caller; rejects with {@link Again} where another connection is to try. */
    run(connection: SessionConnection<Client>): Promise<() => void>;
    reject(error: unknown): void;
}

/** The session ended before the server took the message. */
class Again extends Error {}

/**
 * A transport of Nodemailer's over sessions: what {@link transport} makes. It is an emitter of `idle`, as a pool of Nodemailer's, when
 * {@link isIdle} becomes true.
 */
export class SessionTransport extends EventEmitter {
    readonly name = "mailbearer";
    readonly version = "1";
    readonly #limits: Limits;
    readonly #account: Account;
    readonly #session: AccountSessionOptions;
    readonly #lanes: Lane[] = [];
    readonly #queue: Job[] = [];
    /** Sessions whose logins have failed, and are tried again later. */
    readonly #inVain = new Set<number>();
    #lastTrouble: SessionEvent | undefined;
    #isClosing = false;
    #isClosed = false;

    /** @internal */
    constructor(options: TransportOptions) {
        super();
        // Where it is missing, that is told before any login.
        library();
        checkedOptions(options, TRANSPORT, SENDING_OPTIONS);
        const { maxConnections, maxMessages, rateLimit, rateDelta, sendTimeout, ...others } = options;
        this.#limits = new Limits({ maxConnections, maxMessages, rateLimit, rateDelta, sendTimeout });
        const onEvent = (event: SessionEvent): void => {
            this.#note(event);
            options.onEvent?.(event);
        };
        const { account, session } = accountOf("smtp", { ...others, onEvent } as OwnedSessionOptions);
        [this.#account, this.#session] = [account, session];
        this.#add();
        setImmediate(() => this.#tellIdle());
    }

    /** A person, or the program, has acted: what failed with `NeedsUser` or `GaveUp` is tried again. */
    retry(): void {
        this.#first.retry();
    }

    /** The system says that there is no network. */
    networkLost(): void {
        this.#first.networkLost();
    }

    /** The system says that there is a network again, or another one. */
    networkBack(): void {
        this.#first.networkBack();
    }

    /** How the session stands; of several, the first. */
    status(): SessionStatus {
        return this.#first.status();
    }

    /** What must outlive the process. It holds no secret. */
    snapshot(): Buffer {
        return this.#first.snapshot();
    }

    /** Whether another message would be taken up at once, but for a limit of the rate. */
    isIdle(): boolean {
        const isBusy = this.#lanes.filter((lane) => lane.isTaken).length + this.#queue.length;
        return !this.#isClosing && isBusy < this.#limits.maxConnections;
    }

    /** Sends a message; Nodemailer calls it. */
    send(mail: MailMessage, callback: Callback<SentInfo>): void {
        const message = new Message(mail, callback);
        this.#put(message);
        const { sendTimeout } = this.#limits;
        if (sendTimeout !== undefined && !message.isOver) {
            message.expire(sendTimeout, () => this.#tooLate(message, sendTimeout));
        }
    }

    /** Whether it can log in. */
    verify(callback?: Callback<true>): Promise<true> | undefined {
        const verified = new Promise<true>((resolve, reject) => {
            const run = () => Promise.resolve(() => resolve(true));
            this.#put({ isMessage: false, tries: 0, isOver: false, lane: undefined, run, reject });
        });
        if (callback === undefined) {
            return verified;
        }
        verified.then(() => callback(null, true), callback);
        return undefined;
    }

    /** Says goodbye and ends it, after what is under way and what waits; a login that fails is not waited for. */
    close(): void {
        this.#isClosing = true;
        this.#look();
    }

    get #first(): Sessions<Client> {
        return (this.#lanes[0] as Lane).sessions;
    }

    #put(job: Job): void {
        if (this.#isClosing) {
            job.reject(new Misuse("the transport is closed: make another"));
            return;
        }
        this.#queue.push(job);
        this.#look();
    }

    /** Sees to it that as many lanes work as there is work for, and that what is over ends. */
    #look(): void {
        const isFree = (lane: Lane): boolean => !lane.isBusy;
        const wanted = this.#queue.length - this.#lanes.filter((lane) => lane.isBusy && !lane.isTaken).length;
        for (let missing = wanted; missing > 0; missing -= 1) {
            // One that is logged in is better than one that must log in first.
            const lane = this.#lanes.find((one) => isFree(one) && one.isOnline) ?? this.#lanes.find(isFree);
            if (lane === undefined && this.#lanes.length >= this.#limits.maxConnections) {
                break;
            }
            void this.#serve(lane ?? this.#add());
        }
        if (this.#queue.length === 0) {
            this.#lanes.forEach((lane) => lane.waitNoMore());
        }
        if (this.#isClosing) {
            this.#endIfOver();
        } else {
            this.#tellIdle();
        }
    }

    #add(): Lane {
        const lane = new Lane((adapter) => this.#account.add("smtp", this.#session, adapter));
        this.#lanes.push(lane);
        return lane;
    }

    /** Takes what waits, over one lane, until nothing does. */
    async #serve(lane: Lane): Promise<void> {
        lane.isBusy = true;
        while (this.#queue.length > 0) {
            let connection: SessionConnection<Client> | undefined;
            try {
                connection = await lane.connection();
            } catch (error) {
                this.#queue.shift()?.reject(error);
                continue;
            }
            const wait = this.#queue[0]?.isMessage ? this.#limits.waitMs() : 0;
            if (connection === undefined || wait > 0) {
                // What waits may be another one then, or the connection be over.
                await sleep(wait);
                continue;
            }
            const job = this.#queue.shift();
            if (job !== undefined) {
                await this.#run(job, lane, connection);
            }
        }
        lane.isBusy = false;
        this.#look();
    }

    async #run(job: Job, lane: Lane, connection: SessionConnection<Client>): Promise<void> {
        if (job.isMessage) {
            this.#limits.take();
        }
        [job.lane, lane.isTaken] = [lane, true];
        this.#look();
        let tell: () => void;
        try {
            tell = await lane.alone(() => job.run(connection));
        } catch (error) {
            job.tries += 1;
            const isAgain = !job.isOver && error instanceof Again && job.tries < TRIES;
            tell = () =>
                isAgain ? void this.#queue.unshift(job) : job.reject(error instanceof Again ? error.cause : error);
        }
        [job.lane, lane.isTaken] = [undefined, false];
        // Whoever sends the next message then finds this lane free.
        tell();
        if (job.isMessage && this.#limits.isFull(lane.count(connection))) {
            await lane.letGo();
        }
    }

    /** The time of a message is over. */
    #tooLate(message: Message, sendTimeout: number): void {
        const { lane } = message;
        if (lane?.isDelivering === true) {
            // The server may have it: only its answer tells.
            return;
        }
        const trouble = this.#lastTrouble;
        const why = trouble === undefined ? "" : ` (${trouble.message})`;
        const sentence = `The message was not sent within ${sendTimeout} ms, and the server has not taken it${why}.`;
        const cause = trouble?.error === undefined ? undefined : { cause: trouble.error };
        message.reject(new SendFailed("not_sent", message.id, "timed_out", sentence, cause));
        const at = this.#queue.indexOf(message);
        if (at >= 0) {
            this.#queue.splice(at, 1);
        }
        // Half a message was said: the connection can say nothing else.
        void lane?.drop();
        this.#look();
    }

    #note(event: SessionEvent): void {
        const session = event.session ?? 0;
        if (event.kind === "waiting") {
            this.#inVain.add(session);
        } else if (event.kind !== "connecting") {
            this.#inVain.delete(session);
        }
        if (["login_failed", "token_failed"].includes(event.kind)) {
            this.#lastTrouble = event;
        } else if (event.kind === "online") {
            this.#lastTrouble = undefined;
        }
        // Not in the middle of what the machine tells.
        queueMicrotask(() => this.#endIfOver());
    }

    #endIfOver(): void {
        const isWorking = this.#lanes.some(
            (lane) => lane.isTaken || (lane.isBusy && (lane.isOnline || this.#inVain.size === 0)),
        );
        if (!this.#isClosing || this.#isClosed || isWorking) {
            return;
        }
        this.#isClosed = true;
        const closed = new Misuse("the transport is closed: make another");
        this.#queue.splice(0).forEach((job) => job.reject(closed));
        void this.#end();
    }

    async #end(): Promise<void> {
        // All say goodbye before the first that closes ends an account of one.
        await Promise.all(this.#lanes.map((lane) => lane.letGo()));
        await Promise.all(this.#lanes.map((lane) => lane.sessions.close()));
    }

    #tellIdle(): void {
        if (this.isIdle() && this.listenerCount("idle") > 0) {
            setImmediate(() => this.isIdle() && this.emit("idle"));
        }
    }
}

/** A message on its way. */
class Message implements Job {
    readonly isMessage = true;
    tries = 0;
    isOver = false;
    lane: Lane | undefined;
    readonly #mail: MailMessage;
    readonly #callback: Callback<SentInfo>;
    #content: Buffer | undefined;
    #timer: NodeJS.Timeout | undefined;

    constructor(mail: MailMessage, callback: Callback<SentInfo>) {
        this.#mail = mail;
        this.#callback = callback;
    }

    get id(): string {
        return messageIdOf(this.#mail, this.#content);
    }

    /** Calls, unless it is over before. */
    expire(milliseconds: number, call: () => void): void {
        this.#timer = setTimeout(call, milliseconds);
    }

    async run(connection: SessionConnection<Client>): Promise<() => void> {
        // It may be read twice, which a stream cannot.
        this.#content ??= await built(this.#mail);
        if (this.isOver) {
            return () => undefined;
        }
        try {
            const info = withoutToken(await submit(connection.client, this.#mail, this.#content), connection);
            return () => this.#finish(() => this.#callback(null, info));
        } catch (thrown) {
            const error = withoutToken(thrown, connection);
            if (connection.verdict === undefined) {
                if (!connection.socket.destroyed) {
                    await reset(connection.client);
                }
                throw this.#refused(error);
            }
            throw new Again("", { cause: this.#endedWithIt(connection, error) });
        }
    }

    reject(error: unknown): void {
        this.#finish(() => this.#callback(error as Error));
    }

    /** What is told, if no other connection is tried: at once, where nobody knows whether the server took it. */
    #endedWithIt({ verdict, aftermath }: SessionConnection<Client>, cause: unknown): SendFailed {
        const code = verdict?.cause ?? "session_ended";
        if (aftermath?.protocol === "smtp" && aftermath.submission === "unknown") {
            const sentence =
                "The session ended before the server answered for the message, and whether it was taken is not known: " +
                `look for ${this.id} before sending it again.`;
            const failed = new SendFailed("unknown", this.id, code, sentence, { cause });
            this.reject(failed);
            return failed;
        }
        const { sentence } = failureOfHost(code, "");
        const words = `The message was not sent, and the server has not taken it, in ${counted(this.tries + 1, "session")}: ${sentence}`;
        return new SendFailed("not_sent", this.id, code, words, { cause });
    }

    /** What the server says of the message; what Nodemailer found by itself is its own error. */
    #refused(error: unknown): unknown {
        const { responseCode, rejected } = error as { responseCode?: unknown; rejected?: readonly string[] };
        if (typeof responseCode !== "number") {
            return error;
        }
        const failure = failureOf(error, { protocol: "smtp" });
        const isForNow = responseCode < 500;
        const words = isForNow
            ? "The server does not take the message now: send it again in some minutes"
            : "The server refused the message";
        const said = [failure.code ?? responseCode, failure.serverText].join(" ").trim();
        const sentence = `${words}. It said: ${said}`;
        const outcome = isForNow ? "not_sent" : "refused";
        const told = { cause: error, failure, responseCode, ...(rejected && { rejected }) };
        return new SendFailed(outcome, this.id, failure.cause, sentence, told);
    }

    #finish(tell: () => void): void {
        if (!this.isOver) {
            this.isOver = true;
            clearTimeout(this.#timer);
            tell();
        }
    }
}
