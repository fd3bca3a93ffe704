/** What a program hears of its account. */
import { inspect } from "node:util";
import type { AccountEvent, MailProtocol } from "./core";
import { counted } from "./counting";
import { saidBy } from "./foreign";

/**
 * Something that happened to an account, for logs and metrics. It never carries a token. As a text it is a line for a log, with its
 * time; {@link message} is the same without.
 */
export interface SessionEvent extends Omit<AccountEvent, "what"> {
    /**
     * What happened. `discovered`: servers were looked up for a domain that is not known; `text` says which, and who says so.
     */
    readonly kind: AccountEvent["what"] | "discovered";
    /** When. */
    readonly time: Date;
    readonly user: string;
    /** What the session speaks; left out where it is of the whole account. */
    readonly protocol?: MailProtocol;
    /** What the system, or the token source, threw. */
    readonly error?: unknown;
    /** It in words, as in `joe@gmail.com imap 1 is online, connection 2`: who, which session, and what happened. */
    readonly message: string;
    /** The same, with its time in front. */
    toString(): string;
}

/** Called with each event. What it throws is a warning of the process, and ends nothing. */
export type OnEvent = (event: SessionEvent) => void;

type Kind = SessionEvent["kind"];

/** As Python's events say it. */
const WORDS: Readonly<Record<Kind, string>> = {
    discovered: "has looked its servers up",
    fetching_token: "asks the token source",
    token_failed: "has no token",
    connecting: "connects",
    login_failed: "could not log in",
    online: "is online",
    renewing: "is to be renewed",
    ended: "is over",
    waiting: "waits",
    limited: "is limited",
    needs_user: "needs a person",
    gave_up: "gave up",
    mistake: "has a token source that is wrong",
};

type Told = Omit<SessionEvent, "time" | "message" | "toString">;

/** An event, whose members are its own, so that it can be spread and written as JSON. */
class Happened implements SessionEvent {
    readonly kind: Kind;
    readonly time = new Date();
    readonly user: string;

    constructor(told: Told) {
        this.kind = told.kind;
        this.user = told.user;
        // What is not known is left out.
        Object.assign(this, Object.fromEntries(Object.entries(told).filter(([, value]) => value !== undefined)));
    }

    get message(): string {
        const { kind, user, protocol, session, generation, waitMs, cause, text }: SessionEvent = this;
        const whose = [user, protocol, session].filter((one) => one !== undefined).join(" ");
        const which = generation === undefined ? "" : `, connection ${generation}`;
        const left = waitMs === undefined ? "" : `, ${counted(Math.round(waitMs / 1000), "second")}`;
        const because = cause === undefined ? "" : ` (${cause})`;
        return `${whose} ${WORDS[kind]}${which}${left}${because}${text ? `: ${text}` : ""}`;
    }

    toString(): string {
        return `${this.time.toISOString()} ${this.message}`;
    }

    /** For `console.log`: what was thrown may hold what is secret, and is whole in `error`. */
    [inspect.custom](): string {
        return String(this);
    }

    /** What was thrown is in words here too: errors of HTTP libraries hold their requests. */
    toJSON(): object {
        const { error, ...told }: SessionEvent = this;
        return { ...told, message: this.message, ...(error === undefined ? {} : { error: saidBy(error) }) };
    }
}

export function happened(told: Told): SessionEvent {
    return new Happened(told);
}

/** Says that what looks on threw: a warning of the process, for it must not end the account. */
export function threw(who: string, at: string, error: unknown): void {
    process.emitWarning(`${who} threw ${error instanceof Error ? error.name : "something"}, at ${at}`, {
        type: "MailbearerWarning",
        detail: error instanceof Error ? (error.stack ?? "") : "",
    });
}

/** An event in the words of the program, with what was thrown. */
export function eventOf(
    { what, session, ticket, request, generation, cause, text, waitMs }: AccountEvent,
    user: string,
    protocol: MailProtocol | undefined,
    errors: OwnErrors,
): SessionEvent {
    const error = errors.of(ticket, request);
    return happened({ kind: what, user, protocol, session, ticket, generation, cause, text, waitMs, error } as Told);
}

/** More are not kept: only the last ones are asked for. */
const KEPT_MAX = 64;

/** What the system threw, by the connection, and the token source, by the last request that brought no token. */
export class OwnErrors {
    readonly #errors = new Map<number, unknown>();
    #source: { request: number; error: unknown } | undefined;

    note(ticket: number, error: unknown): void {
        this.#errors.set(ticket, error);
        const [oldest] = this.#errors.keys();
        if (this.#errors.size > KEPT_MAX && oldest !== undefined) {
            this.#errors.delete(oldest);
        }
    }

    noteSource(request: number, error: unknown): void {
        this.#source = { request, error };
    }

    of(ticket: number | undefined, request: number | undefined): unknown {
        const isOfSource = request !== undefined && request === this.#source?.request;
        return isOfSource ? this.#source?.error : this.#errors.get(ticket ?? 0);
    }
}
