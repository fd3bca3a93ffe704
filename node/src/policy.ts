/** How long sessions live, and what is done before their end. */
import type { SessionSettings } from "./core";
import { ConfigError } from "./errors";
import { known } from "./native";
import type { Settings } from "./settings";

/** What a session is told about time, in milliseconds. Where nothing is said, the provider's profile decides. */
export interface SessionPolicy {
    /**
     * `ahead` (the default): let a session go before its end; `at_end`: never, only what the server ends is replaced;
     * `overlap`: as `ahead`, and the successor is logged in first (IMAP, where two connections are allowed).
     */
    renewal?: "ahead" | "at_end" | "overlap";
    /** How long the server lets a session live. */
    sessionLimit?: number;
    /** Whether the server ends a session when the token that opened it expires. */
    endsWithToken?: boolean;
    /** How many connections the server allows for one user. */
    connections?: number;
    /** How long a token lives whose source does not say. */
    tokenLifetime?: number;
    /**
     * How long before the end a fresh token is asked for, and the session renewed; at most a quarter of what the session
     * lives, and by half less or more at random. Default: 300,000.
     */
    lead?: number;
    /** How long a token from a cache must still live to be used. Default: 60,000. */
    tokenLifeLeast?: number;
    /** How long a token may take to come. Default: 60,000. */
    tokenTimeout?: number;
    /** Greatest wait after a first failure; it doubles with each. Default: 1,000. */
    backoffBase?: number;
    /** Greatest wait of all; eight times that where the server limits rate or connections. Default: 300,000. */
    backoffMax?: number;
    /** When a session has lasted, and the failures before it are forgotten. Default: 60,000. */
    stableAfter?: number;
    /**
     * Least time between logins of which none lasts, after the first four. Only tests of short-lived tokens should lower it:
     * the budget of logins is in this unit. Default: 60,000.
     */
    loginInterval?: number;
}

const NAMES = [
    "renewal",
    "sessionLimit",
    "endsWithToken",
    "connections",
    "tokenLifetime",
    "lead",
    "tokenLifeLeast",
    "tokenTimeout",
    "backoffBase",
    "backoffMax",
    "stableAfter",
    "loginInterval",
];

/** What the machine takes, with what a provider's profile says where the policy says nothing. */
export function sessionSettings(policy: SessionPolicy, settings: Settings): SessionSettings {
    known(policy, NAMES, "policy");
    const { service } = settings;
    return {
        renewal: policy.renewal,
        sessionMs: time("sessionLimit", policy.sessionLimit) ?? service.sessionMs,
        endsWithToken: policy.endsWithToken ?? service.endsWithToken,
        idleMs: service.idleMs,
        connections: policy.connections ?? service.connections,
        tokenLifetimeMs: time("tokenLifetime", policy.tokenLifetime) ?? settings.tokenLifetimeMs,
        loginTimeoutMs: settings.timeout,
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
    if (typeof value !== "number" || !(value >= 0) || !Number.isFinite(value)) {
        throw new ConfigError(`${name} must be a number of milliseconds, from zero on`);
    }
    return Math.round(value);
}
