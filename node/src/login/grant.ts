/** The one place at which grants are refreshed: one at a time for an account, and written before anybody uses them. */
import { NoToken, noTokenOf } from "../answers";
import { AccessToken } from "../core";
import { MailbearerError, TokenSourceFailed } from "../errors";
import { standIn } from "../foreign";
import type { RouteOptions } from "../route";
import type { TlsOptions } from "../settings";
import type { TokenRequest } from "../tokens";
import { configured, metadataOf, openid, wordsOf } from "./server";
import { AccountFile, type Grant, loginCommand, type StoredAccount } from "./store";

/** A token that lives no longer is not given: the login with it may take as long. */
const LIFE_LEAST_MS = 60_000;

/** A token, and how long it lives. */
export interface GivenToken {
    readonly token: string;
    readonly expiresInMs: number | undefined;
}

/** A token endpoint's answer, as far as it matters here. */
export interface TokenEndpointAnswer {
    readonly access_token: string;
    readonly refresh_token?: string | undefined;
    readonly expires_in?: number | undefined;
}

/** The grant that an answer makes, with what it does not say from the one before. */
export function grantOf(answer: TokenEndpointAnswer, before: Partial<Grant>): Grant {
    const { access_token, refresh_token = before.refresh_token, expires_in: seconds } = answer;
    const { expires_at: _, ...kept } = before;
    const expires_at = seconds === undefined ? null : Math.floor(Date.now() / 1000 + seconds);
    return { ...kept, refresh_token: refresh_token ?? "", access_token, expires_at };
}

/** The grant of an account that is kept in the store, as a source of tokens. */
export class StoredGrant {
    readonly #file: AccountFile;
    readonly #tlsOptions: TlsOptions;
    readonly #route: RouteOptions;
    /** The one that was given last: whoever asks past every cache does not want it again. */
    #given: string | undefined;
    /** What a server gave and no disk took: the refresh token before it is worth nothing any more. */
    #unwritten: { readonly from: string; readonly grant: Grant } | undefined;

    constructor(file: AccountFile, tlsOptions: TlsOptions = {}, route: RouteOptions = {}) {
        this.#file = file;
        this.#tlsOptions = tlsOptions;
        this.#route = route;
    }

    /** Gives a token that lives for a minute at least; `refused` is one that a server would not take. */
    async token(request: Partial<TokenRequest> = {}): Promise<GivenToken> {
        const account = this.#file.required();
        const grant = await this.#file.grant(account);
        const unwanted = unwantedBy(request, this.#given ?? grant.access_token);
        if (this.#unwritten === undefined && isGood(grant, unwanted)) {
            return this.#give(grant);
        }
        return this.#file.locked(request.signal, () => this.#tokenAlone(unwanted));
    }

    /** The same, while nobody else works on the account. */
    async #tokenAlone(unwanted: Unwanted): Promise<GivenToken> {
        // Whoever had the lock may have refreshed, or logged in anew, or out.
        const account = this.#file.required();
        let grant = await this.#file.grant(account);
        if (this.#unwritten?.from === grant.refresh_token) {
            grant = this.#unwritten.grant;
            await this.#write(account, grant);
        }
        this.#unwritten = undefined;
        if (isGood(grant, unwanted)) {
            return this.#give(grant);
        }
        const fresh = await refreshed(account, grant, this.#tlsOptions, this.#route);
        this.#unwritten = { from: grant.refresh_token, grant: fresh };
        await this.#write(account, fresh);
        this.#unwritten = undefined;
        return this.#give(fresh);
    }

    async #write(account: StoredAccount, grant: Grant): Promise<void> {
        try {
            await this.#file.writeGrant(account, grant);
        } catch (error) {
            const said = error instanceof Error ? error.message : "";
            throw new TokenSourceFailed(`the new tokens of ${account.user} cannot be kept: ${said}`, { cause: error });
        }
    }

    #give(grant: Grant): GivenToken {
        this.#given = grant.access_token;
        return { token: grant.access_token as string, expiresInMs: livesMs(grant) };
    }
}

type Unwanted = (token: string) => boolean;

function unwantedBy({ forceRefresh = false, refused }: Partial<TokenRequest>, seen: string | undefined): Unwanted {
    if (!forceRefresh) {
        return () => false;
    }
    return (token) => (refused === undefined ? token === seen : refused.equals(new AccessToken(token)));
}

function isGood(grant: Grant, unwanted: Unwanted): boolean {
    const { access_token: token } = grant;
    // Where the provider has not said how long it lives, a server will say when it has ended.
    return (
        typeof token === "string" && token !== "" && (livesMs(grant) ?? Infinity) > LIFE_LEAST_MS && !unwanted(token)
    );
}

function livesMs({ expires_at: at }: Grant): number | undefined {
    return typeof at === "number" ? Math.max(0, at * 1000 - Date.now()) : undefined;
}

async function refreshed(account: StoredAccount, grant: Grant, tls: TlsOptions, route: RouteOptions): Promise<Grant> {
    const { user, client_id: id, authorization } = account;
    const client = { id, secret: grant.client_secret };
    const configuration = await configured(metadataOf(authorization), client, tls, route);
    const library = await openid();
    try {
        // It is not given up half way: the refresh token may be used up already.
        return grantOf(await library.refreshTokenGrant(configuration, grant.refresh_token), grant);
    } catch (error) {
        throw failure(error, user);
    }
}

/** What a refresh that failed means. A stand-in is the cause: openid-client's own error holds the request and the answer. */
export function failure(error: unknown, user: string): MailbearerError {
    if (error instanceof MailbearerError) {
        return error;
    }
    const { status } = error as { status?: unknown };
    const cause = standIn(error, wordsOf(error));
    const isOutage = typeof status === "number" && (status >= 500 || status === 429);
    const { why, text } = noTokenOf(error, `the provider does not renew the login of ${user}:`);
    if (why === "permanent" && !isOutage) {
        return new TokenSourceFailed(`${text}; run \`${loginCommand(user)}\``, { permanent: true, cause });
    }
    const said = isOAuthError(error) ? text : `there is no token of ${user} just now: ${wordsOf(error)}`;
    return new TokenSourceFailed(said, { cause });
}

function isOAuthError(error: unknown): boolean {
    return typeof (error as { error?: unknown } | null)?.error === "string";
}

/** What a source rejects with, where an account is not there or cannot be read: a person must act. */
export function asNoToken(error: unknown): unknown {
    return error instanceof MailbearerError && !(error instanceof TokenSourceFailed)
        ? new NoToken("permanent", error.message, error)
        : error;
}
