/** How long connections live, what is done before their end, and how long is waited for them. */
import type { AccountSettings, SessionSettings } from "./core";
import { ConfigError } from "./errors";
import { defined, known, type OptionsOf, takes } from "./options";
import type { Settings } from "./settings";

/**
 * What an account is told about time, in milliseconds. Where nothing is said, the provider's profile decides. What is given
 * to an account holds for all its sessions; those of them that are marked `account` are of all of it, and cannot be given
 * to one session.
 */
export interface SessionPolicy {
    /**
     * `ahead` (the default): let a connection go before its end; `at_end`: never, only what the server ends is replaced;
     * `overlap`: as `ahead`, and the successor is logged in first (IMAP, where two connections are allowed).
     */
    renewal?: "ahead" | "at_end" | "overlap" | undefined;
    /** How long the server lets a connection live. */
    sessionLimit?: number | undefined;
    /** Whether the server ends a connection when the token that opened it expires. */
    endsWithToken?: boolean | undefined;
    /** How many connections the server allows for one user. */
    connections?: number | undefined;
    /** How long a token lives whose source does not say (`account`). */
    tokenLifetime?: number | undefined;
    /**
     * How long before the end a fresh token is asked for, and the connection renewed; at most a quarter of what it lives, and
     * by half less or more at random. Default: 300,000.
     */
    lead?: number | undefined;
    /** How long a token from a cache must still live to be used (`account`). Default: 60,000. */
    tokenLifeLeast?: number | undefined;
    /** How long a token may take to come (`account`). Default: 60,000. */
    tokenTimeout?: number | undefined;
    /** Greatest wait after a first failure; it doubles with each. Default: 1,000. */
    backoffBase?: number | undefined;
    /** Greatest wait of all; eight times that where the server limits rate or connections. Default: 300,000. */
    backoffMax?: number | undefined;
    /** When a connection has lasted, and the failures before it are forgotten. Default: 60,000. */
    stableAfter?: number | undefined;
    /**
     * Least time between logins of which none lasts, after the first four. Only tests of short-lived tokens should lower it:
     * the budget of logins is in this unit. Default: 60,000.
     */
    loginInterval?: number | undefined;
    /**
     * How long failures are waited out before a session's first connection; then they are told as `GaveUp` (`account`).
     * What cannot get better, as an unknown host, is told at once. `Infinity`: for ever. Default: 60,000.
     */
    first?: number | undefined;
    /** The same, once a session has been connected (`account`). Default: `Infinity`. */
    later?: number | undefined;
    /**
     * Whether mail clients are let say something harmless while nothing else is said (`account`): every 4 to 9 minutes, and
     * before the provider's idle limit. Default: true.
     */
    keepAlive?: boolean | undefined;
    /** How long the answer to that may take, and to a question whether the connection lives (`account`). Default: 20,000. */
    answer?: number | undefined;
    /** A sleep of the machine from which its connections are not even asked whether they live (`account`). Default: 1,800,000. */
    unprobedNap?: number | undefined;
}

/** What is of the whole account. */
const OF_ACCOUNT = {
    tokenLifetime: "number",
    tokenLifeLeast: "number",
    tokenTimeout: "number",
    first: "number",
    later: "number",
    keepAlive: "boolean",
    answer: "number",
    unprobedNap: "number",
} as const;

const OF_SESSION: OptionsOf<Omit<SessionPolicy, keyof typeof OF_ACCOUNT>> = {
    renewal: "string",
    sessionLimit: "number",
    endsWithToken: "boolean",
    connections: "number",
    lead: "number",
    backoffBase: "number",
    backoffMax: "number",
    stableAfter: "number",
    loginInterval: "number",
};

const ALL: OptionsOf<SessionPolicy> = takes("policy", { ...OF_SESSION, ...OF_ACCOUNT });

/** Checks the policy of an account. */
export function accountSettings(policy: SessionPolicy, tokenLifetimeMs: number | undefined): AccountSettings {
    known(policy, ALL, "policy");
    // What is of its sessions is told now, too.
    const {
        renewal: _renewal,
        endsWithToken: _ends,
        connections: _connections,
        ...times
    } = defined(ofSessions(policy));
    Object.entries(times).forEach(([name, value]) => time(name, value));
    return {
        firstMs: endless("first", policy.first),
        laterMs: endless("later", policy.later),
        tokenLifetimeMs: time("tokenLifetime", policy.tokenLifetime) ?? tokenLifetimeMs,
        tokenLifeLeastMs: time("tokenLifeLeast", policy.tokenLifeLeast),
        tokenTimeoutMs: time("tokenTimeout", policy.tokenTimeout),
        backoffBaseMs: time("backoffBase", policy.backoffBase),
        backoffMaxMs: time("backoffMax", policy.backoffMax),
        keepAlive: policy.keepAlive,
        answerMs: time("answer", policy.answer),
        unprobedNapMs: time("unprobedNap", policy.unprobedNap),
    };
}

/** What the machines say of a limit, in the words of {@link SessionPolicy}. @internal */
export function inWordsOfPolicy<T>(make: () => T): T {
    try {
        return make();
    } catch (error) {
        const [, name] = /^(\w+)Ms is out of range/.exec(error instanceof ConfigError ? error.message : "") ?? [];
        if (name === undefined) {
            throw error;
        }
        const words = (error as ConfigError).message.replace(/^\w+/, name === "session" ? "sessionLimit" : name);
        throw new ConfigError(words);
    }
}

function ofSessions(policy: SessionPolicy): SessionPolicy {
    return Object.fromEntries(Object.entries(policy).filter(([name]) => Object.hasOwn(OF_SESSION, name)));
}

/** The host's own deadline comes first: it knows whether there was a connection at all. */
const BEHIND_MS = 500;

/** What a session is told: its own policy before its account's, and a provider's profile where neither says anything. */
export function sessionSettings(ofAccount: SessionPolicy, own: SessionPolicy, settings: Settings): SessionSettings {
    const misplaced = Object.keys(own).find((name) => Object.hasOwn(OF_ACCOUNT, name));
    if (misplaced !== undefined) {
        throw new ConfigError(`policy.${misplaced} is of the whole account: give it to the Account`);
    }
    known(own, OF_SESSION, "policy");
    const policy = { ...ofAccount, ...own };
    const { service } = settings;
    return {
        renewal: policy.renewal,
        sessionMs: time("sessionLimit", policy.sessionLimit) ?? service.sessionMs,
        endsWithToken: policy.endsWithToken ?? service.endsWithToken,
        idleMs: service.idleMs,
        connections: policy.connections ?? service.connections,
        tokenLifetimeMs: time("tokenLifetime", policy.tokenLifetime) ?? settings.tokenLifetimeMs,
        loginTimeoutMs: settings.timeout + BEHIND_MS,
        leadMs: time("lead", policy.lead),
        tokenLifeLeastMs: time("tokenLifeLeast", policy.tokenLifeLeast),
        tokenTimeoutMs: time("tokenTimeout", policy.tokenTimeout),
        backoffBaseMs: time("backoffBase", policy.backoffBase),
        backoffMaxMs: time("backoffMax", policy.backoffMax),
        stableAfterMs: time("stableAfter", policy.stableAfter),
        loginIntervalMs: time("loginInterval", policy.loginInterval),
    };
}

function time(name: string, value: unknown): number | undefined {
    if (value === undefined) {
        return undefined;
    }
    if (typeof value !== "number" || !(value >= 0) || value > Number.MAX_SAFE_INTEGER) {
        throw new ConfigError(`${name} must be a number of milliseconds, from zero on`);
    }
    return Math.round(value);
}

function endless(name: string, value: unknown): number | undefined {
    return value === Infinity ? Infinity : time(name, value);
}
