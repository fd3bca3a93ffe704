/** The sessions of one mailbox, and what they share. */
import { inspect } from "node:util";
import { ConfigError } from "../errors";
import { kindOf } from "../foreign";
import { enter, native, numeric, octets, optionalNumeric, text } from "../native";
import { known, type OptionsOf } from "../options";
import { checked, LOGIN_SETTINGS, type LoginSettings, type MailProtocol, type Mechanism } from "./login";
import { masked } from "./mask";
import { checkedPolicy, type SessionSettings, type Status } from "./session";
import { AccessToken } from "./token";
import type { Aftermath, Cause, Failure, Verdict } from "./verdict";

/** An order of an {@link AccountMachine}. See `docs/life-of-an-account.md` for what the host does, and how it answers. */
export type Order =
    | {
          readonly kind: "fetch_token";
          /** Comes back in the answer; a newer request takes the place of an older one. */
          readonly request: number;
          /** Whether a cached token is of no use. */
          readonly force: boolean;
          /** The token that a server would not take. */
          readonly refused?: AccessToken;
      }
    | { readonly kind: "open"; readonly ticket: number; readonly session: number; readonly attempt: number }
    | { readonly kind: "send"; readonly ticket: number; readonly bytes: Buffer; readonly sensitive: boolean }
    | { readonly kind: "start_tls" | "pause" | "close"; readonly ticket: number }
    | { readonly kind: "keep_alive" | "probe"; readonly ticket: number; readonly byMs: number };

/** What a program sees of an {@link AccountMachine}. */
export type Delivery =
    | {
          readonly kind: "give";
          readonly session: number;
          readonly ticket: number;
          /** Counts the connections of this session, from one. */
          readonly generation: number;
          readonly mechanism?: Mechanism;
          readonly capabilities: readonly string[];
          readonly leftover: Buffer;
          /** What was in flight in the connection before. */
          readonly resumed?: Aftermath;
      }
    | {
          readonly kind: "raise";
          readonly what: "needs_user" | "gave_up" | "mistake";
          readonly session: number;
          readonly failure: Failure;
          /** The token request whose answer it was. */
          readonly request?: number;
          /** The connection whose end it was. */
          readonly ticket?: number;
      }
    | { readonly kind: "end"; readonly session: number }
    | {
          readonly kind: "renew";
          readonly session: number;
          readonly ticket: number;
          readonly byMs: number;
          readonly why: "token_expiry" | "session_limit" | "learnt_limit";
      }
    | {
          readonly kind: "over";
          readonly session: number;
          readonly ticket: number;
          readonly verdict: Verdict;
          readonly aftermath?: Aftermath;
      }
    | ({ readonly kind: "event" } & AccountEvent);

/** What can happen to an account. */
export type EventKind =
    | "fetching_token"
    | "token_failed"
    | "connecting"
    | "login_failed"
    | "online"
    | "renewing"
    | "ended"
    | "waiting"
    | "limited"
    | "needs_user"
    | "gave_up"
    | "mistake";

/** Something that happened. It never carries a token. */
export interface AccountEvent {
    readonly what: EventKind;
    /** The session; left out: it is of the account. */
    readonly session?: number;
    readonly ticket?: number;
    /** The request to the token source. */
    readonly request?: number;
    readonly generation?: number;
    readonly cause?: Cause;
    readonly text?: string;
    readonly waitMs?: number;
}

/** Orders, to be carried out first; deliveries; and when to come back with {@link AccountMachine.tick}. */
export interface AccountPlan {
    readonly orders: readonly Order[];
    readonly deliveries: readonly Delivery[];
    readonly wakeAtMs?: number;
    /** Octets of message content that come next on this connection, and need not be shown. */
    readonly skip: number;
}

/** How a session of an account stands, as the program sees it. */
export type Standing = "unwanted" | "waiting" | "connecting" | "parked" | "given" | "renewing" | "stopped";

/** How one session of an account stands. */
export interface SessionStatus extends Status {
    readonly session: number;
    readonly protocol: MailProtocol;
    readonly standing: Standing;
    /** Whether somebody waits for a connection. */
    readonly isWanted: boolean;
    /** The connection that the program has. */
    readonly given?: number;
}

/** How an account stands, for logs and screens. */
export interface AccountStatus {
    /** In the order in which they were added. */
    readonly sessions: readonly SessionStatus[];
    readonly asksForToken: boolean;
    /** Why there is no token, while there is none. */
    readonly tokenFailure?: Failure;
    readonly tokenRetryAtMs?: number;
    /** What a person, or the program's author, must mend. */
    readonly stops: readonly Failure[];
}

/** Limits and times of an {@link AccountMachine}, in milliseconds; `Infinity`, where something is waited out for ever. */
export interface AccountSettings {
    readonly firstMs?: number | undefined;
    readonly laterMs?: number | undefined;
    readonly tokenLifetimeMs?: number | undefined;
    readonly tokenLifeLeastMs?: number | undefined;
    readonly tokenTimeoutMs?: number | undefined;
    readonly backoffBaseMs?: number | undefined;
    readonly backoffMaxMs?: number | undefined;
    readonly keepAlive?: boolean | undefined;
    readonly answerMs?: number | undefined;
    readonly unprobedNapMs?: number | undefined;
}

const TIMES = [
    "firstMs",
    "laterMs",
    "tokenLifetimeMs",
    "tokenLifeLeastMs",
    "tokenTimeoutMs",
    "backoffBaseMs",
    "backoffMaxMs",
    "answerMs",
    "unprobedNapMs",
] as const;

const SETTINGS: OptionsOf<AccountSettings> = {
    ...(Object.fromEntries(TIMES.map((name) => [name, "number"])) as Record<(typeof TIMES)[number], "number">),
    keepAlive: "boolean",
};

function checkedSettings(policy: AccountSettings): native.JsAccountPolicy {
    known(policy, SETTINGS, "policy");
    const { keepAlive } = policy;
    return { ...Object.fromEntries(TIMES.map((name) => [name, optionalNumeric(policy[name], name)])), keepAlive };
}

/** What makes an {@link AccountMachine}. */
export interface AccountMachineOptions {
    /** Decides all that is left to chance: another one for each account. */
    readonly seed: bigint;
    readonly policy?: AccountSettings | undefined;
    /** What {@link AccountMachine.snapshot} gave. */
    readonly snapshot?: Uint8Array | undefined;
    readonly nowMs?: number | undefined;
    /** Milliseconds since 1970, so that the time since a snapshot counts. */
    readonly wallMs?: number | undefined;
}

const OPTIONS: OptionsOf<AccountMachineOptions> = {
    seed: "bigint",
    policy: "object",
    snapshot: "own",
    nowMs: "number",
    wallMs: "number",
};

/**
 * Keeps one mailbox connected: its sessions, with one token, one limit of connections and one stop. Facts and time in, an
 * {@link AccountPlan} out. It has no socket, no clock, no timer and no token source.
 *
 * `nowMs` is milliseconds of any clock that goes on while the machine sleeps, as a whole number.
 */
export class AccountMachine {
    readonly #native: native.NativeAccount;

    constructor(options: AccountMachineOptions) {
        known(options, OPTIONS, "options");
        const { seed } = options;
        if (typeof seed !== "bigint") {
            throw new ConfigError(`seed must be a bigint, not ${kindOf(seed)}`);
        }
        const policy = checkedSettings(options.policy ?? {});
        const snapshot = options.snapshot === undefined ? undefined : octets(options.snapshot, "snapshot");
        const [now, wall] = [numeric(options.nowMs ?? 0, "nowMs"), numeric(options.wallMs ?? 0, "wallMs")];
        this.#native = enter(() => new native.NativeAccount(policy, seed, now, wall, snapshot));
    }

    /** Adds a session, and gives its key. Nothing is opened before it is wanted. */
    add(settings: LoginSettings, policy: SessionSettings = {}): number {
        known(settings, LOGIN_SETTINGS, "settings");
        const [given, limits] = [checked(settings), checkedPolicy(policy)];
        return enter(() => this.#native.add(given, limits));
    }

    /** Somebody waits for a connection of this session. One at a time. */
    want(nowMs: number, session: number): AccountPlan {
        return this.#about(nowMs, session, "session", (one) => this.#native.want(nowMs, one));
    }

    /** Nobody waits any more. */
    noLonger(nowMs: number, session: number): AccountPlan {
        return this.#about(nowMs, session, "session", (one) => this.#native.noLonger(nowMs, one));
    }

    /** The program is done with a connection. */
    letGo(nowMs: number, ticket: number): AccountPlan {
        return this.#about(nowMs, ticket, "ticket", (one) => this.#native.letGo(nowMs, one));
    }

    /** Ends one session. */
    remove(nowMs: number, session: number): AccountPlan {
        return this.#about(nowMs, session, "session", (one) => this.#native.remove(nowMs, one));
    }

    /** Ends all of them. */
    close(nowMs: number): AccountPlan {
        return this.#plan(nowMs, () => this.#native.close(nowMs));
    }

    /** A person, or the program, has acted: every stop is lifted. */
    retry(nowMs: number): AccountPlan {
        return this.#plan(nowMs, () => this.#native.retry(nowMs));
    }

    /** The system says that there is no network. */
    networkLost(nowMs: number): AccountPlan {
        return this.#plan(nowMs, () => this.#native.networkLost(nowMs));
    }

    /** The system says that there is a network again, or another one. */
    networkBack(nowMs: number): AccountPlan {
        return this.#plan(nowMs, () => this.#native.networkBack(nowMs));
    }

    /** The machine slept for so long. */
    slept(nowMs: number, ms: number): AccountPlan {
        return this.#about(nowMs, ms, "ms", (one) => this.#native.slept(nowMs, one));
    }

    /** The time of `wakeAtMs` has come. */
    tick(nowMs: number): AccountPlan {
        return this.#plan(nowMs, () => this.#native.tick(nowMs));
    }

    /** A connection is open, with TLS where that is implicit. */
    opened(nowMs: number, ticket: number): AccountPlan {
        return this.#about(nowMs, ticket, "ticket", (one) => this.#native.opened(nowMs, one));
    }

    /** The handshake of STARTTLS is done. */
    secured(nowMs: number, ticket: number): AccountPlan {
        return this.#about(nowMs, ticket, "ticket", (one) => this.#native.secured(nowMs, one));
    }

    /** A connection ended; with what the host itself saw of it. */
    ended(nowMs: number, ticket: number, failure?: Pick<Failure, "cause" | "detail">): AccountPlan {
        const problem =
            failure === undefined
                ? undefined
                : { cause: text(failure.cause, "cause"), detail: text(failure.detail, "detail") };
        return this.#about(nowMs, ticket, "ticket", (one) => this.#native.ended(nowMs, one, problem));
    }

    /** A probe was answered: only for hosts that do not show octets. */
    answered(nowMs: number, ticket: number): AccountPlan {
        return this.#about(nowMs, ticket, "ticket", (one) => this.#native.answered(nowMs, one));
    }

    /** The source gave a token, which lives for `livesMs` where it says so. */
    token(nowMs: number, request: number, token: string | AccessToken, livesMs?: number): AccountPlan {
        const [secret, lives] = [AccessToken.native(token), optionalNumeric(livesMs, "livesMs")];
        return this.#about(nowMs, request, "request", (one) => this.#native.token(nowMs, one, secret, lives));
    }

    /** The source has none: an `outage`, `permanent` (a person must act), or a `mistake` of the program; in its words. */
    noToken(nowMs: number, request: number, why: "outage" | "permanent" | "mistake", words: string): AccountPlan {
        const [reason, said] = [text(why, "why"), text(words, "words")];
        return this.#about(nowMs, request, "request", (one) => this.#native.noToken(nowMs, one, reason, said));
    }

    /** Takes what one read of a connection brought. */
    receive(nowMs: number, ticket: number, data: Uint8Array): AccountPlan {
        const bytes = octets(data, "data");
        return this.#about(nowMs, ticket, "ticket", (one) => this.#native.receive(nowMs, one, bytes));
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

    /** Masks every token that it holds, and those of the last logins, in text that is to be logged. */
    redact(message: string): string {
        const given = text(message, "message");
        return enter(() => this.#native.redact(given));
    }

    /** Whether the mail client waits for no answer on this connection. */
    isQuiet(ticket: number): boolean {
        const number = numeric(ticket, "ticket");
        return enter(() => this.#native.isQuiet(number));
    }

    /** Whether the end of a message was written on this connection, and no answer to it has come. */
    isDelivering(ticket: number): boolean {
        const number = numeric(ticket, "ticket");
        return enter(() => this.#native.isDelivering(number));
    }

    /** How one session stands: the part of {@link status} that costs little. */
    standing(session: number): Standing | undefined {
        const number = numeric(session, "session");
        return (enter(() => this.#native.standing(number)) ?? undefined) as Standing | undefined;
    }

    /** How the account and its sessions stand. */
    status(): AccountStatus {
        const { sessions, ...account } = enter(() => this.#native.status());
        const flat = sessions.map(({ status, ...session }) => ({ ...status, ...session }));
        return { ...account, sessions: flat } as unknown as AccountStatus;
    }

    /** What must outlive the process. It holds no secret. `wallMs` is milliseconds since 1970. */
    snapshot(wallMs: number): Buffer {
        const number = numeric(wallMs, "wallMs");
        return enter(() => this.#native.snapshot(number));
    }

    [inspect.custom](): string {
        const standings = this.status().sessions.map(({ session, standing }) => `${session}: '${standing}'`);
        return `AccountMachine { ${standings.join(", ")} }`;
    }

    #about(nowMs: number, number: number, name: string, call: (number: number) => native.JsAccountPlan): AccountPlan {
        const given = numeric(number, name);
        return this.#plan(nowMs, () => call(given));
    }

    #plan(nowMs: number, call: () => native.JsAccountPlan): AccountPlan {
        numeric(nowMs, "nowMs");
        const plan = enter(call);
        plan.orders = (plan.orders?.map(dressed) as never) ?? NONE;
        plan.deliveries ??= NONE;
        return plan as unknown as AccountPlan;
    }
}

const NONE: never[] = [];

/** An order as the program may hold it: a token is one of ours, and is never shown. */
function dressed(order: native.JsOrder): Order {
    const { refused } = order;
    return refused === undefined
        ? masked(order as unknown as Order & { sensitive: boolean })
        : ({ ...order, refused: new AccessToken(refused as never) } as unknown as Order);
}
