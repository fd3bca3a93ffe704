/** The errors of mailbearer: all of them are {@link MailbearerError}, and tell what happened in `code`. */
import { inspect } from "node:util";
import type { Advice, Cause, Failure, Verdict } from "./core/verdict";
import { saidBy } from "./foreign";

/** Root of all errors of mailbearer. What another library threw is in `cause`, as everywhere in JavaScript. */
export abstract class MailbearerError extends Error {
    /** What happened. Other libraries may replace it on their way, as Nodemailer does. */
    abstract code: string;

    constructor(message: string, options?: ErrorOptions) {
        super(message, options?.cause === undefined ? undefined : { cause: options.cause });
        this.name = new.target.name;
    }
}

/** A setting cannot work. The text names the field and the place, never the value. */
export class ConfigError extends MailbearerError {
    override code = "config_error" as const;
}

/** The calling code is wrong: a call that does not fit the state of a machine. */
export class Misuse extends MailbearerError {
    override code = "misuse" as const;
}

/** A bug of mailbearer. Please report it. */
export class InternalError extends MailbearerError {
    override code = "internal_error" as const;
}

/**
 * The token source threw, or gave something that is no token. Its own error is the `cause`.
 *
 * A source throws it by itself, with `permanent: true`, where asking again is in vain until the user acts.
 */
export class TokenSourceFailed extends MailbearerError {
    override code = "token_source_failed" as const;
    /** Whether asking again is in vain until the user acts. */
    readonly permanent: boolean;

    constructor(message: string, options: ErrorOptions & { permanent?: boolean | undefined } = {}) {
        super(message, options);
        this.permanent = options.permanent ?? false;
    }

    /** The cause is shown without what may be secret in it; it is whole in `cause`. */
    [inspect.custom](): string {
        const own = `${this.stack ?? this.message} { permanent: ${this.permanent} }`;
        return this.cause === undefined ? own : `${own}\n  [cause]: ${framesOf(this.cause)}`;
    }
}

/** The login did not work. Its `message` is a sentence that a person can act on. */
export class LoginFailed extends MailbearerError {
    /** All that is known: `cause`, `advice`, `certainty`, `serverText`, `code`, `rejection`, `waitMs`, `url`. */
    readonly failure: Failure;
    /** What happened, as in `token_rejected`: one of {@link CAUSES}. */
    override code: Cause;

    constructor(failure: Failure, options?: ErrorOptions) {
        super(failure.sentence, options);
        this.failure = failure;
        this.code = failure.cause;
    }

    /** What to do, as in `refresh_token`: one of {@link ADVICES}. */
    get advice(): Advice {
        return this.failure.advice;
    }
}

/** A person must act before it makes sense to go on: `failure` says why, and what to do. */
export class NeedsUser extends LoginFailed {}

/** The program's own settings cannot work, or nothing helps: `failure` says why. */
export class GaveUp extends LoginFailed {}

/**
 * The proxy did not open the way to the server: the mail server was not spoken to. It is the `cause` of the {@link LoginFailed} that
 * tells of it. The proxy's password is in no text of it.
 */
export class ProxyFailed extends MailbearerError {
    override code = "proxy_failed" as const;
    /**
     * What went wrong: the proxy itself cannot be reached (`unreachable`), does not know the user (`authentication`), does not allow
     * this server (`forbidden`), found nobody there (`refused`) or no way there (`no_way`), or is no such proxy (`protocol`).
     */
    readonly reason: "unreachable" | "authentication" | "forbidden" | "refused" | "no_way" | "protocol";
    /** Which proxy, as in `socks5://127.0.0.1:1080`. */
    readonly proxy: string;

    constructor(reason: ProxyFailed["reason"], proxy: string, words: string, options?: ErrorOptions) {
        super(`the proxy ${proxy} ${words}`, options);
        this.reason = reason;
        this.proxy = proxy;
    }
}

/** A mailbox cannot be followed: the server does not select or search it. */
export class MailboxRefused extends MailbearerError {
    override code = "mailbox_refused" as const;
    /** Its name, where the program gave one. */
    readonly mailbox: string | undefined;
    /** RFC 5530 code such as `NONEXISTENT`, where the server gave one. */
    readonly serverCode: string | undefined;
    /** What the server said: untrusted, without control characters. */
    readonly serverText: string;

    constructor(
        serverText: string,
        serverCode?: string,
        options: ErrorOptions & { mailbox?: string | undefined } = {},
    ) {
        const { mailbox } = options;
        const what =
            mailbox === undefined
                ? "The mailbox cannot be followed"
                : `The mailbox ${JSON.stringify(mailbox)} cannot be followed (check the name with client.list())`;
        super(`${what}; the server said: ${serverText}`, options);
        this.mailbox = mailbox;
        this.serverCode = serverCode;
        this.serverText = serverText;
    }
}

/** The session is over, in the middle of what the program did with it. The next one follows. */
export class SessionEnded extends MailbearerError {
    /** Why: `cause`, `advice`, `certainty`. */
    readonly verdict: Verdict;
    /** What happened, as in `session_limit`: one of {@link CAUSES}. */
    override code: Cause;

    constructor(verdict: Verdict, sentence: string, options?: ErrorOptions) {
        super(sentence, options);
        this.verdict = verdict;
        this.code = verdict.cause;
    }

    /** What to do, as in `reconnect`: one of {@link ADVICES}. */
    get advice(): Advice {
        return this.verdict.advice;
    }
}

/**
 * A message was not sent, or nobody knows: what `sendMail` rejects with over a transport of `mailbearer/nodemailer`. Nodemailer's own error,
 * where it had one, is the `cause`.
 */
export class SendFailed extends MailbearerError {
    /** What happened, as in `connection_lost` or `timed_out`: one of {@link CAUSES}. */
    override code: Cause;
    /**
     * `not_sent`: the server has not taken the message, and sending it again is safe; where it said so itself (a reply that begins with 4,
     * as of greylisting), minutes later. `refused`: it does not take it, at another time neither (5). `unknown`: it may have taken it,
     * for the connection ended between the end of the message and the answer: look for its `messageId` before sending it again.
     */
    readonly outcome: "not_sent" | "refused" | "unknown";
    /** The Message-ID of the message, as it stands in it. */
    readonly messageId: string;
    /** What the server said of the message, and what that means; `undefined` where it said nothing. */
    readonly failure: Failure | undefined;
    /** Its reply code, as in 451. */
    readonly responseCode: number | undefined;
    /** The recipients that it does not take, where it is them that it refused: all of them, for else the message is sent. */
    readonly rejected: readonly string[];

    constructor(
        outcome: SendFailed["outcome"],
        messageId: string,
        code: Cause,
        sentence: string,
        options: ErrorOptions & {
            failure?: Failure | undefined;
            responseCode?: number | undefined;
            rejected?: readonly string[] | undefined;
        } = {},
    ) {
        super(sentence, options);
        this.code = code;
        this.outcome = outcome;
        this.messageId = messageId;
        this.failure = options.failure;
        this.responseCode = options.responseCode;
        this.rejected = options.rejected ?? [];
    }
}

/** What somebody else's error says, and where it was thrown. */
function framesOf(error: unknown): string {
    const frames = error instanceof Error ? (error.stack?.match(/^ +at .*$/gm) ?? []) : [];
    return [saidBy(error), ...frames].join("\n");
}
