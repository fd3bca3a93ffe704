/** The way of a connection to its server: from which address, by which lookup, through which proxy, or over whose socket. */
import { isIP, type LookupFunction } from "node:net";
import { Duplex } from "node:stream";
import { ConfigError } from "./errors";
import { kindOf } from "./foreign";
import { text } from "./native";
import type { OptionsOf } from "./options";
import { Proxy, proxyOfEnvironment } from "./proxy";

/** What a {@link SocketFunction} is told. */
export interface SocketRequest {
    /** The server that the socket must lead to. */
    readonly host: string;
    readonly port: number;
    /** Aborted when nobody waits for the socket any more. */
    readonly signal: AbortSignal;
}

/** Opens a connection to a server, in plain text: TLS is done over what it gives, and verified for the server's name. */
export type SocketFunction = (request: SocketRequest) => Duplex | Promise<Duplex>;

/** The options that say how a connection gets to its server. TLS is verified for the server's name on each of these ways. */
export interface RouteOptions {
    /**
     * The proxy to go through: `socks5://` and `socks4a://` (they need the package `socks`), `http://` and `https://` (by CONNECT),
     * with `user:password@` where it wants them. `environment`: what `ALL_PROXY` says, but for the hosts of `NO_PROXY`. The proxy
     * looks the server's name up. Without a port it is 1080, 80 or 443.
     */
    proxy?: string | URL | undefined;
    /** The address of this machine that connections come from; with a `proxy`, those to the proxy. */
    localAddress?: string | undefined;
    /** Looks up the server's name (with a `proxy`, the proxy's), in place of `dns.lookup`, and is called as that is. */
    lookup?: LookupFunction | undefined;
    /**
     * Opens the connection, in place of mailbearer: a function that is called for each. A `connect` takes a stream that is open,
     * too, for one login. It is in plain text: TLS is done over it.
     */
    socket?: Duplex | SocketFunction | undefined;
}

export const ROUTE_OPTIONS: OptionsOf<RouteOptions> = {
    proxy: "own",
    localAddress: "string",
    lookup: "function",
    socket: "own",
};

const NAMES = ["proxy", "localAddress", "lookup", "socket"] as const;

/** A way that is checked. */
export interface Route {
    readonly proxy: Proxy | undefined;
    readonly localAddress: string | undefined;
    readonly lookup: LookupFunction | undefined;
    readonly socket: Duplex | SocketFunction | undefined;
}

/** From the system's own address, by its own lookup. */
export const DIRECT: Route = { proxy: undefined, localAddress: undefined, lookup: undefined, socket: undefined };

/** Of options, those of the way: for what else is asked on the way to a login. */
export function routeOptionsOf({ proxy, localAddress, lookup, socket }: RouteOptions): RouteOptions {
    return { proxy, localAddress, lookup, socket };
}

/** Whether any of them is given. */
export function hasRoute(options: RouteOptions): boolean {
    return NAMES.some((name) => options[name] !== undefined);
}

/** Checks the way to a host, before any I/O. */
export function routeTo(host: string, options: RouteOptions): Route {
    if (!hasRoute(options)) {
        return DIRECT;
    }
    const { localAddress, lookup, socket } = options;
    if (localAddress !== undefined && isIP(text(localAddress, "localAddress")) === 0) {
        throw new ConfigError("localAddress must be an IP address of this machine");
    }
    if (lookup !== undefined && typeof lookup !== "function") {
        throw new ConfigError(`lookup must be a function, not ${kindOf(lookup)}`);
    }
    if (socket !== undefined && typeof socket !== "function" && !(socket instanceof Duplex)) {
        throw new ConfigError(`socket must be a stream or a function that gives one, not ${kindOf(socket)}`);
    }
    const others = NAMES.filter((name) => name !== "socket" && options[name] !== undefined);
    if (socket !== undefined && others.length > 0) {
        throw new ConfigError(`socket and ${others[0]} exclude each other: the socket has its way already`);
    }
    const proxy = options.proxy === "environment" ? proxyOfEnvironment(host) : proxyGiven(options.proxy);
    return { proxy, localAddress, lookup, socket };
}

function proxyGiven(proxy: string | URL | undefined): Proxy | undefined {
    return proxy === undefined ? undefined : Proxy.parse(proxy);
}

/** Where more than one connection is made, a stream that is open will not do. */
export function refuseOpenSocket({ socket }: RouteOptions, what: string): void {
    if (socket !== undefined && typeof socket !== "function") {
        throw new ConfigError(`socket must be a function for ${what}, which opens more than one connection`);
    }
}
