/** One message over one connection of Nodemailer's, which is logged in. */
import type SMTPConnection from "nodemailer/lib/smtp-connection";
import { Misuse } from "./errors";
import type { Adapter, SessionConnection } from "./kept";
import { installed } from "./peers";

/** Nodemailer's connections, where Nodemailer is there. */
export function library(): typeof SMTPConnection {
    type Module = typeof SMTPConnection & { default?: typeof SMTPConnection };
    const module = installed("nodemailer", () => require("nodemailer/lib/smtp-connection") as Module);
    return module.default ?? module;
}

/** A mail as Nodemailer gives it to a transport. */
export interface MailMessage {
    readonly data: object;
    readonly message: {
        getEnvelope(): object;
        messageId(): string;
        build(callback: (error: Error | null, message: Buffer) => void): void;
    };
}

/** What became of a message: Nodemailer's own account of it. */
export interface SentInfo {
    envelope: object;
    /** As it stands in the message. */
    messageId: string;
    /** The recipients that the server took. */
    accepted: string[];
    /** Those that it did not take, for now or for good: nobody sends them the message. */
    rejected: string[];
    /** What it said of each of these; left out where there are none. */
    rejectedErrors?: RecipientError[] | undefined;
    /** What the server can do, as EHLO said. */
    ehlo?: string[] | undefined;
    /** Milliseconds that sender and recipients took. */
    envelopeTime: number;
    /** Milliseconds that the content took, with the answer to its end. */
    messageTime: number;
    /** Octets of the content. */
    messageSize: number;
    /** What the server said when it took the message. */
    response: string;
}

/** Nodemailer's error of a recipient that the server does not take. */
export interface RecipientError extends Error {
    code?: string | undefined;
    /** The address, as it was given. */
    recipient?: string | undefined;
    /** The reply code, as in 550. */
    responseCode?: number | undefined;
    /** The whole reply. */
    response?: string | undefined;
}

/** What Nodemailer gives or throws, without the token that a server may have repeated in it. */
export function withoutToken<T>(given: T, connection: SessionConnection<SMTPConnection>): T {
    type Fields = { message?: unknown; response?: unknown; stack?: unknown; rejectedErrors?: unknown };
    const fields = given as Fields;
    for (const name of ["message", "response", "stack"] as const) {
        const text = typeof given === "object" && given !== null ? fields[name] : undefined;
        const masked = typeof text === "string" ? connection.redact(text) : text;
        if (masked !== text) {
            fields[name] = masked;
        }
    }
    const { rejectedErrors } = (given ?? {}) as Fields;
    if (Array.isArray(rejectedErrors)) {
        rejectedErrors.forEach((error) => withoutToken(error, connection));
    }
    return given;
}

export function built(mail: MailMessage): Promise<Buffer> {
    return new Promise((resolve, reject) => {
        mail.message.build((error, message) => (error ? reject(error) : resolve(message)));
    });
}

/** As it stands in the message: of a `raw` one Nodemailer would make another up. */
export function messageIdOf(mail: MailMessage, content: Buffer | undefined): string {
    const text = content?.toString("latin1") ?? "";
    const head = /\r?\n\r?\n/.exec(text)?.index ?? text.length;
    return /^message-id:\s*(<[^>]*>)/im.exec(text.slice(0, head))?.[1] ?? mail.message.messageId();
}

export function submit(client: SMTPConnection, mail: MailMessage, content: Buffer): Promise<SentInfo> {
    const envelope = mail.message.getEnvelope();
    const { dsn, requireTLSExtensionEnabled } = mail.data as { dsn?: object; requireTLSExtensionEnabled?: boolean };
    return new Promise((resolve, reject) => {
        const failed = (error: Error) => reject(error);
        client.once("error", failed);
        client.send(
            { ...envelope, ...(dsn && { dsn }), ...(requireTLSExtensionEnabled && { requireTLSExtensionEnabled }) },
            content,
            (error, info) => {
                client.off("error", failed);
                if (error) {
                    reject(error);
                } else {
                    const { accepted, rejected, response } = info;
                    resolve({ ...info, envelope, messageId: messageIdOf(mail, content), accepted, rejected, response });
                }
            },
        );
    });
}

/** Takes back a message that was refused, so that the next one can follow. */
export function reset(client: SMTPConnection): Promise<void> {
    return new Promise((resolve) => {
        client.once("end", () => resolve());
        client.reset(() => resolve());
    });
}

/** What a limit of Nodemailer's is later than ours. */
const BEHIND_MS = 60_000;
/** What Node's timers take: a longer one would ring at once. */
const TIMER_MS_MAX = 2_147_483_647;

/** Nodemailer's client, over a connection of a session. @internal */
export class SmtpAdapter implements Adapter<SMTPConnection> {
    readonly #next: (work: () => Promise<void>) => Promise<void>;

    /** `next` does some work after what is under way. */
    constructor(next: (work: () => Promise<void>) => Promise<void>) {
        this.#next = next;
    }

    make(connection: SessionConnection<SMTPConnection>): Promise<SMTPConnection> {
        const { host, port } = connection.endpoint;
        // To Nodemailer, the server greets now; what EHLO says it asks again.
        connection.putBack(Buffer.from("220 logged in\r\n"));
        const client = new (library())({
            host,
            port,
            secure: true,
            secured: true,
            connection: connection.socket,
            name: connection.settings.login.ehloName,
            // The session's own limit comes first: it knows what the end means.
            socketTimeout: Math.min(connection.settings.dataTimeout + BEHIND_MS, TIMER_MS_MAX),
        });
        return new Promise((resolve, reject) => {
            client.on("error", reject);
            client.connect((error?: Error | null) => (error ? reject(error) : resolve(client)));
        });
    }

    goodbye(client: SMTPConnection): Promise<void> {
        return new Promise((resolve) => {
            client.once("end", () => resolve());
            client.quit();
        });
    }

    quiet(): Promise<() => void> {
        return Promise.reject(new Misuse("SMTP has no mailboxes to follow"));
    }

    ask(client: SMTPConnection): void {
        // Nodemailer has no NOOP; between messages RSET is none the less.
        void this.#next(() => reset(client));
    }

    isLost(): boolean {
        return false;
    }

    askAgain(): Promise<void> {
        return Promise.resolve();
    }
}
