/** What a login is told, gathered from options, a provider's profile, and the mail address. */
import * as tls from "node:tls";
import {
    checkedEhloName,
    type Discovered,
    type LoginSettings,
    type MailProtocol,
    Provider,
    type Service,
    type Tls,
    tlsAtPort,
} from "./core";
import { ConfigError } from "./errors";
import { kindOf, shown } from "./foreign";
import { numeric, text } from "./native";
import { known, type OptionsOf } from "./options";
import { type Route, ROUTE_OPTIONS, type RouteOptions, routeTo } from "./route";

/** Whom to trust, and how to encrypt: what `tls.createSecureContext` takes. Verification cannot be switched off. */
export type TlsOptions = tls.SecureContextOptions & { secureContext?: tls.SecureContext | undefined };

/** The options that every way to log in takes, but for the protocol and the token. */
export interface LoginOptions extends RouteOptions {
    /** The mailbox, most often a mail address. */
    user: string;
    /** Where the server is; left out: as the profile of the provider says. */
    host?: string | undefined;
    port?: number | undefined;
    /**
     * `implicit`: TLS from the start; `starttls`: upgraded with STARTTLS. There is no plaintext. Left out: as the port is
     * registered (143, 110, 587 and 25 are for STARTTLS), else `implicit`.
     */
    tls?: Tls | undefined;
    /** A server of your own uses a registered port in another way: for another protocol, or with the other way of TLS. */
    unusualPort?: boolean | undefined;
    /** A provider's name, as in `gmail`, or a profile; left out: found from the mail address, where that is certain. */
    provider?: string | Provider | undefined;
    /** Certificate authorities and the like, as for `tls.createSecureContext`. */
    tlsOptions?: TlsOptions | undefined;
    /** Milliseconds for connection, TLS, greeting and login together. Default: 60,000. */
    timeout?: number | undefined;
    /** Milliseconds that an answer to a command may take after the login, where nothing comes. Default: as `timeout`. */
    answerTimeout?: number | undefined;
    /** Milliseconds for the answer to the end of a message that is sent (RFC 5321 section 4.5.3.2.6). Default: 600,000. */
    dataTimeout?: number | undefined;
    /** The mailbox to act for, where it is not the user's own. */
    authzid?: string | undefined;
    mechanisms?: LoginSettings["mechanisms"];
    initialResponse?: LoginSettings["initialResponse"];
    /** The name that SMTP's EHLO gives: this machine's full domain name, where a server wants one. Default: the user's domain. */
    ehloName?: string | undefined;
    assumedCapabilities?: readonly string[] | undefined;
    /**
     * Whether the servers may be looked up with {@link discover}, where neither `host` nor `provider` is given and the domain of
     * the address is not known. Default: true.
     */
    discover?: boolean | undefined;
}

export const LOGIN_OPTIONS: OptionsOf<LoginOptions> = {
    user: "string",
    host: "string",
    port: "number",
    tls: "string",
    unusualPort: "boolean",
    provider: "own",
    tlsOptions: "object",
    timeout: "number",
    answerTimeout: "number",
    dataTimeout: "number",
    authzid: "string",
    mechanisms: "own",
    initialResponse: "string",
    ehloName: "string",
    assumedCapabilities: "own",
    discover: "boolean",
    ...ROUTE_OPTIONS,
};

const PROVIDER_MEMBERS: OptionsOf<Provider> = {
    name: "string",
    domains: "array",
    tokenLifetimeMs: "number",
    services: "array",
    oauth: "object",
    instead: "string",
};

const TLS_OPTIONS = [
    "ca",
    "cert",
    "key",
    "pfx",
    "passphrase",
    "ciphers",
    "sigalgs",
    "crl",
    "dhparam",
    "ecdhCurve",
    "honorCipherOrder",
    "minVersion",
    "maxVersion",
    "allowPartialTrustChain",
    "secureContext",
];

const PORTS = {
    imap: { implicit: 993, starttls: 143 },
    pop3: { implicit: 995, starttls: 110 },
    smtp: { implicit: 465, starttls: 587 },
};

/** Where a server listens, and when TLS begins. */
export class Endpoint {
    constructor(
        readonly protocol: MailProtocol,
        readonly host: string,
        readonly port: number,
        readonly tls: Tls,
    ) {}

    /** As in `imap.gmail.com:993 (TLS)`. */
    toString(): string {
        return `${this.host}:${this.port} (${this.tls === "implicit" ? "TLS" : "STARTTLS"})`;
    }
}

/** A login, but for its token. */
export interface Settings {
    readonly endpoint: Endpoint;
    readonly user: string;
    readonly timeout: number;
    readonly answerTimeout: number;
    readonly dataTimeout: number;
    readonly tlsOptions: TlsOptions;
    /** The way to it. */
    readonly route: Route;
    /** What the machines are told. */
    readonly login: LoginSettings;
    /** What the provider's profile says of the protocol. */
    readonly service: Partial<Service>;
    readonly tokenLifetimeMs: number | undefined;
    /** What was looked up for it. */
    readonly discovered?: Discovered | undefined;
}

/** Whether the servers must be looked up: nobody has named them, and the domain is not known. */
export function isToDiscover(options: Pick<LoginOptions, "user" | "host" | "provider" | "discover">): boolean {
    const { user, host, provider, discover = true } = options;
    if (typeof discover !== "boolean") {
        throw new ConfigError(`discover must be a boolean, not ${kindOf(discover)}`);
    }
    if (!discover || host !== undefined || provider !== undefined || typeof user !== "string") {
        return false;
    }
    return user.includes("@") && user.isWellFormed() && providerOf(user, undefined) === undefined;
}

/** Gathers the settings of a login and checks them, before any I/O; with what was looked up for it, if something was. */
export function resolve(protocol: MailProtocol, given: LoginOptions, discovered?: Discovered): Settings {
    if (!Object.hasOwn(PORTS, protocol)) {
        throw new ConfigError(
            `protocol is ${protocol === undefined ? "missing" : "none of the known values"}: imap, pop3, smtp`,
        );
    }
    const options = discovered === undefined ? given : { ...given, ...discovered.login(protocol) };
    const profile = profileOf(options);
    if (profile?.instead !== undefined && options.host === undefined) {
        throw new ConfigError(`${profile.name} cannot be logged in to with OAuth. ${profile.instead}`);
    }
    const service: Partial<Service> = profile?.services.find((one) => one.protocol === protocol) ?? {};
    const host = options.host ?? service.host;
    if (host === undefined) {
        throw new ConfigError(
            `the provider ${profile?.name} has no ${protocol} service: give another protocol, or a host`,
        );
    }
    const endpoint = endpointOf(protocol, options, service, text(host, "host"));
    const told: LoginSettings = {
        protocol,
        user: options.user,
        host: endpoint.host,
        port: endpoint.port,
        tls: endpoint.tls,
        authzid: options.authzid,
        mechanisms: options.mechanisms ?? service.mechanisms,
        initialResponse: options.initialResponse ?? service.initialResponse,
        ehloName: options.ehloName,
        assumedCapabilities: options.assumedCapabilities ?? service.assumedCapabilities,
    };
    // The core checks every field.
    const login = { ...told, ehloName: checkedEhloName(told) };
    return {
        endpoint,
        user: options.user,
        timeout: timeoutOf("timeout", options.timeout ?? 60_000),
        answerTimeout: timeoutOf("answerTimeout", options.answerTimeout ?? options.timeout ?? 60_000),
        dataTimeout: timeoutOf("dataTimeout", options.dataTimeout ?? 600_000),
        tlsOptions: verifying(options.tlsOptions),
        route: routeTo(endpoint.host, options),
        login,
        service,
        tokenLifetimeMs: profile?.tokenLifetimeMs,
        discovered,
    };
}

/** Profiles that were asked for, by name or `@domain`: to make one costs more than the rest of this. Nothing changes them. */
const profiles = new Map<string, Provider>();

function remembered<T extends Provider | undefined>(name: string, find: () => T): Provider | T {
    const key = name.toLowerCase();
    const profile = profiles.get(key) ?? find();
    if (profile !== undefined) {
        profiles.set(key, profile);
    }
    return profile;
}

function profileOf(options: LoginOptions): Provider | undefined {
    const { provider } = options;
    if (typeof provider === "string") {
        return remembered(provider, () => Provider.named(provider));
    }
    if (provider !== undefined) {
        known(provider, PROVIDER_MEMBERS, "provider");
        if (provider.services === undefined) {
            throw new ConfigError(
                "services is missing in the provider's profile: an array, as Provider.named gives one",
            );
        }
        return provider;
    }
    if (options.host !== undefined) {
        return undefined;
    }
    const user = text(options.user, "user");
    const profile = remembered(user.slice(user.lastIndexOf("@")), () => Provider.ofAddress(user));
    if (profile === undefined) {
        throw new ConfigError(
            "host is missing, and the mail address does not tell the provider: give host or provider",
        );
    }
    return profile;
}

/** What is known of an account's provider, without a host: perhaps nothing. */
export function providerOf(user: string, provider: string | Provider | undefined): Provider | undefined {
    if (provider !== undefined) {
        return profileOf({ user, provider });
    }
    return remembered(user.slice(user.lastIndexOf("@")), () => Provider.ofAddress(user));
}

function endpointOf(protocol: MailProtocol, options: LoginOptions, service: Partial<Service>, host: string): Endpoint {
    const unusual: unknown = options.unusualPort ?? false;
    if (typeof unusual !== "boolean") {
        throw new ConfigError(`unusualPort must be a boolean, not ${kindOf(unusual)}`);
    }
    const { tls } = options;
    if (tls !== undefined && tls !== "implicit" && tls !== "starttls") {
        throw new ConfigError("tls is none of the known values: implicit, starttls");
    }
    const profiled = service.port === undefined ? undefined : numeric(service.port, "port");
    if (options.port !== undefined) {
        const port = numeric(options.port, "port");
        const asked = tls ?? (port === profiled ? service.tls : undefined);
        return new Endpoint(protocol, host, port, tlsAtPort(protocol, port, asked, unusual));
    }
    const usual = profiled === undefined ? undefined : tlsAtPort(protocol, profiled, service.tls, unusual);
    const mode = tls ?? usual ?? service.tls ?? "implicit";
    return new Endpoint(protocol, host, mode === usual && profiled ? profiled : PORTS[protocol][mode], mode);
}

function timeoutOf(name: string, timeout: number): number {
    const given = numeric(timeout, name);
    // What Node's timers take: a longer one would ring at once.
    if (!(given > 0 && given <= 2_147_483_647)) {
        throw new ConfigError(`${name} must be a number of milliseconds above zero, and at most 2147483647`);
    }
    return Math.ceil(given);
}

/** TLS that verifies certificate and host name; there is no way to switch that off. @internal */
export function verifying(options: TlsOptions | undefined): TlsOptions {
    if (options === undefined) {
        return {};
    }
    if (typeof options !== "object" || options === null) {
        throw new ConfigError(`tlsOptions must be an object, not ${kindOf(options)}`);
    }
    const stranger = Object.keys(options).find((name) => !TLS_OPTIONS.includes(name));
    if (stranger !== undefined) {
        throw new ConfigError(
            `tlsOptions has no option ${stranger}: certificate and host name are always verified; ` +
                "give your own authority as ca",
        );
    }
    try {
        // What it cannot use it says now, and not in the middle of a login.
        tls.createSecureContext(options);
    } catch (error) {
        throw new ConfigError(`tlsOptions cannot be used (${shown((error as Error).message)})`, { cause: error });
    }
    // A copy: what is added to them later would not have been checked.
    return Object.freeze({ ...options });
}
