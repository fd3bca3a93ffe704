/** Opens the way to a server, where it is not mailbearer's own connection: a socket of the program's, or one through a proxy. */
import * as net from "node:net";
import { Duplex } from "node:stream";
import { Attempts } from "./addresses";
import { failureOfConnect, failureOfHost } from "./core";
import { LoginFailed, MailbearerError, Misuse, ProxyFailed } from "./errors";
import { kindOf, saidBy } from "./foreign";
import { anonymous, secured, unverified } from "./handshake";
import type { Limits, Place, Proxy } from "./proxy";
import type { Route } from "./route";
import { codeOf } from "./system";
import type { TlsOptions } from "./settings";

/** A stream in plain text that leads to this place. What fails is a {@link LoginFailed}, with the proxy's or the program's error. */
export async function opened(route: Route, to: Place, tlsOptions: TlsOptions, limits: Limits): Promise<Duplex> {
    try {
        return route.proxy === undefined
            ? await ownStream(route, to, limits.signal)
            : await throughProxy(route.proxy, route, to, tlsOptions, limits);
    } catch (error) {
        if (error instanceof ProxyFailed) {
            throw new LoginFailed(failureOfHost("proxy_failed", error.message), { cause: error });
        }
        if (error instanceof MailbearerError) {
            throw error;
        }
        const words = `the program's own socket: ${saidBy(error)}`;
        throw new LoginFailed(failureOfConnect(codeOf(error) ?? "", words), { cause: error });
    }
}

async function ownStream({ socket }: Route, to: Place, signal: AbortSignal): Promise<Duplex> {
    const given: unknown = typeof socket === "function" ? await socket({ ...to, signal }) : socket;
    if (!(given instanceof Duplex)) {
        throw new Misuse(`the function socket must give a stream, not ${kindOf(given)}`);
    }
    if (given.destroyed || given.readableEnded) {
        throw new Misuse("the socket that was given is closed already");
    }
    return given;
}

async function throughProxy(
    proxy: Proxy,
    route: Route,
    to: Place,
    tlsOptions: TlsOptions,
    limits: Limits,
): Promise<Duplex> {
    let connection: net.Socket;
    try {
        connection = await reached(proxy.place, route, limits.signal);
        if (proxy.scheme === "https") {
            // A client's certificate is for the mail server.
            connection = await encrypted(connection, proxy.place.host, anonymous(tlsOptions));
        }
    } catch (error) {
        throw proxy.unreachable(error as Error);
    }
    return proxy.ask(connection, to, limits);
}

/** The first address that answers. */
function reached({ host, port }: Place, route: Route, signal: AbortSignal): Promise<net.Socket> {
    const { localAddress } = route;
    return new Promise((resolve, reject) => {
        const make = (address: string): net.Socket => net.connect({ host: address, port, localAddress });
        const stop = (): void => {
            attempts.stop();
            reject(signal.reason as Error);
        };
        const look = (): void => {
            const { socket, error } = attempts;
            if (socket !== undefined || error !== undefined) {
                signal.removeEventListener("abort", stop);
            }
            if (socket !== undefined) {
                resolve(socket);
            } else if (error !== undefined) {
                reject(error);
            }
        };
        const attempts = new Attempts(host, make, look, route);
        signal.addEventListener("abort", stop);
    });
}

/** TLS over a stream, verified for this name. */
export async function encrypted(stream: Duplex, host: string, tlsOptions: TlsOptions): Promise<net.Socket> {
    const handshake = secured(tlsOptions, { socket: stream, host });
    const { socket } = handshake;
    await new Promise<void>((resolve, reject) => {
        socket.once("secureConnect", resolve);
        socket.once("error", reject);
        socket.once("close", () => reject(new Error("the connection was lost in the TLS handshake")));
    });
    const doubt = unverified(handshake, host);
    if (doubt !== undefined) {
        socket.destroy();
        throw doubt;
    }
    return socket;
}
