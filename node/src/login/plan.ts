/** What `mailbearer login` goes by: the authorization server, the client, the scopes, and the mail servers. */
import { readFileSync } from "node:fs";
import { argumentsOf, type Arguments, placesOf } from "../check";
import { routeOf, textOf, type Values, WrongUse } from "../commands/arguments";
import { type Discovered, type FoundOAuth, type MailProtocol, type OAuth, Provider } from "../core";
import { discoveredFor } from "../discover";
import { ConfigError } from "../errors";
import { native } from "../native";
import type { RouteOptions } from "../route";
import { providerOf, type TlsOptions } from "../settings";
import { clientOf } from "./client";
import { refusal } from "./consent";
import { systemWords } from "./folder";
import type { RedirectForm } from "./loopback";
import { type Client, discovered, metadataOf, registered, type Server, serverOfProvider } from "./server";
import { AccountFile, type ServicePlace, type Store, type StoredAccount } from "./store";

/** The user must say more, or have a client id first: the text says how. */
export class Missing extends Error {}

/** What a login goes by. */
export interface Plan {
    readonly given: Arguments;
    readonly user: string;
    /** Of the mail servers. */
    readonly profile: Provider | undefined;
    readonly server: Server;
    /** The profile's OAuth side, where the authorization server is the profile's. */
    readonly oauth: OAuth | undefined;
    readonly client: Client;
    readonly scopes: readonly string[];
    /** Where the mail servers are, as far as the profile does not say it. */
    readonly services: Readonly<Record<string, ServicePlace | undefined>>;
    /** The protocols of which it is known where they are. */
    readonly reachable: readonly MailProtocol[];
    readonly store: Store;
    readonly tls: TlsOptions;
    /** To the authorization server. */
    readonly route: RouteOptions;
}

/** An authorization server, and who says what of it. */
interface Origin {
    readonly server: Server;
    readonly scopes: readonly string[];
    readonly oauth?: OAuth | undefined;
    /** A client id that everybody may use. */
    readonly publicClient?: string | undefined;
}

/** What is known before the authorization server is. */
interface Known {
    readonly values: Values;
    readonly given: Arguments;
    readonly user: string;
    readonly tls: TlsOptions;
    readonly route: RouteOptions;
    readonly profile: Provider | undefined;
    readonly found: Discovered | undefined;
    readonly before: StoredAccount | undefined;
}

/** How an authorization server is spoken to. */
type Way = Pick<Known, "tls" | "route">;

/** Finds out what a login goes by, before anybody is asked anything. */
export async function planOf(file: AccountFile, values: Values): Promise<Plan> {
    const known = await knownOf(file, values);
    const { given, user, tls, route, profile, found, before } = known;
    const origin = await originOf(known);
    const isSame = before?.authorization.token_endpoint === origin.server.metadata.token_endpoint;
    const asked = values["scope"];
    const scopes = Array.isArray(asked) ? asked.map(String) : isSame ? (before?.scopes ?? []) : origin.scopes;
    const client = await clientFor(known, origin, isSame ? before : undefined, file);
    const looked = found !== undefined && profile === undefined ? placesIn(found) : {};
    const services = { ...before?.services, ...looked, ...placesOf(given) };
    const reachable = given.asked.filter(
        (one) =>
            services[one] !== undefined ||
            profile?.services.some(({ protocol }) => protocol === one) === true ||
            found?.service(one) !== undefined,
    );
    const store = storeOf(values) ?? before?.store ?? "keyring";
    const { server, oauth } = origin;
    return { given, user, profile, server, oauth, client, scopes, services, reachable, store, tls, route };
}

function storeOf(values: Values): Store | undefined {
    const store = textOf(values, "store");
    if (store !== undefined && store !== "keyring" && store !== "file") {
        throw new WrongUse("--store is keyring or file");
    }
    return store;
}

async function knownOf(file: AccountFile, values: Values): Promise<Known> {
    const { user } = file;
    const given = argumentsOf(user, values);
    const tls = given.caFile === undefined ? {} : { ca: authorities(given.caFile) };
    const route = routeOf(values);
    const before = storedBefore(file, values);
    const named = providerOf(user, given.provider ?? before?.provider ?? undefined);
    const isKnown = named !== undefined || before !== undefined;
    const found = isKnown ? undefined : await lookedUp(user, values, given, { tls, route });
    const profile = typeof found?.provider === "string" ? Provider.named(found.provider) : named;
    return { values, given, user, tls, route, profile, found, before };
}

function authorities(path: string): Buffer {
    try {
        return readFileSync(path);
    } catch (error) {
        throw new ConfigError(`${path} cannot be read: ${systemWords(error)}`);
    }
}

/** The login that was stored before: to log in again, nothing of it need be said again. */
function storedBefore(file: AccountFile, values: Values): StoredAccount | undefined {
    if (values["provider"] !== undefined || values["issuer"] !== undefined) {
        return undefined;
    }
    try {
        return file.read();
    } catch (error) {
        if (error instanceof ConfigError) {
            // What cannot be read is replaced.
            return undefined;
        }
        throw error;
    }
}

/** Looks up what nobody has named: the mail servers, and the authorization server. */
async function lookedUp(
    user: string,
    values: Values,
    given: Arguments,
    { tls, route }: Way,
): Promise<Discovered | undefined> {
    const hasIssuer = values["issuer"] !== undefined;
    const areNamed = given.asked.every((protocol) => given.places[protocol] !== undefined);
    if (!given.discover || (hasIssuer && areNamed) || !user.includes("@")) {
        return undefined;
    }
    const found = await discoveredFor({ user, ...route, ...(given.caFile === undefined ? {} : { tlsOptions: tls }) });
    if (found?.outcome === "found") {
        console.log(`${found.sentence}\n`);
        return found;
    }
    if (found === undefined || hasIssuer) {
        return undefined;
    }
    throw new Missing(
        `${found.sentence} Else give --provider, or --issuer with the address of the authorization server.`,
    );
}

/** Where the mail servers are. Where the user name is another one, they are looked up again at each login. */
function placesIn(found: Discovered): Record<string, ServicePlace> {
    if (found.services.some((service) => service.user !== found.address)) {
        return {};
    }
    return Object.fromEntries(found.services.map(({ protocol, host, port, tls }) => [protocol, { host, port, tls }]));
}

// ---- The authorization server ----------------------------------------------------------------------------------------

const OFFLINE = "offline_access";

async function originOf(known: Known): Promise<Origin> {
    const { values, user, profile, found, before } = known;
    const issuer = textOf(values, "issuer");
    if (issuer !== undefined) {
        const scopes = scopesOf(profile);
        return ofIssuer(issuer, scopes.length > 0 ? scopes : (found?.oauth?.scopes ?? []), known);
    }
    if (before !== undefined && before.authorization.token_endpoint !== profile?.oauth?.tokenEndpoint) {
        return ofBefore(before, known);
    }
    if (profile?.instead !== undefined) {
        throw new Missing(`${profile.name} cannot be logged in to with OAuth. ${profile.instead}.`);
    }
    if (profile?.oauth !== undefined) {
        return { server: serverOfProvider(profile.oauth), scopes: scopesOf(profile), oauth: profile.oauth };
    }
    if (found !== undefined && found.oauth !== null) {
        return ofDiscovery(found.oauth, known);
    }
    throw new Missing(
        profile === undefined
            ? `Which provider ${user} is at is not known: give --provider, or --issuer with the address of the ` +
                  "authorization server."
            : `${profile.name} is not known to give tokens to other programs: give --issuer, if you know better.`,
    );
}

function scopesOf(profile: Provider | undefined): readonly string[] {
    return [...new Set(profile?.services.flatMap(({ scopes = [] }) => scopes))];
}

async function ofBefore({ authorization, scopes }: StoredAccount, way: Way): Promise<Origin> {
    if (typeof authorization.issuer === "string") {
        return ofIssuer(authorization.issuer, scopes, way);
    }
    return { server: { metadata: metadataOf(authorization), isIssuerKnown: false }, scopes };
}

/** What an issuer says of itself; with the scope that a refresh token is given for (OpenID Connect Core section 11). */
async function ofIssuer(
    issuer: string,
    scopes: readonly string[],
    { tls, route }: Way,
    publicClient?: string,
): Promise<Origin> {
    const server = await discovered(issuer, tls, route);
    const hasOffline = server.metadata.scopes_supported?.includes(OFFLINE) === true && !scopes.includes(OFFLINE);
    return { server, scopes: hasOffline ? [...scopes, OFFLINE] : scopes, publicClient };
}

/** What was discovered; an issuer that says anything says the rest itself. */
async function ofDiscovery(found: FoundOAuth, way: Way): Promise<Origin> {
    const publicClient = found.clientId ?? undefined;
    if (found.issuer !== null && (found.hasMetadata || found.tokenEndpoint === null)) {
        return ofIssuer(found.issuer, found.scopes, way, publicClient);
    }
    if (found.tokenEndpoint === null) {
        throw new Missing("Where the tokens of this provider come from was not found: give --issuer.");
    }
    const metadata = metadataOf({
        issuer: found.issuer,
        authorization_endpoint: found.authorizationEndpoint,
        token_endpoint: found.tokenEndpoint,
        device_authorization_endpoint: found.deviceAuthorizationEndpoint,
        revocation_endpoint: found.revocationEndpoint,
        ...(found.registrationEndpoint === null ? {} : { registration_endpoint: found.registrationEndpoint }),
    });
    return { server: { metadata, isIssuerKnown: found.issuer !== null }, scopes: found.scopes, publicClient };
}

// ---- The client ------------------------------------------------------------------------------------------------------

/** The user's own client, the one that was used before, the provider's for everybody, or a new one. */
async function clientFor(
    { values, user, profile, tls, route }: Known,
    { server, oauth, publicClient }: Origin,
    before: StoredAccount | undefined,
    file: AccountFile,
): Promise<Client> {
    const options = {
        id: textOf(values, "client-id"),
        secretFile: textOf(values, "client-secret-file"),
        file: textOf(values, "client-file"),
    };
    const own = clientOf(options, [profile?.name, textOf(values, "issuer"), server.metadata.issuer]);
    if (own !== undefined) {
        return own;
    }
    if (before !== undefined) {
        return clientBefore(before, file);
    }
    if (publicClient !== undefined) {
        return { id: publicClient };
    }
    const name = oauth === undefined ? undefined : profile?.name;
    const issuer = server.isIssuerKnown ? server.metadata.issuer : undefined;
    const steps = `A client id is missing: --client-id. To have one for ${user}:\n\n${native.clientSteps(user, name, issuer)}`;
    if (server.metadata.registration_endpoint === undefined) {
        throw new Missing(steps);
    }
    const { host, path } = redirectOf(name);
    try {
        return await registered(server.metadata, `http://${host}${path}`, tls, route);
    } catch (error) {
        const why = `The server gives none to a program that asks by itself: ${refusal(error).message}.\n`;
        throw new Missing(why + steps);
    }
}

async function clientBefore(account: StoredAccount, file: AccountFile): Promise<Client> {
    try {
        return { id: account.client_id, secret: (await file.grant(account)).client_secret };
    } catch (error) {
        if (error instanceof ConfigError) {
            // Its grant is lost, and a secret with it; a public client has none.
            return { id: account.client_id };
        }
        throw error;
    }
}

/** Where the browser comes back to. Some consoles take no address with numbers; Microsoft's takes it without a path. */
export function redirectOf(provider: string | undefined): RedirectForm {
    if (provider !== undefined && /^microsoft/.test(provider)) {
        return { host: "localhost", path: "" };
    }
    return { host: provider === "fastmail" ? "localhost" : "127.0.0.1", path: "/" };
}
