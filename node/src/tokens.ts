/**
 * Token sources: whatever a program has, asked for a token at every login.
 *
 * Calls of one source do not overlap: requests that come while one runs are joined to it, also those of other connections
 * and sessions. Only a call that somebody gave up is not joined any more: it may never answer.
 */
import { once } from "node:events";
import { NoToken, noTokenOf, offered, readAnswer, type Token } from "./answers";
import { AccessToken, type Failure, failureOfHost } from "./core";
import { ConfigError, TokenSourceFailed } from "./errors";

/** What a token function is told. */
export interface TokenRequest {
    /** The server refused the last token: bypass your cache. */
    readonly forceRefresh: boolean;
    /** The token that the server would not take, where there is one: compare it with `equals`. */
    readonly refused?: AccessToken | undefined;
    /** Aborted when nobody waits for this token any more. */
    readonly signal: AbortSignal;
}

/**
 * What a token function gives: a token, a token and the milliseconds that it still lives, or the answer of a token endpoint
 * as it came (RFC 6749 section 5.1). `expires_in` is seconds, `expires_at` seconds since 1970, or a Date. What
 * `acquireTokenSilent` and the like of @azure/msal-node answer is taken as it comes, too: `accessToken`, with `expiresOn`.
 */
export type TokenAnswer =
    | string
    | AccessToken
    | { token: string | AccessToken; expiresInMs?: number | null | undefined }
    | {
          access_token: string;
          expires_in?: number | string | null | undefined;
          expires_at?: number | string | Date | null | undefined;
      }
    | { accessToken: string; expiresOn?: Date | null | undefined };

/** A function of the program, asked at every login. */
export type TokenFunction = (request: TokenRequest) => TokenAnswer | Promise<TokenAnswer>;

/** A client of google-auth-library: `OAuth2Client`, `JWT`, … */
export interface GoogleAuthClient {
    /** Gives the token that is in the cache, or a new one. */
    getAccessToken(): Promise<{ token?: string | null | undefined } | string | null | undefined>;
    credentials: { expiry_date?: number | null | undefined };
    /** Replaces what is in the cache. */
    setCredentials(credentials: object): void;
}

/** A `GoogleAuth` of google-auth-library. */
export interface GoogleAuth {
    /** Gives the client that has the credentials. */
    getClient(): Promise<unknown>;
}

/** A `PublicClientApplication` or `ConfidentialClientApplication` of @azure/msal-node. */
export interface MsalApplication {
    /** Where the accounts are that have logged in. */
    getTokenCache(): { getAllAccounts(): Promise<Array<{ username: string }>> };
    // MSAL's own request types are not imported: it need not be installed.
    /** Gives a token without the user, from the cache or by the refresh token. */
    acquireTokenSilent(request: any): Promise<MsalAnswer | null>;
    /** Gives a token of the application itself, where it has a secret. */
    acquireTokenByClientCredential?(request: any): Promise<MsalAnswer | null>;
}

interface MsalAnswer {
    accessToken: string;
    expiresOn: Date | null;
}

/**
 * Where tokens come from: a text (the same for ever, which ends with its hour), a function, a client of
 * google-auth-library, or an application of @azure/msal-node. {@link stored}, {@link command}, {@link tokenFile} and
 * {@link clientCredentials} make functions for those who have none of these.
 *
 * A source that will not have a token before the user acts throws {@link TokenSourceFailed} with `permanent: true`; errors of
 * a token endpoint (`invalid_grant` and its like, as openid-client, google-auth-library, axios and simple-oauth2 throw them)
 * mean the same. A TypeError or a ReferenceError, and what is no token, are mistakes of the program, and told to it at once
 * as {@link Misuse}. Whatever else it throws is taken for an outage, and it is asked again later.
 */
export type TokenSource = string | AccessToken | TokenFunction | GoogleAuthClient | GoogleAuth | MsalApplication;

/** What the kinds of sources have in common. */
export interface Source {
    readonly canRefresh: boolean;
    /** Gets a token, past every cache where that is asked for. It rejects with {@link NoToken}, or the signal's reason. */
    get(forceRefresh: boolean, signal?: AbortSignal, refused?: AccessToken): Promise<Token>;
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
    const why = "the token is a fixed string, which ends with its hour: give a function that gets a fresh one";
    // Where the server is not quoted, the core tells of a source that could have given another.
    const sentence =
        failure.serverText === ""
            ? failureOfHost(failure.cause, why).sentence
            : `${failure.sentence} T${why.slice(1)}.`;
    return { ...failure, sentence };
}

/** Gets a token within this many milliseconds. */
export async function tokenInTime(
    source: Source,
    forceRefresh: boolean,
    timeout: number,
    signal: AbortSignal | undefined,
    refused?: AccessToken,
): Promise<AccessToken> {
    const deadline = new AbortController();
    const late = new TokenSourceFailed("the token source did not answer in time");
    const timer = setTimeout(() => deadline.abort(late), timeout);
    try {
        const signals = signal === undefined ? [deadline.signal] : [signal, deadline.signal];
        return (await source.get(forceRefresh, AbortSignal.any(signals), refused)).token;
    } catch (error) {
        throw error instanceof NoToken ? error.thrown : error;
    } finally {
        clearTimeout(timer);
    }
}

/** By what they were made of, then by user and scopes. */
const inUse = new WeakMap<object, Map<string, Source>>();

type Fetch = (request: TokenRequest) => Promise<Token>;

function fetcher(value: TokenSource, user: string, scopes: readonly string[]): Fetch {
    if (typeof value === "function") {
        return async (request) => readAnswer(await value(request));
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
    throw wrongSource(value);
}

function wrongSource(value: unknown): ConfigError {
    return new ConfigError(
        "token must be a string, a function, a client of google-auth-library or an application of @azure/msal-node, " +
            `not ${offered(value)}`,
    );
}

/** Checks what a source is, before anybody asks it. */
export function checkedSource(value: TokenSource): TokenSource {
    if (typeof value === "string") {
        return new AccessToken(value);
    }
    const isObject = typeof value === "object" && value !== null && !("then" in value);
    const isSource = isObject && ["acquireTokenSilent", "getClient", "getAccessToken"].some((name) => name in value);
    if (typeof value !== "function" && !(value instanceof AccessToken) && !isSource) {
        throw wrongSource(value);
    }
    return value;
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

    async get(forceRefresh: boolean, signal?: AbortSignal, refused?: AccessToken): Promise<Token> {
        signal?.throwIfAborted();
        const running = this.#flight;
        const flight =
            running === undefined || (forceRefresh && !running.bypasses) ? this.#start(forceRefresh, refused) : running;
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

    #start(bypasses: boolean, refused: AccessToken | undefined): Flight {
        const controller = new AbortController();
        const token = this.#call({ forceRefresh: bypasses, refused, signal: controller.signal }, this.#flight);
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
            throw noTokenOf(error);
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

/** A client of google-auth-library refreshes by itself where its token is past its time. */
async function google(client: GoogleAuthClient, request: TokenRequest): Promise<Token> {
    if (request.forceRefresh) {
        client.setCredentials({ ...client.credentials, expiry_date: 1 });
    }
    let answer;
    try {
        answer = await client.getAccessToken();
    } catch (error) {
        throw noTokenOf(error, "google-auth-library could not refresh:");
    }
    const token = typeof answer === "object" && answer !== null ? answer.token : answer;
    return readAnswer({ access_token: token ?? null, expiry_date: client.credentials.expiry_date });
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
            throw noTokenOf(error, "MSAL has no token:");
        }
        if (answer === null) {
            const text = "MSAL has no token: the user has not logged in with this application";
            throw new NoToken("permanent", text);
        }
        return readAnswer(answer);
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
    return application.acquireTokenByClientCredential({ scopes: [appScope(scopes)], skipCache: forceRefresh });
}

/** What an app of Microsoft's asks for by itself: all that was granted to it for the mail service. @internal */
export function appScope(scopes: readonly string[]): string {
    const origin = new URL(scopes[0] as string).origin.replace("outlook.office.com", "outlook.office365.com");
    return `${origin}/.default`;
}
