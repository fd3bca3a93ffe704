/** Lookups of DNS and of files over https, as a discovery orders them. They decide nothing. */
import dns, { type LookupAddress } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { type MxRecord, type SrvRecord, type Trouble, version } from "./core";
import { wayOf } from "./requests";
import type { RouteOptions } from "./route";
import type { TlsOptions } from "./settings";

/** A lookup has no answer, and why. */
export class LookupFailed extends Error {
    constructor(
        readonly trouble: Trouble,
        options?: ErrorOptions,
    ) {
        super(`the lookup has no answer: ${trouble}`, options);
        this.name = "LookupFailed";
    }
}

/** What looks up records. No such name or record is an empty answer; no answer is {@link LookupFailed}. */
export interface Resolver {
    /** The mail exchangers of a domain; none is an empty answer. */
    mx(domain: string, timeout: number): Promise<readonly MxRecord[]>;
    /** The SRV records of a name; none is an empty answer. */
    srv(name: string, timeout: number): Promise<readonly SrvRecord[]>;
}

/** What of a GET matters. */
export interface Fetched {
    readonly status: number;
    readonly location?: string | undefined;
    readonly body: Uint8Array;
}

/** How a GET is done. */
export interface FetchOptions {
    /** Milliseconds for all of it. */
    readonly timeout: number;
    /** Octets of the body; more is {@link LookupFailed} with `too_large`. */
    readonly octetsMax: number;
    /** Others have named the host: an address of a private network is {@link LookupFailed} with `not_public`. */
    readonly publicOnly: boolean;
}

/** What does one GET over https, without following a redirect. */
export type Opener = (url: string, options: FetchOptions) => Promise<Fetched>;

/** The system's resolver, or those that are named, as `127.0.0.1:5353`; asked from this address, if one is given. */
export function systemResolver(servers?: readonly string[], localAddress?: string): Resolver {
    const ask = async <T>(
        timeout: number,
        question: (resolver: dns.promises.Resolver) => Promise<T[]>,
    ): Promise<T[]> => {
        // Of c-ares the time is for each try.
        const resolver = new dns.promises.Resolver({ timeout: Math.max(1, Math.floor(timeout / 2)), tries: 2 });
        if (servers !== undefined) {
            resolver.setServers(servers);
        }
        if (localAddress !== undefined) {
            resolver.setLocalAddress(
                ...((isIP(localAddress) === 4 ? [localAddress] : ["0.0.0.0", localAddress]) as [string]),
            );
        }
        const late = setTimeout(() => resolver.cancel(), timeout);
        try {
            return await question(resolver);
        } catch (error) {
            return withoutRecords(error);
        } finally {
            clearTimeout(late);
        }
    };
    return {
        async mx(domain, timeout) {
            const records = await ask(timeout, (resolver) => resolver.resolveMx(domain));
            return records.map(({ priority, exchange }) => ({ preference: priority, exchange }));
        },
        async srv(name, timeout) {
            const records = await ask(timeout, (resolver) => resolver.resolveSrv(name));
            return records.map(({ priority, weight, port, name: target }) => ({ priority, weight, port, target }));
        },
    };
}

function withoutRecords(error: unknown): never[] {
    const { code } = error as NodeJS.ErrnoException;
    switch (code) {
        case dns.NODATA:
        case dns.NOTFOUND:
            return [];
        case dns.TIMEOUT:
        case dns.CANCELLED:
            throw new LookupFailed("timed_out", { cause: error });
        case dns.CONNREFUSED:
        case "ENETUNREACH":
            throw new LookupFailed("unreachable", { cause: error });
        default:
            throw new LookupFailed("refused", { cause: error });
    }
}

/** Where names are looked up by a proxy, or by whom the program's sockets lead to, nobody here is asked for them. */
export function noResolver(): Resolver {
    const refuse = (): Promise<never> => Promise.reject(new LookupFailed("unreachable"));
    return { mx: refuse, srv: refuse };
}

/** GET by node:https: certificates are verified, no redirect is followed, nothing is kept between two. */
export function httpsOpener(tlsOptions: TlsOptions = {}, route: RouteOptions = {}): Opener {
    return async (url, { timeout, octetsMax, publicOnly }) => {
        // Most programs ask for no file.
        const { default: https } = await import("node:https");
        return new Promise((resolve, reject) => {
            const fail = (error: unknown): void => reject(new LookupFailed(troubleOf(error), { cause: error }));
            const signal = AbortSignal.timeout(Math.max(1, Math.ceil(timeout)));
            const way = wayOf(url, route, tlsOptions, { signal, timeout: Math.max(1, Math.ceil(timeout)) });
            const request = https.get(url, {
                ...tlsOptions,
                ...way,
                rejectUnauthorized: true,
                signal,
                headers: { "user-agent": `mailbearer/${version}`, accept: "*/*", connection: "close" },
                ...(publicOnly ? { lookup: publicAddresses(way.lookup) } : {}),
            });
            request.on("error", fail);
            request.on("response", (response) => {
                const chunks: Buffer[] = [];
                let octets = 0;
                response.on("data", (chunk: Buffer) => {
                    octets += chunk.length;
                    chunks.push(chunk);
                    if (octets > octetsMax) {
                        request.destroy(new LookupFailed("too_large"));
                        reject(new LookupFailed("too_large"));
                    }
                });
                response.on("error", fail);
                response.on("end", () => {
                    const { location } = response.headers;
                    resolve({ status: response.statusCode ?? 0, location, body: Buffer.concat(chunks) });
                });
            });
        });
    };
}

/** Addresses that are not of the Internet: IANA's registries of special-purpose addresses. */
const PRIVATE = new BlockList();
for (const [network, bits] of [
    ["0.0.0.0", 8],
    ["10.0.0.0", 8],
    ["100.64.0.0", 10],
    ["127.0.0.0", 8],
    ["169.254.0.0", 16],
    ["172.16.0.0", 12],
    ["192.0.0.0", 24],
    ["192.0.2.0", 24],
    ["192.168.0.0", 16],
    ["198.18.0.0", 15],
    ["198.51.100.0", 24],
    ["203.0.113.0", 24],
    ["224.0.0.0", 3],
] as const) {
    PRIVATE.addSubnet(network, bits, "ipv4");
}

/** Of IPv6 only these are given out. */
const GIVEN_OUT = new BlockList();
GIVEN_OUT.addSubnet("2000::", 3, "ipv6");

/** Within them, those that are documentation, or carry an address of IPv4 that may be private. */
for (const [network, bits] of [
    ["2001::", 23],
    ["2001:db8::", 32],
    ["2002::", 16],
    ["3fff::", 20],
] as const) {
    PRIVATE.addSubnet(network, bits, "ipv6");
}

/** Whether an address is one of the Internet. */
export function isPublic(address: string): boolean {
    const family = isIP(address);
    if (family === 4) {
        return !PRIVATE.check(address, "ipv4");
    }
    return family === 6 && GIVEN_OUT.check(address, "ipv6") && !PRIVATE.check(address, "ipv6");
}

/** What the connection itself is made with: a name cannot have another address the second time. */
const publicAddresses =
    (lookup: LookupFunction = dns.lookup as LookupFunction): LookupFunction =>
    (host, options, callback) => {
        lookup(host, { ...options, all: true }, (error, answer) => {
            // One of the program's that knows nothing of `all` gives the first.
            const found: LookupAddress[] =
                typeof answer === "string" ? [{ address: answer, family: isIP(answer) }] : (answer ?? []);
            const [first] = found;
            if (error !== null || first === undefined) {
                callback(error, "", 0);
            } else if (!found.every(({ address }) => isPublic(address))) {
                callback(new LookupFailed("not_public"), "", 0);
            } else if (options.all === true) {
                callback(null, found);
            } else {
                callback(null, first.address, first.family);
            }
        });
    };

function troubleOf(error: unknown): Trouble {
    if (error instanceof LookupFailed) {
        return error.trouble;
    }
    const { code = "", name, cause } = error as NodeJS.ErrnoException & { cause?: unknown };
    if (name === "TimeoutError" || name === "AbortError" || code === "ETIMEDOUT") {
        return cause instanceof LookupFailed ? cause.trouble : "timed_out";
    }
    if (code === "ENOTFOUND" || code === "ENODATA") {
        return "no_host";
    }
    if (code.startsWith("HPE_")) {
        return "malformed";
    }
    if (TLS.test(code)) {
        return "tls";
    }
    return "unreachable";
}

/** OpenSSL's codes, its names of what is wrong with a certificate, and Node's. */
const TLS = /^(ERR_SSL_|ERR_TLS_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|EPROTO$|HOSTNAME_MISMATCH|INVALID_)/;
