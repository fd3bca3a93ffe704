/** Requests over https that go the way of a login: from its address, through its proxy, over the program's sockets. */
import type { ClientRequestArgs } from "node:http";
import type { Duplex } from "node:stream";
import { encrypted, opened } from "./opening";
import { hasRoute, type RouteOptions, routeTo } from "./route";
import type { TlsOptions } from "./settings";

/** What `https.request` is told of the way to an address. */
export function wayOf(
    url: string,
    options: RouteOptions,
    tlsOptions: TlsOptions,
    limits: { signal: AbortSignal; timeout: number },
): ClientRequestArgs {
    if (!hasRoute(options)) {
        return { agent: false };
    }
    const { hostname, port } = new URL(url);
    const to = { host: hostname.replace(/^\[(.*)\]$/, "$1"), port: Number(port) || 443 };
    const route = routeTo(to.host, options);
    if (route.proxy === undefined && route.socket === undefined) {
        const { localAddress, lookup } = route;
        return { agent: false, ...(localAddress && { localAddress }), ...(lookup && { lookup }) };
    }
    const connection = async (): Promise<Duplex> =>
        encrypted(await opened(route, to, tlsOptions, limits), to.host, tlsOptions);
    return {
        createConnection(_, ready) {
            connection().then(
                (socket) => ready(null, socket),
                (error: unknown) => ready(error as Error, undefined as never),
            );
            return undefined;
        },
    };
}
