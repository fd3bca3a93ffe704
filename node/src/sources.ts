/** Token sources for whom has no library of their own: the store of `mailbearer login`, a program, a file, an app of its own. */
import type { JWT } from "google-auth-library";
import { type MailProtocol, type OAuth, Provider } from "./core";
import { ConfigError, TokenSourceFailed } from "./errors";
import { kindOf } from "./foreign";
import { readPrivate } from "./login/folder";
import { asNoToken, StoredGrant } from "./login/grant";
import { AccountFile, type StoredAccount } from "./login/store";
import { numeric, optionalText, optionalTexts, text } from "./native";
import { defined, known, type OptionsOf, takes } from "./options";
import { required } from "./peers";
import { tokenPrinted, wordsOfCommand } from "./program";
import { hasRoute, refuseOpenSocket, ROUTE_OPTIONS, type RouteOptions, routeOptionsOf, routeTo } from "./route";
import { type LoginOptions, type TlsOptions, verifying } from "./settings";
import { appScope, type TokenFunction, type TokenSource } from "./tokens";

// ---- The store -------------------------------------------------------------------------------------------------------

/** The options of {@link stored}, with the way to the authorization server. */
export interface StoredOptions extends RouteOptions {
    /** Whom to trust at the authorization server, in place of the system's authorities. */
    tlsOptions?: TlsOptions | undefined;
}

const STORED_OPTIONS: OptionsOf<StoredOptions> = takes("stored", { tlsOptions: "object", ...ROUTE_OPTIONS });

/** One source for each account, so that its calls are joined. */
const sources = new Map<string, TokenFunction>();
/** Of which account a source is. */
const files = new WeakMap<object, AccountFile>();

/**
 * The tokens of an account that `mailbearer login` has logged in, refreshed when they are near their end. Programs in Node and
 * Python may use one account at the same time. It is what `sessions`, `connect` and `Account` take without a `token`.
 *
 *     for await (const connection of sessions({ protocol: "imap", user: "joe@gmail.com", token: stored("joe@gmail.com") })) {
 *         ...
 *     }
 *
 * A token that it gives lives a minute or more. An account that is not logged in is a {@link ConfigError}; a refresh token that
 * the provider has taken back is a {@link NeedsUser}, with the provider's words.
 */
export function stored(user: string, options: StoredOptions = {}): TokenFunction {
    known(options, STORED_OPTIONS, "options of stored");
    const tlsOptions = verifying(options.tlsOptions);
    refuseOpenSocket(options, "stored");
    // What is wrong with it is told now.
    routeTo("stand-in.invalid", options);
    const file = new AccountFile(text(user, "user"));
    file.required();
    if (options.tlsOptions !== undefined || hasRoute(options)) {
        return sourceOfFile(file, tlsOptions, routeOptionsOf(options));
    }
    const source = sources.get(file.path) ?? sourceOfFile(file, {}, {});
    sources.set(file.path, source);
    return source;
}

function sourceOfFile(file: AccountFile, tlsOptions: TlsOptions, route: RouteOptions): TokenFunction {
    const grant = new StoredGrant(file, tlsOptions, route);
    const source: TokenFunction = async (request) => {
        try {
            return await grant.token(request);
        } catch (error) {
            throw asNoToken(error);
        }
    };
    files.set(source, file);
    return source;
}

/** The source that the options name, else what is stored of their user, whose tokens are refreshed on the way of the login. @internal */
export function sourceFor(options: RouteOptions & { user: string; token?: TokenSource | undefined }): TokenSource {
    const { user, token, socket } = options;
    if (token !== undefined) {
        return token;
    }
    // A stream that is open leads to the mail server.
    return stored(user, { ...routeOptionsOf(options), socket: typeof socket === "function" ? socket : undefined });
}

/** Where a stored account's server is, unless the options say it. @internal */
export function placed(
    protocol: MailProtocol | undefined,
    options: LoginOptions,
    token: TokenSource | undefined,
): LoginOptions {
    const file = typeof token === "function" ? files.get(token) : undefined;
    if (file === undefined || options.host !== undefined || options.provider !== undefined) {
        return options;
    }
    const { provider, services } = file.required();
    return { ...placeIn(services, protocol), provider: provider ?? undefined, ...defined(options), user: options.user };
}

/** Whether it may be known where a protocol is: not, where a stored account names its servers and this is none of them. @internal */
export function isPlaced(protocol: MailProtocol, token: TokenSource | undefined): boolean {
    const account = typeof token === "function" ? files.get(token)?.required() : undefined;
    const { services, provider } = account ?? {};
    const isNamed = services?.[protocol] !== undefined || typeof provider === "string";
    return isNamed || services === undefined || services === null;
}

function placeIn(services: StoredAccount["services"], protocol: MailProtocol | undefined): Partial<LoginOptions> {
    const { host, port, tls } = (protocol === undefined ? undefined : services?.[protocol]) ?? {};
    return defined({ host, port: port ?? undefined, tls: tls ?? undefined });
}

// ---- A program -------------------------------------------------------------------------------------------------------

/** The options of {@link command}. */
export interface CommandOptions {
    /** Milliseconds that it may take. Default: 60,000. */
    timeout?: number | undefined;
}

const COMMAND_OPTIONS: OptionsOf<CommandOptions> = takes("command", { timeout: "number" });

/**
 * The token that a program prints, run at every login: without a shell, and ended when it takes too long. What it says on
 * standard error is in the error, without what may be secret.
 *
 *     const token = command("oama access joe@gmail.com");
 *     const same = command(["oama", "access", "joe@gmail.com"], { timeout: 10_000 });
 *
 * A text is split as a POSIX shell does, with quotes and backslashes; nothing is expanded. A program that fails is an outage: it
 * is run again later.
 */
export function command(words: string | readonly string[], options: CommandOptions = {}): TokenFunction {
    known(options, COMMAND_OPTIONS, "options of command");
    const timeout = numeric(options.timeout ?? 60_000, "timeout");
    const list = typeof words === "string" ? wordsOfCommand(words) : words;
    if (!Array.isArray(list) || list.length === 0 || list.some((word) => typeof word !== "string")) {
        throw new ConfigError(`command must be a string or an array of strings, not ${kindOf(words)}`);
    }
    const name = `the command ${list[0] as string}`;
    return ({ signal }) => tokenPrinted(list, name, timeout, signal);
}

// ---- A file ----------------------------------------------------------------------------------------------------------

/**
 * The token in a file, read anew at every login: something else keeps it fresh. Where others than its owner may read the file, it
 * is refused (not on Windows, whose modes say nothing).
 *
 *     const token = tokenFile("/run/user/1000/token");
 */
export function tokenFile(path: string): TokenFunction {
    const given = text(path, "path");
    return () => {
        const content = refusing(() => readPrivate(given))?.trim();
        if (content === undefined || content === "") {
            throw new TokenSourceFailed(`${given} ${content === undefined ? "is missing" : "is empty"}`);
        }
        return content;
    };
}

/** A file that cannot be used is nothing that waiting mends. */
function refusing<T>(work: () => T): T {
    try {
        return work();
    } catch (error) {
        throw error instanceof ConfigError
            ? new TokenSourceFailed(error.message, { permanent: true, cause: error })
            : error;
    }
}

// ---- An app of its own -----------------------------------------------------------------------------------------------

/** An app of Microsoft Entra with rights to mailboxes (`IMAP.AccessAsApp` and the like), and a service principal in Exchange. */
export interface MicrosoftAppOptions {
    /** The name of a profile: `microsoft`, or one of its national clouds. */
    provider: "microsoft" | "microsoft-us" | "microsoft-china";
    /** The directory: its id, or its domain. */
    tenant?: string | undefined;
    clientId: string;
    clientSecret?: string | undefined;
    /** In place of a secret, as MSAL takes it: the SHA-256 thumbprint in hexadecimal, and the private key in PEM. */
    certificate?: { thumbprintSha256: string; privateKey: string } | undefined;
    /** In place of the profile's. Default: `https://outlook.office365.com/.default`, or what the national cloud has. */
    scopes?: readonly string[] | undefined;
    /** Another authority than the profile's, with the directory in it. */
    authority?: string | undefined;
}

/** A service account of Google with domain-wide delegation, which acts for a user of a Workspace. */
export interface GoogleServiceAccountOptions {
    provider: "gmail";
    /** The JSON file of the service account's key. */
    keyFile: string;
    /** The mailbox that it acts for. */
    subject: string;
    /** Default: `https://mail.google.com/`. */
    scopes?: readonly string[] | undefined;
}

/**
 * Tokens for programs of an administrator, which log in to mailboxes without their users: Microsoft's app-only access, through
 * `@azure/msal-node`, and Google's service accounts, through `google-auth-library`. Install the one that you need.
 *
 *     clientCredentials({ provider: "microsoft", tenant: "example.com", clientId, clientSecret: process.env.SECRET });
 *     clientCredentials({ provider: "gmail", keyFile: "key.json", subject: "joe@example.com" });
 *
 * A library that is missing is told at once, as a {@link ConfigError} with the line for npm.
 */
export function clientCredentials(options: MicrosoftAppOptions | GoogleServiceAccountOptions): TokenFunction {
    const provider: unknown = (options as { provider?: unknown } | undefined)?.provider;
    switch (provider) {
        case "gmail":
            return serviceAccount(options as GoogleServiceAccountOptions);
        case "microsoft":
        case "microsoft-us":
        case "microsoft-china":
            return microsoftApp(options as MicrosoftAppOptions);
        default:
            throw new ConfigError(
                `provider is ${provider === undefined ? "missing" : "none of the known values"}: ` +
                    "gmail, microsoft, microsoft-us, microsoft-china",
            );
    }
}

const MICROSOFT_OPTIONS: OptionsOf<MicrosoftAppOptions> = {
    provider: "string",
    tenant: "string",
    clientId: "string",
    clientSecret: "string",
    certificate: "object",
    scopes: "own",
    authority: "string",
};

const GOOGLE_OPTIONS: OptionsOf<GoogleServiceAccountOptions> = {
    provider: "string",
    keyFile: "string",
    subject: "string",
    scopes: "own",
};

function microsoftApp(options: MicrosoftAppOptions): TokenFunction {
    known(options, MICROSOFT_OPTIONS, "options of clientCredentials");
    const { oauth, services } = Provider.named(options.provider);
    const { certificate: clientCertificate } = options;
    const clientSecret = optionalText(options.clientSecret, "clientSecret");
    if ((clientSecret === undefined) === (clientCertificate === undefined)) {
        throw new ConfigError("clientCredentials takes one of clientSecret and certificate");
    }
    const own = optionalText(options.authority, "authority");
    const { origin } = new URL(own ?? (oauth as OAuth).tokenEndpoint);
    const auth = {
        clientId: text(options.clientId, "clientId"),
        authority: own ?? `${origin}/${encodeURIComponent(text(options.tenant, "tenant"))}`,
        knownAuthorities: own === undefined ? [] : [new URL(origin).host],
        ...defined({ clientSecret, clientCertificate }),
    };
    const scopes = [...(optionalTexts(options.scopes, "scopes") ?? [appScope(services[0]?.scopes ?? [])])];
    required("@azure/msal-node");
    const application = once(async () => {
        const { ConfidentialClientApplication } = await import("@azure/msal-node");
        return new ConfidentialClientApplication({ auth });
    });
    return async ({ forceRefresh }) => {
        const answer = await (await application()).acquireTokenByClientCredential({ scopes, skipCache: forceRefresh });
        if (answer === null) {
            throw new TokenSourceFailed("MSAL has no token");
        }
        return { access_token: answer.accessToken, expires_at: answer.expiresOn };
    };
}

function serviceAccount(options: GoogleServiceAccountOptions): TokenFunction {
    known(options, GOOGLE_OPTIONS, "options of clientCredentials");
    const [keyFile, subject] = [text(options.keyFile, "keyFile"), text(options.subject, "subject")];
    const scopes = [...(optionalTexts(options.scopes, "scopes") ?? Provider.named("gmail").services[0]?.scopes ?? [])];
    required("google-auth-library");
    const client = once(async () => {
        const { GoogleAuth } = await import("google-auth-library");
        return (await new GoogleAuth({ keyFile, scopes, clientOptions: { subject } }).getClient()) as JWT;
    });
    return async ({ forceRefresh }) => {
        const jwt = await client();
        if (forceRefresh) {
            jwt.setCredentials({ ...jwt.credentials, expiry_date: 1 });
        }
        const { token } = await jwt.getAccessToken();
        return { access_token: token ?? "", expires_at: new Date(jwt.credentials.expiry_date ?? 0) };
    };
}

/** Makes it when it is first asked for; again, where that failed. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
    let made: Promise<T> | undefined;
    return () => {
        made ??= make().catch((error: unknown) => {
            made = undefined;
            throw error;
        });
        return made;
    };
}
