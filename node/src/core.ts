/** The machines and pure functions of the core, with exact types. */
import { inspect } from "node:util";
import { kindOf } from "./foreign";
import {
    enter,
    known,
    native,
    numeric,
    octets,
    optionalNumeric,
    optionalText,
    optionalTexts,
    text,
    texts,
} from "./native";
import { ConfigError } from "./errors";

export type MailProtocol = "imap" | "pop3" | "smtp";
export type Tls = "implicit" | "starttls";
export type Mechanism = "XOAUTH2" | "OAUTHBEARER";
export type InitialResponse = "auto" | "never" | "always";

/** What can be the cause of a failure or of the end of a session. */
export const CAUSES = [
    "no_fault",
    "token_rejected",
    "token_expired",
    "token_unavailable",
    "insufficient_scope",
    "mechanism_unavailable",
    "initial_response_refused",
    "tls_refused",
    "tls_failed",
    "wrong_service",
    "wrong_tls_mode",
    "plaintext_injected",
    "preauthenticated",
    "protocol_disabled",
    "account_disabled",
    "policy_blocked",
    "app_password_required",
    "interaction_required",
    "user_name_refused",
    "client_name_refused",
    "too_many_connections",
    "rate_limited",
    "unavailable",
    "mailbox_locked",
    "not_connected",
    "line_too_long",
    "session_limit",
    "idle_timeout",
    "session_ended",
    "shutdown",
    "connection_lost",
    "host_not_found",
    "connection_refused",
    "unreachable",
    "timed_out",
    "limit_exceeded",
    "protocol_violation",
    "cancelled",
    "unrecognized",
] as const;
export type Cause = (typeof CAUSES)[number];

/** What to do about it. */
export const ADVICES = [
    "refresh_token",
    "reconnect",
    "back_off",
    "ask_user",
    "fix_configuration",
    "give_up",
    "proceed",
] as const;
export type Advice = (typeof ADVICES)[number];

/** How sure that is: the server said so; a code or the clock implies it; it is the default. */
export const CERTAINTIES = ["stated", "inferred", "guessed"] as const;
export type Certainty = (typeof CERTAINTIES)[number];

/** What the server's error challenge said. It is data of the server: nothing here follows a URL. */
export interface Rejection {
    readonly status?: string;
    readonly scope?: string;
    readonly schemes?: string;
    readonly openidConfiguration?: string;
}

/** Why something did not work. */
export interface Failure {
    readonly cause: Cause;
    readonly advice: Advice;
    readonly certainty: Certainty;
    /** What the server said, without control characters and tokens. */
    readonly serverText: string;
    /** The server's own code for it, as in `535` or `AUTHENTICATIONFAILED`. */
    readonly code?: string;
    readonly rejection?: Rejection;
    /** The least wait that the server asked for, in milliseconds. */
    readonly waitMs?: number;
    /** Where the user is to log in, as the server says: show it, do not follow it. */
    readonly url?: string;
    /** All of it in a sentence that a person can act on. */
    readonly sentence: string;
}

/** What a reply of the server means. */
export interface Verdict {
    readonly cause: Cause;
    readonly advice: Advice;
    readonly certainty: Certainty;
    /** The name of the rule that decided. */
    readonly rule: string;
    readonly waitMs?: number;
    readonly url?: string;
}

/** The mailbox that an IMAP session had selected. */
export interface Mailbox {
    readonly name: string;
    readonly readOnly: boolean;
    readonly uidValidity?: number;
    readonly uidNext?: number;
    /** A bigint: it has 63 bits (RFC 7162). */
    readonly highestModSeq?: bigint;
}

/** What was in flight when a session ended. */
export type Aftermath =
    | {
          readonly protocol: "imap";
          readonly selected?: Mailbox;
          readonly idling: boolean;
          /** The commands that have no answer. */
          readonly unanswered: readonly string[];
      }
    /** A cut before QUIT undoes deletions. */
    | { readonly protocol: "pop3"; readonly uncommittedDeletes: readonly number[] }
    /** `not_accepted`: safe to send again. `unknown`: ask before sending again. */
    | { readonly protocol: "smtp"; readonly submission: "idle" | "not_accepted" | "unknown" };

/** A login that worked. */
export interface Authenticated {
    readonly mechanism: Mechanism;
    readonly capabilities: readonly string[];
    /** Octets that came behind the login: they belong to the mail client. */
    readonly leftover: Buffer;
}

/** What the host does next: write `send`, which it does not log where it is `sensitive`, and then `next`. */
export type Step = { readonly send: Buffer; readonly sensitive: boolean } & (
    | { readonly next: "read" | "start_tls" }
    | { readonly next: "done"; readonly authenticated: Authenticated }
    | { readonly next: "failed"; readonly failure: Failure }
);

/** An access token that is checked and never shown: not by `String()`, `JSON.stringify` or `console.log`. */
export class AccessToken {
    readonly #native: native.NativeAccessToken;

    constructor(token: string) {
        const checked = text(token, "token");
        this.#native = enter(() => new native.NativeAccessToken(checked));
    }

    /** Whether it is the same token. */
    equals(other: AccessToken): boolean {
        return this.#native.equals(other.#native);
    }

    toString(): string {
        return this.#native.description();
    }

    toJSON(): string {
        return this.toString();
    }

    [inspect.custom](): string {
        return `AccessToken ${this.toString()}`;
    }

    /** @internal */
    static native(token: string | AccessToken): native.NativeAccessToken {
        return (token instanceof AccessToken ? token : new AccessToken(token)).#native;
    }
}

/** The settings of a login, for the machines. */
export interface LoginSettings {
    readonly protocol: MailProtocol;
    readonly user: string;
    readonly host: string;
    readonly port?: number | undefined;
    readonly tls?: Tls | undefined;
    readonly authzid?: string | undefined;
    readonly mechanisms?: readonly Mechanism[] | undefined;
    readonly initialResponse?: InitialResponse | undefined;
    readonly ehloName?: string | undefined;
    readonly assumedCapabilities?: readonly string[] | undefined;
}

const LOGIN_SETTINGS = [
    "protocol",
    "user",
    "host",
    "port",
    "tls",
    "authzid",
    "mechanisms",
    "initialResponse",
    "ehloName",
    "assumedCapabilities",
];

function checked(settings: LoginSettings): native.JsSettings {
    return {
        protocol: text(settings.protocol, "protocol"),
        user: text(settings.user, "user"),
        host: text(settings.host, "host"),
        port: optionalNumeric(settings.port, "port"),
        tls: optionalText(settings.tls, "tls"),
        authzid: optionalText(settings.authzid, "authzid"),
        mechanisms: optionalTexts(settings.mechanisms, "mechanisms"),
        initialResponse: optionalText(settings.initialResponse, "initialResponse"),
        ehloName: optionalText(settings.ehloName, "ehloName"),
        assumedCapabilities: optionalTexts(settings.assumedCapabilities, "assumedCapabilities"),
    };
}

/** Checks the settings of a login, and gives the name that EHLO gives with them. */
export function checkedEhloName(settings: LoginSettings): string {
    const given = checked(settings);
    return enter(() => native.checkedEhloName(given));
}

/**
 * From the greeting to authenticated: octets in, one step out. It has no socket and no clock.
 *
 * After each read of the socket give the octets to {@link receive}, write what the step says, and do its `next`.
 */
export class Negotiation {
    readonly #native: native.NativeNegotiation;

    constructor(settings: LoginSettings, token: string | AccessToken) {
        known(settings, LOGIN_SETTINGS, "settings");
        const [given, secret] = [checked(settings), AccessToken.native(token)];
        this.#native = enter(() => new native.NativeNegotiation(given, secret));
    }

    /** Takes what one read of the socket brought. */
    receive(data: Uint8Array): Step {
        const bytes = octets(data, "data");
        return masked(enter(() => this.#native.receive(bytes)) as Step);
    }

    /** The TLS handshake that a step asked for is done. */
    tlsEstablished(): Step {
        return masked(enter(() => this.#native.tlsEstablished()) as Step);
    }

    /** The connection reached its end. */
    closed(): Step {
        return masked(enter(() => this.#native.closed()) as Step);
    }

    /** Masks the token in text of the server that is to be logged. */
    redact(serverText: string): string {
        const given = text(serverText, "serverText");
        return enter(() => this.#native.redact(given));
    }

    /** Where it stands. */
    get state(): string {
        return enter(() => this.#native.state());
    }

    [inspect.custom](): string {
        return `Negotiation { state: '${this.state}' }`;
    }
}

/** Makes sure that `console.log` does not show what carries the token. */
function masked<T extends { readonly sensitive: boolean }>(order: T): T {
    return order.sensitive ? Object.defineProperties(order, MASK) : order;
}

const hidden = { value: () => "<octets with the token>" };
const MASK = { [inspect.custom]: hidden, toJSON: hidden };

/** After login: says when the server ends the session, and what was in flight. It alters and delays nothing. */
export class Watch {
    readonly #native: native.NativeWatch;

    constructor(protocol: MailProtocol) {
        const given = text(protocol, "protocol");
        this.#native = enter(() => new native.NativeWatch(given));
    }

    /** Octets from the server: the verdict when they end the session, and octets of content that may be {@link skipped}. */
    received(data: Uint8Array): { ending?: Verdict; skip: number } {
        const bytes = octets(data, "data");
        return enter(() => this.#native.received(bytes)) as { ending?: Verdict; skip: number };
    }

    /** Octets of content that were passed by. */
    skipped(count: number): void {
        const given = numeric(count, "count");
        enter(() => this.#native.skipped(given));
    }

    /** Octets that the client wrote. */
    sent(data: Uint8Array): void {
        const bytes = octets(data, "data");
        enter(() => this.#native.sent(bytes));
    }

    /** The connection reached its end: why, as far as the octets tell. */
    closed(): Verdict {
        return enter(() => this.#native.closed()) as Verdict;
    }

    /** What was in flight. */
    aftermath(): Aftermath {
        return enter(() => this.#native.aftermath()) as Aftermath;
    }

    /** Whether the mail client waits for no answer. */
    get isQuiet(): boolean {
        return enter(() => this.#native.isQuiet());
    }
}

/** A line of a {@link Transcript}. */
export interface TraceLine {
    /** `C`: the client; `S`: the server. */
    readonly side: "C" | "S";
    /** What was said, without line end, token and hidden characters. */
    readonly text: string;
}

/**
 * Turns the octets of one connection into lines that may be logged: the token of its login is masked wherever a server
 * repeats it, however the octets were cut on their way. A line comes out when its end has come.
 *
 *     const transcript = new Transcript(token);
 *     for (const { side, text } of transcript.received(data)) console.log(`${side}: ${text}`);
 */
export class Transcript {
    readonly #native: native.NativeTranscript;

    constructor(token: string | AccessToken) {
        const secret = AccessToken.native(token);
        this.#native = enter(() => new native.NativeTranscript(secret));
    }

    /** Octets that were written. Where they are `sensitive`, as a step says, the last word of a line is the token. */
    sent(data: Uint8Array, sensitive: boolean): TraceLine[] {
        const bytes = octets(data, "data");
        return enter(() => this.#native.sent(bytes, Boolean(sensitive))) as TraceLine[];
    }

    /** Octets that one read brought. */
    received(data: Uint8Array): TraceLine[] {
        const bytes = octets(data, "data");
        return enter(() => this.#native.received(bytes)) as TraceLine[];
    }

    /** Lines that have no end yet: before a TLS handshake, and when the dialogue is over. */
    flush(): TraceLine[] {
        return enter(() => this.#native.flush()) as TraceLine[];
    }
}

/** An order of a {@link Session}. See `docs/life-of-a-session.md` for what the host does, and how it answers. */
export type Action =
    | {
          readonly kind: "fetch_token";
          readonly request: number;
          readonly why: "login" | "renewal" | "replacement";
          readonly forceRefresh: boolean;
      }
    | { readonly kind: "connect"; readonly ticket: number; readonly attempt: number }
    | { readonly kind: "send"; readonly ticket: number; readonly bytes: Buffer; readonly sensitive: boolean }
    | { readonly kind: "start_tls"; readonly ticket: number }
    | {
          readonly kind: "online";
          readonly ticket: number;
          readonly generation: number;
          /** Left out where the host logged in by itself. */
          readonly mechanism?: Mechanism;
          readonly capabilities: readonly string[];
          readonly leftover: Buffer;
          /** What was in flight in the session before. */
          readonly resumed?: Aftermath;
      }
    | {
          readonly kind: "renew";
          readonly ticket: number;
          readonly byMs: number;
          readonly why: "token_expiry" | "session_limit" | "learnt_limit";
      }
    | { readonly kind: "close"; readonly ticket: number; readonly cause: Cause }
    | { readonly kind: "needs_user" | "give_up"; readonly failure: Failure };

/** Orders, and when to come back with {@link Session.tick}. */
export interface Plan {
    readonly actions: readonly Action[];
    readonly wakeAtMs?: number;
    readonly wakeReason?: string;
    /** Octets of message content that come next on this connection, and need not be shown. */
    readonly skip: number;
}

/** How a session stands. */
export interface Status {
    readonly phase: string;
    readonly generation: number;
    readonly ticket?: number;
    readonly onlineSinceMs?: number;
    readonly endsAtMs?: number;
    readonly retryAtMs?: number;
    readonly failures: number;
    readonly learntSessionMs?: number;
    readonly learntEndsWithToken?: boolean;
    readonly lastFailure?: Failure;
    readonly lastEnding?: Verdict;
}

/** Limits and times of a {@link Session}, in milliseconds. */
export interface SessionSettings {
    readonly sessionMs?: number | undefined;
    readonly endsWithToken?: boolean | undefined;
    readonly idleMs?: number | undefined;
    readonly connections?: number | undefined;
    readonly tokenLifetimeMs?: number | undefined;
    readonly leadMs?: number | undefined;
    readonly tokenLifeLeastMs?: number | undefined;
    readonly tokenTimeoutMs?: number | undefined;
    readonly loginTimeoutMs?: number | undefined;
    readonly backoffBaseMs?: number | undefined;
    readonly backoffMaxMs?: number | undefined;
    readonly stableAfterMs?: number | undefined;
    readonly loginIntervalMs?: number | undefined;
    readonly login?: "session" | "host" | undefined;
    readonly renewal?: "ahead" | "at_end" | "overlap" | undefined;
}

const TIMES = [
    "sessionMs",
    "idleMs",
    "connections",
    "tokenLifetimeMs",
    "leadMs",
    "tokenLifeLeastMs",
    "tokenTimeoutMs",
    "loginTimeoutMs",
    "backoffBaseMs",
    "backoffMaxMs",
    "stableAfterMs",
    "loginIntervalMs",
] as const;

function checkedPolicy(policy: SessionSettings): native.JsPolicy {
    known(policy, [...TIMES, "endsWithToken", "login", "renewal"], "policy");
    const ends: unknown = policy.endsWithToken;
    if (ends !== undefined && typeof ends !== "boolean") {
        throw new ConfigError(`endsWithToken must be a boolean, not ${kindOf(ends)}`);
    }
    const times = Object.fromEntries(TIMES.map((name) => [name, optionalNumeric(policy[name], name)]));
    return {
        ...times,
        endsWithToken: ends,
        login: optionalText(policy.login, "login"),
        renewal: optionalText(policy.renewal, "renewal"),
    };
}

/**
 * Keeps one mailbox connection logged in: facts and time in, a {@link Plan} out. It has no socket, no clock and no timer.
 *
 * `nowMs` is milliseconds of any clock that goes on while the machine sleeps, as a whole number.
 */
export class Session {
    readonly #native: native.NativeSession;

    constructor(
        settings: LoginSettings,
        options: { seed: bigint; policy?: SessionSettings; snapshot?: Uint8Array | undefined; nowMs?: number },
    ) {
        known(settings, LOGIN_SETTINGS, "settings");
        known(options, ["seed", "policy", "snapshot", "nowMs"], "options");
        if (typeof options.seed !== "bigint") {
            throw new ConfigError(`seed must be a bigint, not ${kindOf(options.seed)}`);
        }
        const [given, policy] = [checked(settings), checkedPolicy(options.policy ?? {})];
        const snapshot = options.snapshot === undefined ? undefined : octets(options.snapshot, "snapshot");
        const nowMs = numeric(options.nowMs ?? 0, "nowMs");
        this.#native = enter(() => new native.NativeSession(given, policy, options.seed, nowMs, snapshot));
    }

    start(nowMs: number): Plan {
        return this.#plan(nowMs, () => this.#native.start(nowMs));
    }

    stop(nowMs: number): Plan {
        return this.#plan(nowMs, () => this.#native.stop(nowMs));
    }

    tick(nowMs: number): Plan {
        return this.#plan(nowMs, () => this.#native.tick(nowMs));
    }

    /** The machine slept, or moved to another network. */
    woke(nowMs: number): Plan {
        return this.#plan(nowMs, () => this.#native.woke(nowMs));
    }

    token(nowMs: number, request: number, token: string | AccessToken, expiresInMs?: number): Plan {
        const secret = AccessToken.native(token);
        const [number, lives] = [numeric(request, "request"), optionalNumeric(expiresInMs, "expiresInMs")];
        return this.#plan(nowMs, () => this.#native.token(nowMs, number, secret, lives));
    }

    tokenFailed(nowMs: number, request: number, permanent: boolean): Plan {
        const number = numeric(request, "request");
        return this.#plan(nowMs, () => this.#native.tokenFailed(nowMs, number, Boolean(permanent)));
    }

    connected(nowMs: number, ticket: number): Plan {
        const number = numeric(ticket, "ticket");
        return this.#plan(nowMs, () => this.#native.connected(nowMs, number));
    }

    tlsEstablished(nowMs: number, ticket: number): Plan {
        const number = numeric(ticket, "ticket");
        return this.#plan(nowMs, () => this.#native.tlsEstablished(nowMs, number));
    }

    /** The connection ended; with the last line of the server and the cause, where the host knows them. */
    ended(
        nowMs: number,
        ticket: number,
        known: { lastLine?: string | undefined; cause?: Cause | undefined } = {},
    ): Plan {
        const number = numeric(ticket, "ticket");
        const [line, cause] = [optionalText(known.lastLine, "lastLine"), optionalText(known.cause, "cause")];
        return this.#plan(nowMs, () => this.#native.ended(nowMs, number, line, cause));
    }

    /** The host logged in by itself. */
    authenticated(nowMs: number, ticket: number): Plan {
        const number = numeric(ticket, "ticket");
        return this.#plan(nowMs, () => this.#native.authenticated(nowMs, number));
    }

    /** The host tried to log in by itself, and the server refused. */
    refused(nowMs: number, ticket: number, reply: string): Plan {
        const [number, given] = [numeric(ticket, "ticket"), text(reply, "reply")];
        return this.#plan(nowMs, () => this.#native.refused(nowMs, number, given));
    }

    /** A line that the host's mail client saw: only for hosts that do not give the octets to {@link receive}. */
    line(nowMs: number, ticket: number, line: string): Plan {
        const [number, given] = [numeric(ticket, "ticket"), text(line, "line")];
        return this.#plan(nowMs, () => this.#native.line(nowMs, number, given));
    }

    drained(nowMs: number, ticket: number): Plan {
        const number = numeric(ticket, "ticket");
        return this.#plan(nowMs, () => this.#native.drained(nowMs, number));
    }

    /** Takes what one read of a connection brought. */
    receive(nowMs: number, ticket: number, data: Uint8Array): Plan {
        const [number, bytes] = [numeric(ticket, "ticket"), octets(data, "data")];
        return this.#plan(nowMs, () => this.#native.receive(nowMs, number, bytes));
    }

    /** Octets of content that were passed by. */
    skipped(ticket: number, count: number): void {
        const [number, given] = [numeric(ticket, "ticket"), numeric(count, "count")];
        enter(() => this.#native.skipped(number, given));
    }

    /** Octets that the mail client wrote. */
    sent(ticket: number, data: Uint8Array): void {
        const [number, bytes] = [numeric(ticket, "ticket"), octets(data, "data")];
        enter(() => this.#native.sent(number, bytes));
    }

    /** What was in flight. */
    aftermath(): Aftermath | undefined {
        return (enter(() => this.#native.aftermath()) ?? undefined) as Aftermath | undefined;
    }

    /** Whether the mail client waits for no answer. */
    get isQuiet(): boolean {
        return enter(() => this.#native.isQuiet());
    }

    /**
     * Masks every token that it holds, and the one of the last login, in text that is to be logged: the errors of a mail
     * library that logs in by itself may repeat it.
     */
    redact(message: string): string {
        const given = text(message, "message");
        return enter(() => this.#native.redact(given));
    }

    /** What must outlive the process. It holds no secret. */
    snapshot(): Buffer {
        return enter(() => this.#native.snapshot());
    }

    status(): Status {
        return enter(() => this.#native.status()) as Status;
    }

    [inspect.custom](): string {
        const status = this.status();
        return `Session { phase: '${status.phase}', generation: ${status.generation} }`;
    }

    #plan(nowMs: number, call: () => unknown): Plan {
        numeric(nowMs, "nowMs");
        const plan = enter(call) as Plan;
        for (const action of plan.actions) {
            if (action.kind === "send") {
                masked(action);
            }
        }
        return plan;
    }
}

/** When in a dialogue a reply came. */
export type Phase =
    "greeting" | "capability" | "auth_challenge" | "auth_ok" | "auth_fail" | "mid_session" | "disconnect";

/** Names that a reply may hold: they are no words of the server, whatever they mean. */
export interface Names {
    /** The user that logs in. */
    readonly user?: string | undefined;
    /** The server's host. */
    readonly host?: string | undefined;
}

/**
 * What a reply means. Give the `names` of the login where you know them: a user called `idle` is no idle session.
 *
 *     classify("imap", "mid_session", ["* BYE Session invalidated - AccessTokenExpired"]).cause   // "token_expired"
 */
export function classify(
    protocol: MailProtocol,
    phase: Phase,
    replyLines: readonly string[],
    names: Names = {},
): Verdict {
    const [dialect, when, lines] = [text(protocol, "protocol"), text(phase, "phase"), texts(replyLines, "replyLines")];
    const given = checkedNames(names);
    return enter(() => native.classify(dialect, when, lines, given)) as Verdict;
}

function checkedNames(names: Names): native.JsNames {
    known(names, ["user", "host"], "names");
    return { user: optionalText(names.user, "user"), host: optionalText(names.host, "host") };
}

/** A reply as a mail library hands it on: taken apart, and often in part. */
export interface Said {
    /** `NO`, `BAD`, `BYE`, `-ERR`, or the reply code of SMTP; left out where the library does not tell it. */
    readonly status?: string | undefined;
    readonly code?: string | undefined;
    readonly text: string;
}

/** What a reply means that a mail library hands on. */
export function failureOfReply(protocol: MailProtocol, phase: Phase, said: Said, names: Names): Failure {
    const given = checkedNames(names);
    return enter(() => native.explain(protocol, phase, said, given)) as Failure;
}

/** What an error challenge says: as it came over the wire (base64, with or without `+ ` or `334 `) or decoded. */
export function readRejection(challenge: string | Uint8Array): Rejection {
    // The JSON of a server that does not keep to UTF-8 is read as far as it goes.
    const given = challenge instanceof Uint8Array ? Buffer.from(challenge).toString() : text(challenge, "challenge");
    return enter(() => native.readRejection(given)) as Rejection;
}

/** The one SASL message, before base64. `OAUTHBEARER` needs the host. */
export function initialResponse(
    mechanism: Mechanism,
    identity: { user: string; authzid?: string | undefined; host?: string | undefined; port?: number | undefined },
    token: string | AccessToken,
): Buffer {
    known(identity, ["user", "authzid", "host", "port"], "identity");
    const secret = AccessToken.native(token);
    const [name, user] = [text(mechanism, "mechanism"), text(identity.user, "user")];
    const [host, port] = [optionalText(identity.host, "host"), optionalNumeric(identity.port, "port")];
    const authzid = optionalText(identity.authzid, "authzid");
    return enter(() => native.initialResponse(name, user, secret, host, port, authzid));
}

/** The answer to an error challenge, before base64. */
export function acknowledgement(mechanism: Mechanism): Buffer {
    const name = text(mechanism, "mechanism");
    return enter(() => native.acknowledgement(name));
}

/** What a provider has of a protocol. */
export interface Service {
    readonly protocol: MailProtocol;
    readonly host: string;
    readonly port?: number;
    readonly tls?: Tls;
    readonly mechanisms?: readonly Mechanism[];
    readonly scopes?: readonly string[];
    readonly initialResponse?: InitialResponse;
    readonly assumedCapabilities?: readonly string[];
    readonly sessionMs?: number;
    readonly endsWithToken?: boolean;
    readonly idleMs?: number;
    readonly connections?: number;
}

/** What is known of a mail provider. A program may make its own: it is a plain object. */
export interface Provider {
    readonly name: string;
    readonly domains: readonly string[];
    readonly tokenLifetimeMs?: number;
    readonly services: readonly Service[];
}

/** The providers that mailbearer knows. */
export const Provider = {
    /** Their names. */
    get names(): string[] {
        return enter(() => native.providerNames());
    },

    /** The profile of a name. */
    named(name: string): Provider {
        const given = text(name, "provider");
        return enter(() => native.providerNamed(given)) as Provider;
    },

    /** The provider of a mail address, where that is certain. */
    ofAddress(address: string): Provider | undefined {
        const given = text(address, "address");
        return (enter(() => native.providerOfAddress(given)) ?? undefined) as Provider | undefined;
    },

    /** A server of which nothing is known but its host. */
    generic(host: string): Provider {
        const given = text(host, "host");
        return enter(() => native.providerGeneric(given)) as Provider;
    },
} as const;

/** A failure that the host saw: of a deadline, of the token source, of the connection. */
export function failureOfHost(cause: Cause, detail: string): Failure {
    return enter(() => native.failureOfHost(cause, detail)) as Failure;
}

/** A connection that could not be opened: the system's name for it, and its words. */
export function failureOfConnect(error: string, words: string): Failure {
    return enter(() => native.failureOfConnect(error, words)) as Failure;
}

/** A TLS handshake that failed: OpenSSL's name for it, and what is told. */
export function failureOfTls(error: string, words: string): Failure {
    return enter(() => native.failureOfTls(error, words)) as Failure;
}

/** A certificate that fails: OpenSSL's reason, and its DER. */
export function failureOfCertificate(reason: string, certificate: Uint8Array): Failure {
    return enter(() => native.failureOfCertificate(reason, certificate)) as Failure;
}

/** How TLS begins at a port: as asked, else as the port is registered. */
export function tlsAtPort(protocol: MailProtocol, port: number, asked: Tls | undefined, unusualPort: boolean): Tls {
    return enter(() => native.tlsAtPort(protocol, port, asked, unusualPort)) as Tls;
}

/** What the host saw of the end of a session. */
export function verdictOfHost(cause: Cause): Verdict {
    return enter(() => native.verdictOfHost(cause)) as Verdict;
}

/** The version of this package. */
export const version: string = native.spellings().version;
