/** One connection, kept logged in. */
import { inspect } from "node:util";
import { ConfigError } from "../errors";
import { kindOf } from "../foreign";
import { enter, native, numeric, octets, optionalNumeric, optionalText, text } from "../native";
import { known, type OptionsOf } from "../options";
import { checked, LOGIN_SETTINGS, type LoginSettings, type Mechanism } from "./login";
import { masked } from "./mask";
import { AccessToken } from "./token";
import type { Aftermath, Cause, Failure, Verdict } from "./verdict";

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

const SETTINGS: OptionsOf<SessionSettings> = {
    ...(Object.fromEntries(TIMES.map((name) => [name, "number"])) as Record<(typeof TIMES)[number], "number">),
    endsWithToken: "boolean",
    login: "string",
    renewal: "string",
};

const OPTIONS: OptionsOf<ConstructorParameters<typeof Session>[1]> = {
    seed: "bigint",
    policy: "object",
    snapshot: "own",
    nowMs: "number",
};

export function checkedPolicy(policy: SessionSettings): native.JsPolicy {
    known(policy, SETTINGS, "policy");
    const times = Object.fromEntries(TIMES.map((name) => [name, optionalNumeric(policy[name], name)]));
    return {
        ...times,
        endsWithToken: policy.endsWithToken,
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
        options: {
            seed: bigint;
            policy?: SessionSettings | undefined;
            snapshot?: Uint8Array | undefined;
            nowMs?: number | undefined;
        },
    ) {
        known(settings, LOGIN_SETTINGS, "settings");
        known(options, OPTIONS, "options");
        if (typeof options.seed !== "bigint") {
            throw new ConfigError(`seed must be a bigint, not ${kindOf(options.seed)}`);
        }
        const [given, policy] = [checked(settings), checkedPolicy(options.policy ?? {})];
        const snapshot = options.snapshot === undefined ? undefined : octets(options.snapshot, "snapshot");
        const nowMs = numeric(options.nowMs ?? 0, "nowMs");
        this.#native = enter(() => new native.NativeSession(given, policy, options.seed, nowMs, snapshot));
    }

    /** Begins, or goes on after a stop: a person has acted. */
    start(nowMs: number): Plan {
        return this.#plan(nowMs, () => this.#native.start(nowMs));
    }

    /** Ends: what is open is closed. */
    stop(nowMs: number): Plan {
        return this.#plan(nowMs, () => this.#native.stop(nowMs));
    }

    /** The time of `wakeAtMs` has come; an early one is harmless. */
    tick(nowMs: number): Plan {
        return this.#plan(nowMs, () => this.#native.tick(nowMs));
    }

    /** The machine slept, or moved to another network. */
    woke(nowMs: number): Plan {
        return this.#plan(nowMs, () => this.#native.woke(nowMs));
    }

    /** The source gave a token, which lives for `expiresInMs` where it says so. */
    token(nowMs: number, request: number, token: string | AccessToken, expiresInMs?: number): Plan {
        const secret = AccessToken.native(token);
        const [number, lives] = [numeric(request, "request"), optionalNumeric(expiresInMs, "expiresInMs")];
        return this.#plan(nowMs, () => this.#native.token(nowMs, number, secret, lives));
    }

    /** The source gave none; `permanent`: a person must act. */
    tokenFailed(nowMs: number, request: number, permanent: boolean): Plan {
        const number = numeric(request, "request");
        return this.#plan(nowMs, () => this.#native.tokenFailed(nowMs, number, Boolean(permanent)));
    }

    /** TCP is there, with TLS where that is implicit. */
    connected(nowMs: number, ticket: number): Plan {
        const number = numeric(ticket, "ticket");
        return this.#plan(nowMs, () => this.#native.connected(nowMs, number));
    }

    /** The handshake of STARTTLS is done. */
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

    /** The mail client has let the connection go. */
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

    /** How the session stands. */
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
