/** What the errors of mail libraries stand for. */
import {
    type Advice,
    type Cause,
    type Certainty,
    type Failure,
    failureOfHost,
    failureOfReply,
    failureOfTls,
    type MailProtocol,
    type Names,
    type Phase,
    readRejection,
    type Rejection,
    type Said,
} from "./core";
import { ConfigError, LoginFailed, MailbearerError, MailboxRefused, SessionEnded, TokenSourceFailed } from "./errors";
import { saidBy, shown, withoutTokens } from "./foreign";
import { known, type OptionsOf, takes } from "./options";
import { codeOf, connectFailure, handshakeFailure, isOfTls } from "./system";

/** As in the core: no server makes anybody wait for longer than a day. */
const LONGEST_WAIT_MS = 24 * 60 * 60 * 1000;

/** What is known besides the error itself. */
export interface ExplainOptions extends Names {
    /** Which protocol was spoken; left out: as the error tells. */
    readonly protocol?: MailProtocol | undefined;
    /** When in the dialogue it came; left out: as the error tells. */
    readonly phase?: Phase | undefined;
}

const OPTIONS: OptionsOf<ExplainOptions> = takes("explain", {
    protocol: "string",
    phase: "string",
    user: "string",
    host: "string",
});

/** What an error stands for. */
export interface Explanation {
    /** What happened: one of {@link CAUSES}. */
    readonly cause: Cause;
    /** What to do: one of {@link ADVICES}. */
    readonly advice: Advice;
    /** How sure that is; never `stated` where the error does not tell the server's status. */
    readonly certainty: Certainty;
    /** All of it in a sentence that a person can act on. */
    readonly message: string;
    /** What the server said, without control characters. */
    readonly serverText: string;
    readonly code?: string;
    readonly rejection?: Rejection;
    /** The least wait that the server asked for, in milliseconds. */
    readonly waitMs?: number;
    /** An address that the server names: show it, do not follow it. */
    readonly url?: string;
}

/**
 * Says what an error stands for that a mail library threw: ImapFlow, Nodemailer, `imap` (node-imap), POP3 clients, Node
 * itself, OpenSSL, and mailbearer. A reply of the server, as text, is taken too.
 *
 *     try {
 *         await client.connect();                               // an ImapFlow of your own
 *     } catch (error) {
 *         const { cause, advice, message } = explain(error);    // "token_rejected", "refresh_token", "The server refused …"
 *     }
 *
 * Give `user` and `host` where you know them: what they are called is no word of the server. What is not understood is
 * `unrecognized`; nothing is claimed that the error does not tell.
 */
export function explain(error: unknown, options: ExplainOptions = {}): Explanation {
    known(options, OPTIONS, "options of explain");
    const found = failureOf(error, options);
    // An error is a fault, whatever its text begins with: `250 items were lost`.
    const isClaim = found.cause === "no_fault" && error instanceof Error && !(error instanceof MailbearerError);
    const { sentence, detail: _, ...failure } = isClaim ? notKnown(error) : found;
    return { ...failure, message: sentence };
}

/** An error has a cause, which has a cause: no more than these are looked at. */
const CAUSES_DEEP = 5;

/** What libraries put into their errors. Every field may be missing, or of another type. */
type Fields = Readonly<Record<string, unknown>>;
type Reader = (fields: Fields, options: ExplainOptions) => Failure | undefined;

/** The same, as the core tells it. @internal */
export function failureOf(error: unknown, options: ExplainOptions, deep = CAUSES_DEEP): Failure {
    const fields: Fields = typeof error === "object" && error !== null ? (error as Fields) : { message: error };
    for (const read of READERS) {
        const failure = read(fields, options);
        if (failure !== undefined) {
            return failure;
        }
    }
    const { cause } = fields;
    const below = cause !== undefined && deep > 0 ? failureOf(cause, options, deep - 1) : undefined;
    return below === undefined || below.cause === "unrecognized" ? ofText(error, fields, options) : below;
}

const READERS: readonly Reader[] = [ofMailbearer, ofReply, ofTls, ofSystem, ofLibrary];

// ---- mailbearer's own ------------------------------------------------------------------------------------------------

function ofMailbearer(fields: Fields): Failure | undefined {
    if (!(fields instanceof MailbearerError)) {
        return undefined;
    }
    const sentence = fields.message;
    if (fields instanceof LoginFailed) {
        return fields.failure;
    }
    if (fields instanceof SessionEnded) {
        const { rule: _, ...verdict } = fields.verdict;
        return { ...verdict, serverText: "", detail: "", sentence };
    }
    if (fields instanceof TokenSourceFailed) {
        const failure = failureOfHost("token_unavailable", sentence);
        return fields.permanent ? failure : { ...failure, advice: "back_off" };
    }
    if (fields instanceof MailboxRefused) {
        const { serverCode: code, serverText } = fields;
        const said = { status: "NO", code, text: serverText };
        return { ...failureOfReply("imap", "mid_session", said, {}), sentence };
    }
    const advice = fields instanceof ConfigError ? "fix_configuration" : "give_up";
    return { ...failureOfHost("unrecognized", ""), advice, sentence };
}

// ---- Replies whose status was seen -----------------------------------------------------------------------------------

/** A reply, and where in the dialogue it came. */
interface Reply {
    readonly protocol: MailProtocol;
    readonly phase: Phase;
    readonly said: Said;
}

function ofReply(fields: Fields, options: ExplainOptions): Failure | undefined {
    const reply =
        imapReply(fields) ??
        smtpReply(fields) ??
        pop3Reply(fields) ??
        line(textOf(fields, "response", "message"), fields);
    if (reply === undefined) {
        return undefined;
    }
    const failure = told(reply, options);
    const [challenge, wait] = [fields["oauthError"], fields["throttleReset"]];
    return {
        ...failure,
        // ImapFlow has read the error challenge.
        ...(typeof challenge === "object" &&
            challenge !== null && { rejection: readRejection(withoutTokens(JSON.stringify(challenge))) }),
        ...(typeof wait === "number" && { waitMs: Math.min(wait, LONGEST_WAIT_MS) }),
    };
}

function told({ protocol, phase, said }: Reply, options: ExplainOptions): Failure {
    const { user, host } = options;
    const text = withoutTokens(said.text);
    return failureOfReply(options.protocol ?? protocol, options.phase ?? phase, { ...said, text }, { user, host });
}

/** ImapFlow: `responseStatus`, `serverResponseCode`, `responseText`, `executedCommand`; node-imap: `type`, `textCode`. */
function imapReply(fields: Fields): Reply | undefined {
    const status = textOf(fields, "responseStatus", "type")?.toUpperCase();
    if (status !== "NO" && status !== "BAD" && status !== "BYE") {
        return undefined;
    }
    const said = { status, code: imapCode(fields), text: textOf(fields, "responseText", "reason", "message") ?? "" };
    return { protocol: "imap", phase: status === "BYE" ? "disconnect" : phaseOf(fields), said };
}

/** node-imap gives a code with arguments as an object. */
function imapCode(fields: Fields): string | undefined {
    const { textCode } = fields;
    const code = typeof textCode === "object" && textCode !== null ? textOf(textCode as Fields, "key") : undefined;
    return code ?? textOf(fields, "serverResponseCode", "textCode");
}

/** Nodemailer: `response`, which is all lines of it, or `responseCode`, and `command`. */
function smtpReply(fields: Fields): Reply | undefined {
    const text = textOf(fields, "response", "message") ?? "";
    const [phase, { responseCode }] = [phaseOf(fields), fields];
    if (/^[2-5]\d\d(?:[ -]|$)/.test(text)) {
        return { protocol: "smtp", phase, said: { text } };
    }
    return typeof responseCode === "number"
        ? { protocol: "smtp", phase, said: { status: String(responseCode), text } }
        : undefined;
}

/** node-pop3 takes `-ERR` away, and calls it an error; those of the socket too, which have a code. */
function pop3Reply(fields: Fields): Reply | undefined {
    if (fields["eventName"] !== "error" || fields["code"] !== undefined) {
        return undefined;
    }
    return { protocol: "pop3", phase: phaseOf(fields), said: { text: `-ERR ${textOf(fields, "message") ?? ""}` } };
}

/** A line of a server as it came: of POP3, or of IMAP. Its tag has a number, as with all clients. */
function line(text: string | undefined, fields: Fields): Reply | undefined {
    const [pop3] = /-ERR\b.*/s.exec(text ?? "") ?? [];
    if (pop3 !== undefined) {
        return { protocol: "pop3", phase: phaseOf(fields), said: { text: pop3 } };
    }
    const [imap, status] = /^(?:\*|[A-Za-z]*\d+[A-Za-z]*) (NO|BAD|BYE)\b.*/s.exec(text ?? "") ?? [];
    const phase = status === "BYE" ? "disconnect" : phaseOf(fields);
    return imap === undefined ? undefined : { protocol: "imap", phase, said: { text: imap } };
}

/** What was being done: the login, where the error says so or says nothing. */
function phaseOf(fields: Fields): Phase {
    const command = textOf(fields, "command", "executedCommand")?.replace(/^[A-Za-z]*\d+[A-Za-z]* /, "");
    const isLogin = fields["authenticationFailed"] === true || fields["source"] === "authentication";
    if (isLogin || fields["code"] === "EAUTH" || (command === undefined && fields["source"] === undefined)) {
        return "auth_fail";
    }
    if (/^(AUTH|LOGIN|USER|PASS|APOP)/i.test(command ?? "")) {
        return "auth_fail";
    }
    if (command === "CONN") {
        return "greeting";
    }
    return /^(EHLO|HELO|LHLO|STARTTLS|STLS|CAPA)/i.test(command ?? "") ? "capability" : "mid_session";
}

// ---- What the system and OpenSSL say ---------------------------------------------------------------------------------

function ofTls(fields: Fields): Failure | undefined {
    const message = textOf(fields, "message") ?? "";
    if (fields instanceof Error && isOfTls(fields)) {
        return handshakeFailure(fields);
    }
    if (/does not support STARTTLS/.test(message)) {
        return failureOfHost("tls_refused", "");
    }
    // Nodemailer puts its own code over the one of Node.
    const isTls = fields["tlsFailed"] === true || fields["code"] === "ETLS";
    const isCertificate = fields["code"] === "ESOCKET" && /certificate/i.test(message);
    return isTls || isCertificate ? failureOfTls(message, message) : undefined;
}

function ofSystem(fields: Fields): Failure | undefined {
    if (!(fields instanceof Error)) {
        return undefined;
    }
    const { syscall } = fields as NodeJS.ErrnoException;
    if (fields instanceof AggregateError || syscall === "connect" || syscall?.startsWith("getaddrinfo")) {
        return connectFailure(fields);
    }
    return LOST.includes(codeOf(fields) ?? "") ? failureOfHost("connection_lost", fields.message) : undefined;
}

const LOST = ["ECONNRESET", "EPIPE", "ECONNABORTED", "ERR_SOCKET_CLOSED", "ERR_STREAM_DESTROYED"];

// ---- What the libraries say by themselves ----------------------------------------------------------------------------

function ofLibrary(fields: Fields, options: ExplainOptions): Failure | undefined {
    const message = textOf(fields, "message") ?? "";
    const reason = textOf(fields, "reason");
    if (fields["code"] === "NoConnection" && reason !== undefined && reason !== IMAPFLOW_NO_REASON) {
        return told({ protocol: "imap", phase: "disconnect", said: { status: "BYE", text: reason } }, options);
    }
    const code = textOf(fields, "code", "source", "eventName") ?? "";
    const cause = LIBRARIES[code] ?? (code.startsWith("ParserError") ? "protocol_violation" : undefined);
    if (cause !== undefined) {
        return failureOfHost(cause, shown(message));
    }
    return message === "Unsupported authentication mechanism" ? failureOfHost("mechanism_unavailable", "") : undefined;
}

/** ImapFlow says so where a server says nothing. */
const IMAPFLOW_NO_REASON = "Server closed connection";

const LIBRARIES: Record<string, Cause | undefined> = {
    // ImapFlow
    NoConnection: "connection_lost",
    EConnectionClosed: "connection_lost",
    ClosedAfterConnectText: "connection_lost",
    ClosedAfterConnectTLS: "connection_lost",
    CONNECT_TIMEOUT: "timed_out",
    GREETING_TIMEOUT: "timed_out",
    UPGRADE_TIMEOUT: "timed_out",
    ETIMEOUT: "timed_out",
    STARTTLS_INJECTION: "plaintext_injected",
    LineTooLarge: "limit_exceeded",
    LiteralTooLarge: "limit_exceeded",
    ResponseTooLarge: "limit_exceeded",
    TooManyTokens: "limit_exceeded",
    TooManyResponses: "limit_exceeded",
    MAX_IMAP_NESTING_REACHED: "limit_exceeded",
    InvalidResponse: "protocol_violation",
    UnexpectedTag: "protocol_violation",
    MissingTag: "protocol_violation",
    // Nodemailer
    ECONNECTION: "connection_lost",
    ESOCKET: "connection_lost",
    ETIMEDOUT: "timed_out",
    EDNS: "host_not_found",
    EPROTOCOL: "protocol_violation",
    ENOAUTH: "token_unavailable",
    EOAUTH2: "token_unavailable",
    EABORT: "cancelled",
    // node-imap, which names a source; node-pop3 has the first too
    timeout: "timed_out",
    "timeout-auth": "timed_out",
    socket: "connection_lost",
    // node-pop3, which names an event
    end: "connection_lost",
    close: "connection_lost",
    "bad-server-response": "protocol_violation",
    // Node
    ABORT_ERR: "cancelled",
};

// ---- Text whose status was not seen ----------------------------------------------------------------------------------

function ofText(error: unknown, fields: Fields, options: ExplainOptions): Failure {
    const code = imapCode(fields);
    const protocol = options.protocol ?? (code === undefined ? undefined : "imap");
    if (protocol === undefined) {
        return notKnown(error);
    }
    const text = textOf(fields, "responseText", "response", "message") ?? "";
    return told({ protocol, phase: phaseOf(fields), said: { code, text } }, options);
}

function notKnown(error: unknown): Failure {
    const sentence = `This is no error of a mail server or library that is known here: ${saidBy(error)}.`;
    return { ...failureOfHost("unrecognized", ""), sentence };
}

/** The first of these fields that is a text with something in it. */
function textOf(fields: Fields, ...names: string[]): string | undefined {
    return names.map((name) => fields[name]).find((value) => typeof value === "string" && value !== "") as
        string | undefined;
}
