/** The words in which the core speaks of what happened. */

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
    "proxy_failed",
    "timed_out",
    "limit_exceeded",
    "protocol_violation",
    "cancelled",
    "unrecognized",
] as const;
/** One of {@link CAUSES}. */
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
/** One of {@link ADVICES}. */
export type Advice = (typeof ADVICES)[number];

/** How sure that is: the server said so; a code or the clock implies it; it is the default. */
export const CERTAINTIES = ["stated", "inferred", "guessed"] as const;
/** One of {@link CERTAINTIES}. */
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
    /** What exactly was wrong, in words of mailbearer or of the host; may be empty. */
    readonly detail: string;
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
