/** Authorization servers as openid-client takes them, which speaks all the OAuth. */
import type { Configuration, ServerMetadata } from "openid-client";
import type { OAuth } from "../core";
import { ConfigError } from "../errors";
import { standIn } from "../foreign";
import type { RouteOptions } from "../route";
import type { TlsOptions } from "../settings";
import { fetchWith, Unreachable } from "./https";
import type { Authorization } from "./store";

/** openid-client, which is an ES module, and is not loaded before it is needed. */
export function openid(): Promise<typeof import("openid-client")> {
    return import("openid-client");
}

/** An authorization server, and what is known of it. */
export interface Server {
    readonly metadata: ServerMetadata;
    /** Whether anybody has said what it calls itself. */
    readonly isIssuerKnown: boolean;
}

/** What is known of a program at an authorization server. */
export interface Client {
    readonly id: string;
    readonly secret?: string | undefined;
}

/** An authorization server, to one client. */
export async function configured(
    server: ServerMetadata,
    client: Client,
    tls?: TlsOptions,
    route?: RouteOptions,
): Promise<Configuration> {
    const library = await openid();
    // RFC 6749 section 2.3.1: in the body, where a provider takes it from native apps too; without a secret the id alone.
    const auth = client.secret === undefined ? library.None() : library.ClientSecretPost(client.secret);
    const configuration = new library.Configuration(server, client.id, undefined, auth);
    configuration[library.customFetch] = fetchWith(tls, route);
    return configuration;
}

/** An account's server, as its file has it. */
export function metadataOf(authorization: Authorization): ServerMetadata {
    const known = Object.entries(authorization).filter(([, value]) => typeof value === "string");
    return { ...Object.fromEntries(known), issuer: authorization.issuer ?? originOf(authorization) };
}

/** The server of a provider. */
export function serverOfProvider(oauth: OAuth): Server {
    const metadata = metadataOf({
        issuer: oauth.issuer,
        authorization_endpoint: oauth.authorizationEndpoint,
        token_endpoint: oauth.tokenEndpoint,
        device_authorization_endpoint: oauth.deviceAuthorizationEndpoint,
        revocation_endpoint: oauth.revocationEndpoint,
        ...(oauth.registrationEndpoint === undefined ? {} : { registration_endpoint: oauth.registrationEndpoint }),
    });
    return { metadata, isIssuerKnown: oauth.issuer !== undefined };
}

/** Where no issuer is known this stands in: openid-client asks for one. */
function originOf({ authorization_endpoint: authorization, token_endpoint: token }: Authorization): string {
    return new URL(authorization ?? token).origin;
}

/** What the file of an account says of its server. */
export function authorizationOf({ metadata: server, isIssuerKnown }: Server): Authorization {
    return {
        issuer: isIssuerKnown ? server.issuer : null,
        authorization_endpoint: server.authorization_endpoint ?? null,
        token_endpoint: server.token_endpoint as string,
        device_authorization_endpoint: server.device_authorization_endpoint ?? null,
        revocation_endpoint: server.revocation_endpoint ?? null,
    };
}

/** The metadata that an issuer publishes: as OAuth says (RFC 8414), else as OpenID Connect does. Its issuer must be the same. */
export async function discovered(issuer: string, tls?: TlsOptions, route?: RouteOptions): Promise<Server> {
    const library = await openid();
    const address = httpsAddress(issuer, "--issuer");
    const options = { [library.customFetch]: fetchWith(tls, route) };
    const ask = async (algorithm: "oauth2" | "oidc"): Promise<ServerMetadata> => {
        const found = await library.discovery(address, "nobody", undefined, undefined, { ...options, algorithm });
        const { supportsPKCE: _, ...server } = found.serverMetadata();
        return server;
    };
    try {
        return { metadata: await ask("oauth2").catch(() => ask("oidc")), isIssuerKnown: true };
    } catch (error) {
        throw new ConfigError(`the metadata of ${address.host} cannot be used: ${wordsOf(error)}`, {
            cause: standIn(error, wordsOf(error)),
        });
    }
}

function httpsAddress(text: string, what: string): URL {
    const address = URL.canParse(text) ? new URL(text) : undefined;
    if (address?.protocol !== "https:") {
        throw new ConfigError(`${what} must be an address that begins with https://`);
    }
    return address;
}

/**
 * Sends the redirect address as the authorization request had it (RFC 6749 section 4.1.3): openid-client reads it from an address, and
 * so adds a slash to one that has no path.
 */
export function sendingRedirect(
    library: typeof import("openid-client"),
    configuration: Configuration,
    redirect: string,
): void {
    const send = configuration[library.customFetch];
    configuration[library.customFetch] = (url, options) => {
        const { body } = options;
        if (body instanceof URLSearchParams && body.has("redirect_uri")) {
            body.set("redirect_uri", redirect);
        }
        return (send as NonNullable<typeof send>)(url, options);
    };
}

/** Registers a program with a server that takes programs which it has not seen before (RFC 7591). */
export async function registered(
    server: ServerMetadata,
    redirect: string,
    tls?: TlsOptions,
    route?: RouteOptions,
): Promise<Client> {
    const library = await openid();
    const send = fetchWith(tls, route);
    // The library asks for the metadata first: here it is known already.
    const here = new URL("/.well-known/known-already", server.registration_endpoint);
    const known = (url: string, options: Parameters<typeof send>[1]): Promise<Response> =>
        url === here.href ? Promise.resolve(Response.json(server)) : send(url, options);
    const program = {
        client_name: "mailbearer",
        application_type: "native",
        token_endpoint_auth_method: "none",
        redirect_uris: [redirect],
        response_types: ["code"],
        grant_types: ["authorization_code", "refresh_token"],
    };
    const options = { [library.customFetch]: known };
    const registration = await library.dynamicClientRegistration(here, program, undefined, options);
    const { client_id: id, client_secret: secret } = registration.clientMetadata();
    return typeof secret === "string" ? { id, secret } : { id };
}

/** Whether no answer came: asking again may help. */
export function isUnreachable(error: unknown): boolean {
    return error instanceof Unreachable || (error instanceof Error && error.cause instanceof Unreachable);
}

/** What openid-client says, without what may be secret: its errors hold requests and answers. */
export function wordsOf(error: unknown): string {
    const { name, cause } = (error ?? {}) as { name?: unknown; cause?: unknown };
    if (error instanceof Unreachable) {
        return error.message;
    }
    if (cause instanceof Unreachable) {
        return cause.message;
    }
    if (cause instanceof Response) {
        return `it answered with status ${cause.status}`;
    }
    const said = error instanceof Error ? error.message : String(name);
    const why = cause instanceof Error && cause.message !== said ? ` (${cause.message})` : "";
    return `${said}${why}`;
}
