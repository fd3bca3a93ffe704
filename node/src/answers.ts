/** What token sources give and throw, whatever library it comes from. */
import { AccessToken } from "./core";
import { ConfigError, MailbearerError, Misuse, TokenSourceFailed } from "./errors";
import { kindOf, saidBy, shown } from "./foreign";

/** A token, and the milliseconds that it still lives, where that is known. */
export interface Token {
    readonly token: AccessToken;
    readonly expiresInMs: number | undefined;
}

/**
 * Why a source has no token: an `outage` (it is asked again), `permanent` (a person must act), or a `mistake` of the
 * program; in words, and with the source's own error.
 */
export class NoToken extends Error {
    constructor(
        readonly why: "outage" | "permanent" | "mistake",
        readonly text: string,
        readonly own?: unknown,
    ) {
        super(text);
    }

    /** What is thrown to a program that asked for one login. */
    get thrown(): MailbearerError {
        if (this.own instanceof TokenSourceFailed) {
            return this.own;
        }
        return this.why === "mistake"
            ? new Misuse(this.text, { cause: this.own })
            : new TokenSourceFailed(this.text, { cause: this.own, permanent: this.why === "permanent" });
    }
}

// ---- What they give --------------------------------------------------------------------------------------------------

type Fields = Readonly<Record<string, unknown>>;

/** Reads a token, `{ token, expiresInMs }`, the answer of a token endpoint (RFC 6749 section 5.1), or what libraries make of it. */
export function readAnswer(answer: unknown): Token {
    if (typeof answer !== "object" || answer === null || answer instanceof AccessToken) {
        return { token: checked(answer), expiresInMs: undefined };
    }
    const fields = answer as Fields;
    const form = FORMS.find(({ holds }) => fields[holds] !== undefined);
    if (form !== undefined) {
        return form.read(fields);
    }
    if (typeof fields["error"] === "string") {
        throw noTokenOf(answer);
    }
    const members = Object.keys(fields).slice(0, MEMBERS_SHOWN).map(shown).join(", ");
    const told =
        "then" in fields || members === ""
            ? ""
            : ` with ${members}: the token is in token, access_token or accessToken`;
    throw mistake(`gave ${offered(answer)} in place of a token${told}`);
}

/** No more names of members are told. */
const MEMBERS_SHOWN = 8;

/** The forms of an answer, by the member that holds the token. */
const FORMS: ReadonlyArray<{ holds: string; read: (fields: Fields) => Token }> = [
    // A token endpoint; the `credentials` of google-auth-library.
    { holds: "access_token", read: (fields) => read(fields, "access_token") },
    // MSAL.
    { holds: "accessToken", read: (fields) => read(fields, "accessToken") },
    { holds: "token", read: ofToken },
];

/** Ours; google-auth-library's, which has a `res` too; @azure/identity's; and simple-oauth2's, which has one in the other. */
function ofToken(fields: Fields): Token {
    const { token } = fields;
    if (typeof token === "object" && token !== null && "access_token" in token) {
        return readAnswer(token);
    }
    const stranger = Object.keys(fields).find((name) => !MEMBERS.includes(name));
    if (stranger !== undefined) {
        throw mistake(`gave an object with a member ${shown(stranger)}: the members are token and expiresInMs`);
    }
    return read(fields, "token");
}

const MEMBERS = ["token", "res", "expiresInMs", "expiresOnTimestamp", "refreshAfterTimestamp", "tokenType"];

/** How long it lives, by the name of the member, in milliseconds from now. */
const LIVES: Readonly<Record<string, (value: unknown, name: string) => number>> = {
    expiresInMs: numeric,
    expires_in: (value, name) => numeric(value, name) * 1_000,
    expires_at: until,
    expires_on: until,
    expiresOn: until,
    expiry_date: until,
    expiresOnTimestamp: until,
};

function read(fields: Fields, holds: string): Token {
    const name = Object.keys(LIVES).find((one) => (fields[one] ?? undefined) !== undefined);
    // An answer may have members that nobody knows; a misspelt one would leave a token without its end.
    const misspelt = Object.keys(fields).find((one) => /^expir/i.test(one) && LIVES[one] === undefined);
    if (misspelt !== undefined && name === undefined) {
        const names = "expires_in (seconds), expires_at (seconds since 1970, or a Date) or expiresInMs";
        throw mistake(`gave an object with a member ${shown(misspelt)}, which is not known: it is ${names}`);
    }
    const lives = name === undefined ? undefined : LIVES[name]?.(fields[name], name);
    return { token: checked(fields[holds]), expiresInMs: lives && Math.max(0, Math.floor(lives)) };
}

/** Beyond the year 5138 in seconds, and before 1974 in milliseconds. */
const SECONDS_MAX = 1e11;

/** A point of time: a Date, its text, or a number of seconds or milliseconds since 1970. */
function until(value: unknown, name: string): number {
    if (value instanceof Date || (typeof value === "string" && !NUMBER.test(value))) {
        return numeric(new Date(value).getTime(), name) - Date.now();
    }
    const number = numeric(value, name);
    return (number > SECONDS_MAX ? number : number * 1_000) - Date.now();
}

const NUMBER = /^\d+(\.\d+)?$/;

function numeric(value: unknown, name: string): number {
    const number = typeof value === "string" && NUMBER.test(value) ? Number(value) : value;
    if (typeof number !== "number" || !Number.isFinite(number)) {
        throw mistake(`gave ${kindOf(value)} as ${name}`);
    }
    return number;
}

function checked(value: unknown): AccessToken {
    if (value instanceof AccessToken) {
        return value;
    }
    if (typeof value !== "string") {
        throw mistake(`gave ${offered(value)} in place of a token`);
    }
    try {
        return new AccessToken(value);
    } catch (error) {
        throw error instanceof ConfigError ? mistake(`gave what is no token: ${error.message}`) : error;
    }
}

/** What was given in place of a token, by its kind, and how the token is had from it. */
export function offered(value: unknown): string {
    if (typeof value !== "object" || value === null) {
        return kindOf(value);
    }
    if ("then" in value) {
        return "a Promise: await it, or give a function that does";
    }
    const form = FORMS.find(({ holds }) => typeof (value as Fields)[holds] === "string");
    return form === undefined ? kindOf(value) : `${kindOf(value)}: give its ${form.holds}`;
}

function mistake(text: string): NoToken {
    return new NoToken("mistake", `the token source ${text}`);
}

// ---- What they throw -------------------------------------------------------------------------------------------------

/** What an error of a source means; `who` is the library, where it is one that is known. */
export function noTokenOf(error: unknown, who = "the token source threw"): NoToken {
    if (error instanceof NoToken) {
        return error;
    }
    if (error instanceof TokenSourceFailed) {
        return new NoToken(error.permanent ? "permanent" : "outage", error.message, error);
    }
    const refusal = oauthError(error);
    if (refusal !== undefined) {
        const said = refusal.description === undefined ? refusal.error : `${refusal.error}: ${refusal.description}`;
        const why = PERMANENT.includes(refusal.error) ? "permanent" : "outage";
        return new NoToken(why, `${who} ${shown(said)}`, error);
    }
    return new NoToken(whyOf(error), `${who} ${saidBy(error)}`, error);
}

function whyOf(error: unknown): NoToken["why"] {
    if (error instanceof MailbearerError) {
        return "mistake";
    }
    const { name, cause } = (error ?? {}) as { name?: unknown; cause?: unknown };
    if (name === "InteractionRequiredAuthError") {
        return "permanent";
    }
    // `fetch` says TypeError where the network fails, and has the network's error as its cause: the engine's own have none.
    const isMistake = name === "ReferenceError" || (name === "TypeError" && cause === undefined);
    return isMistake ? "mistake" : "outage";
}

/** RFC 6749 section 5.2 and OpenID Connect Core section 3.1.2.6: what asking again does not change. */
const PERMANENT: readonly unknown[] = [
    "invalid_grant",
    "invalid_client",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
    "interaction_required",
    "login_required",
    "consent_required",
];

/**
 * The error that a token endpoint answered with, as libraries keep it: in the error itself (openid-client, oauth4webapi), in
 * its `response.data` (google-auth-library, axios), or in its `data.payload` (simple-oauth2).
 */
function oauthError(error: unknown): { error: string; description: string | undefined } | undefined {
    const { response, data } = (error ?? {}) as { response?: { data?: unknown }; data?: { payload?: unknown } };
    for (const place of [error, response?.data, data?.payload]) {
        const { error: code, error_description: words } = (place ?? {}) as Fields;
        if (typeof code === "string" && /^[a-z_]+$/.test(code)) {
            return { error: code, description: typeof words === "string" ? words : undefined };
        }
    }
    return undefined;
}
