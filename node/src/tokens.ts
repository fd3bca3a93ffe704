/**
 * Token sources: whatever a program has, asked for a token at every login.
 *
 * Calls of one source do not overlap: requests that come while one runs are joined to it, also those of other connections
 * and sessions. Only a call that somebody gave up is not joined any more: it may never answer.
 */
import { once } from "node:events";
import { AccessToken, type Failure } from "./core";
import { ConfigError, MailbearerError, TokenSourceFailed } from "./errors";
import { kindOf, saidBy } from "./foreign";

/** What a token function is told. */
export interface TokenRequest {
    /** The server refused the last token: bypass your cache. */
    readonly forceRefresh: boolean;
    /** Aborted when nobody waits for this token any more. */
    readonly signal: AbortSignal;
}

/** What a token function gives: a token, or a token and the milliseconds that it still lives. */
export type TokenAnswer =
    string | AccessToken | { token: string | AccessToken; expiresInMs?: number | null | undefined };

/** A function of the program, asked at every login. */
export type TokenFunction = (request: TokenRequest) => TokenAnswer | Promise<TokenAnswer>;

/** A client of google-auth-library: `OAuth2Client`, `JWT`, … */
export interface GoogleAuthClient {
    getAccessToken(): Promise<{ token?: string | null | undefined } | string | null | undefined>;
    credentials: { expiry_date?: number | null | undefined };
    setCredentials(credentials: object): void;
}

/** A `GoogleAuth` of google-auth-library. */
export interface GoogleAuth {
    getClient(): Promise<unknown>;
}

/** A `PublicClientApplication` or `ConfidentialClientApplication` of @azure/msal-node. */
export interface MsalApplication {
    getTokenCache(): { getAllAccounts(): Promise<Array<{ username: string }>> };
    // MSAL's own request types are not imported: it need not be installed.
    acquireTokenSilent(request: any): Promise<MsalAnswer | null>;
    acquireTokenByClientCredential?(request: any): Promise<MsalAnswer | null>;
}

interface MsalAnswer {
    accessToken: string;
    expiresOn: Date | null;
}

/**
 * Where tokens come from: a text (the same for ever, which ends with its hour), a function, a client of
 * google-auth-library, or an application of @azure/msal-node.
 *
 * A source that will not have a token before the user acts throws {@link TokenSourceFailed} with `permanent: true`;
 * whatever else it throws is taken for an outage, and it is asked again later.
 */
export type TokenSource = string | AccessToken | TokenFunction | GoogleAuthClient | GoogleAuth | MsalApplication;

/** A token, and the milliseconds that it still lives, where that is known. */
export interface Token {
    readonly token: AccessToken;
    readonly expiresInMs: number | undefined;
}

/** What the kinds of sources have in common. */
export interface Source {
    readonly canRefresh: boolean;
    /** Gets a token, past every cache where that is asked for. */
    get(forceRefresh: boolean, signal?: AbortSignal): Promise<Token>;
}

/** Makes a source of what the program has; the same one for the same thing. */
export function sourceOf(value: TokenSource, user: string, scopes: readonly string[]): Source {
    if (typeof value === "string" || value instanceof AccessToken) {
        return new FixedToken(value instanceof AccessToken ? value : new AccessToken(value));
    }
    const fetch = fetcher(value, user, scopes);
    const key = JSON.stringify([user, ...scopes]);
    const ofValue = inUse.get(value) ?? new Map<string, Source>();
    inUse.set(value, ofValue);
    const source = ofValue.get(key) ?? new JoinedSource(fetch);
    ofValue.set(key, source);
    return source;
}

/** What a refusal of a token means where the source is a text: asking it again is in vain. */
export function hinted(failure: Failure, source: Source): Failure {
    const isOfToken = failure.cause === "token_rejected" || failure.cause === "token_expired";
    if (source.canRefresh || !isOfToken) {
        return failure;
    }
    const hint = "The token is a fixed string, which ends with its hour: give a function that gets a fresh one.";
    return { ...failure, sentence: `${failure.sentence} ${hint}` };
}

/** Gets a token within this many milliseconds. */
export async function tokenInTime(
    source: Source,
    forceRefresh: boolean,
    timeout: number,
    signal: AbortSignal | undefined,
): Promise<AccessToken> {
    const deadline = new AbortController();
    const late = new TokenSourceFailed("the token source did not answer in time");
    const timer = setTimeout(() => deadline.abort(late), timeout);
    try {
        const signals = signal === undefined ? [deadline.signal] : [signal, deadline.signal];
        return (await source.get(forceRefresh, AbortSignal.any(signals))).token;
    } finally {
        clearTimeout(timer);
    }
}

/** By what they were made of, then by user and scopes. */
const inUse = new WeakMap<object, Map<string, Source>>();

type Fetch = (request: TokenRequest) => Promise<Token>;

function fetcher(value: TokenSource, user: string, scopes: readonly string[]): Fetch {
    if (typeof value === "function") {
        return async (request) => read(await value(request));
    }
    if (typeof value === "object" && value !== null) {
        if ("acquireTokenSilent" in value) {
            return msal(value, user, scopes);
        }
        if ("getClient" in value) {
            return async (request) => google((await value.getClient()) as GoogleAuthClient, request);
        }
        if ("getAccessToken" in value) {
            return (request) => google(value, request);
        }
    }
    throw new ConfigError(
        "token must be a string, a function, a client of google-auth-library or an application of @azure/msal-node, " +
            `not ${offered(value)}`,
    );
}

class FixedToken implements Source {
    readonly canRefresh = false;
    readonly #token: Token;

    constructor(token: AccessToken) {
        this.#token = { token, expiresInMs: undefined };
    }

    get(): Promise<Token> {
        return Promise.resolve(this.#token);
    }
}

/** A call that is under way. */
interface Flight {
    readonly token: Promise<Token>;
    /** Settles when it has ended, or nobody waits for it any more. */
    readonly over: Promise<unknown>;
    readonly bypasses: boolean;
    readonly controller: AbortController;
    waiting: number;
}

/** A source whose calls do not overlap. One that bypasses the cache is not joined to one that does not. */
class JoinedSource implements Source {
    readonly canRefresh = true;
    readonly #fetch: Fetch;
    #flight: Flight | undefined;

    constructor(fetch: Fetch) {
        this.#fetch = fetch;
    }

    async get(forceRefresh: boolean, signal?: AbortSignal): Promise<Token> {
        signal?.throwIfAborted();
        const running = this.#flight;
        const flight =
            running === undefined || (forceRefresh && !running.bypasses) ? this.#start(forceRefresh) : running;
        flight.waiting += 1;
        let isWaiting = true;
        const leave = () => {
            flight.waiting -= isWaiting ? 1 : 0;
            isWaiting = false;
            if (flight.waiting === 0) {
                flight.controller.abort();
                this.#forget(flight);
            }
        };
        // At once: the next request must not be joined to a call that was given up, whoever still waits for it.
        const giveUp = () => {
            this.#forget(flight);
            leave();
        };
        signal?.addEventListener("abort", giveUp);
        try {
            return await untilAborted(flight.token, signal);
        } finally {
            signal?.removeEventListener("abort", giveUp);
            leave();
        }
    }

    #start(bypasses: boolean): Flight {
        const controller = new AbortController();
        const token = this.#call({ forceRefresh: bypasses, signal: controller.signal }, this.#flight);
        // Whoever waits hears of a failure; when nobody does, it is nobody's.
        const over = Promise.race([token.catch(() => undefined), once(controller.signal, "abort")]);
        this.#flight = { token, over, bypasses, controller, waiting: 0 };
        return this.#flight;
    }

    #forget(flight: Flight): void {
        if (this.#flight === flight) {
            this.#flight = undefined;
        }
    }

    async #call(request: TokenRequest, before: Flight | undefined): Promise<Token> {
        await before?.over;
        try {
            return await this.#fetch(request);
        } catch (error) {
            if (error instanceof MailbearerError) {
                throw error;
            }
            throw new TokenSourceFailed(`the token source threw ${saidBy(error)}`, { cause: error });
        }
    }
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    if (signal === undefined) {
        return work;
    }
    let stop = (): void => undefined;
    const aborted = new Promise<never>((_, reject) => {
        stop = () => reject(signal.reason as Error);
        signal.addEventListener("abort", stop);
    });
    try {
        return await Promise.race([work, aborted]);
    } finally {
        signal.removeEventListener("abort", stop);
    }
}

function nameOf(error: unknown): string {
    return error instanceof Error ? error.name : kindOf(error);
}

/** Reads a token, or a token and its milliseconds. */
function read(answer: unknown): Token {
    if (typeof answer === "object" && answer !== null && "token" in answer && !(answer instanceof AccessToken)) {
        const { token, expiresInMs } = answer as { token: unknown; expiresInMs?: unknown };
        return { token: checked(token), expiresInMs: lifetime(expiresInMs) };
    }
    return { token: checked(answer), expiresInMs: undefined };
}

function checked(value: unknown): AccessToken {
    if (value instanceof AccessToken) {
        return value;
    }
    if (typeof value !== "string") {
        throw new TokenSourceFailed(`the token source gave ${offered(value)} in place of a token`, { permanent: true });
    }
    return new AccessToken(value);
}

/** What was given in place of a token, by its kind, and how the token is had from it. */
function offered(value: unknown): string {
    if (typeof value !== "object" || value === null) {
        return kindOf(value);
    }
    if ("then" in value) {
        return "a Promise: await it, or give a function that does";
    }
    const names = ["access_token", "accessToken", "token"];
    const name = names.find((one) => typeof (value as Record<string, unknown>)[one] === "string");
    return name === undefined ? kindOf(value) : `${kindOf(value)}: give its ${name}`;
}

function lifetime(value: unknown): number | undefined {
    if (value === undefined || value === null) {
        return undefined;
    }
    if (typeof value !== "number" || !Number.isFinite(value)) {
        throw new TokenSourceFailed(`the token source gave ${kindOf(value)} as expiresInMs`, { permanent: true });
    }
    return Math.max(0, Math.floor(value));
}

/** A client of google-auth-library refreshes by itself where its token is past its time. */
async function google(client: GoogleAuthClient, request: TokenRequest): Promise<Token> {
    if (request.forceRefresh) {
        client.setCredentials({ ...client.credentials, expiry_date: 1 });
    }
    let answer;
    try {
        answer = await client.getAccessToken();
    } catch (error) {
        // As with invalid_grant: the user has revoked the consent, or changed the password.
        const permanent = oauthError(error) === "invalid_grant";
        throw new TokenSourceFailed(`google-auth-library could not refresh: ${saidBy(error)}`, {
            cause: error,
            permanent,
        });
    }
    const token = checked(typeof answer === "object" && answer !== null ? answer.token : answer);
    const expiry = client.credentials.expiry_date;
    return { token, expiresInMs: typeof expiry === "number" ? lifetime(expiry - Date.now()) : undefined };
}

/** The error that an OAuth server names in its answer, as google-auth-library keeps it. */
function oauthError(error: unknown): unknown {
    return (error as { response?: { data?: { error?: unknown } } }).response?.data?.error;
}

/** An MSAL application: silently for an account, or for the client itself where it is confidential. */
function msal(application: MsalApplication, user: string, scopes: readonly string[]): Fetch {
    // MSAL adds offline_access by itself.
    const asked = scopes.filter((scope) => scope !== "offline_access");
    if (asked.length === 0) {
        throw new ConfigError("token is an MSAL application, but no scopes are known: name the provider");
    }
    return async ({ forceRefresh }) => {
        let answer: MsalAnswer | null;
        try {
            answer = await acquire(application, user, asked, forceRefresh);
        } catch (error) {
            const permanent = nameOf(error) === "InteractionRequiredAuthError";
            throw new TokenSourceFailed(`MSAL has no token: ${saidBy(error)}`, { cause: error, permanent });
        }
        if (answer === null) {
            const text = "MSAL has no token: the user has not logged in with this application";
            throw new TokenSourceFailed(text, { permanent: true });
        }
        const lives = answer.expiresOn === null ? undefined : answer.expiresOn.getTime() - Date.now();
        return { token: checked(answer.accessToken), expiresInMs: lifetime(lives) };
    };
}

async function acquire(
    application: MsalApplication,
    user: string,
    scopes: readonly string[],
    forceRefresh: boolean,
): Promise<MsalAnswer | null> {
    const accounts = await application.getTokenCache().getAllAccounts();
    const account = accounts.find((one) => one.username.toLowerCase() === user.toLowerCase());
    if (account !== undefined) {
        return application.acquireTokenSilent({ account, scopes, forceRefresh });
    }
    if (application.acquireTokenByClientCredential === undefined) {
        return null;
    }
    const origin = new URL(scopes[0] as string).origin.replace("outlook.office.com", "outlook.office365.com");
    return application.acquireTokenByClientCredential({ scopes: [`${origin}/.default`], skipCache: forceRefresh });
}
