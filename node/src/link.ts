/** A socket on its way to be logged in: TCP, TLS, reads and writes, all within one deadline. */
import * as net from "node:net";
import type { Duplex } from "node:stream";
import type * as tls from "node:tls";
import { Attempts } from "./addresses";
import { type Cause, type Failure, failureOfConnect, failureOfHost } from "./core";
import { LoginFailed } from "./errors";
import { type Handshake, secured, speaksTls, unverified } from "./handshake";
import { opened } from "./opening";
import type { Settings } from "./settings";
import { connectFailure, handshakeFailure } from "./system";
import type { Tracer } from "./trace";

/** A server greets within this; one that is silent for longer may wait for TLS. */
const GREETING_MS = 5_000;

/** Silence after which the system asks whether the peer is there, and then each second. Routers forget after four minutes. */
const KEEP_ALIVE_MS = 60_000;

/** Whatever fails here is a {@link LoginFailed}, or the reason of the signal that aborted it. */
export class Link {
    readonly #settings: Settings;
    readonly #begun = performance.now();
    readonly #deadline: NodeJS.Timeout;
    #attempts: Attempts<net.Socket> | undefined;
    readonly #opening = new AbortController();
    #socket: Duplex | undefined;
    #problem: unknown;
    #wake: (() => void) | undefined;
    #isConnected = false;
    #isSecure = false;
    #isHeard = false;
    roundTrips = 0;

    constructor(
        settings: Settings,
        readonly tracer?: Tracer,
    ) {
        this.#settings = settings;
        this.#deadline = setTimeout(() => this.abort(this.#late()), settings.timeout);
    }

    /** Milliseconds that this has taken so far. */
    get elapsed(): number {
        return performance.now() - this.#begun;
    }

    /** What the system says of a connection that broke; nothing where it ended in order. */
    get error(): Error | undefined {
        return this.#socket?.errored ?? undefined;
    }

    /** Connects, with TLS where it is implicit. */
    async open(): Promise<void> {
        const { endpoint, route } = this.#settings;
        if (route.socket === undefined && route.proxy === undefined) {
            await this.#openDirectly();
            return;
        }
        this.#ready(await this.#led());
        if (endpoint.tls === "implicit") {
            await this.startTls();
        }
    }

    /** To the first address of the host that answers. */
    async #openDirectly(): Promise<void> {
        const { endpoint, route } = this.#settings;
        const { host, port, tls: mode } = endpoint;
        const { localAddress } = route;
        const handshakes = new Map<net.Socket, Handshake>();
        const make = (address: string): net.Socket => {
            if (mode !== "implicit") {
                return net.connect({ host: address, port, localAddress });
            }
            // One socket where TLS is implicit: a second one below it would cost as much as the login.
            const handshake = secured(this.#settings.tlsOptions, { host: address, port, localAddress }, host);
            handshakes.set(handshake.socket, handshake);
            return handshake.socket;
        };
        const socket = await this.#connected(new Attempts(host, make, this.#look, route));
        this.#ready(socket);
        const handshake = handshakes.get(socket);
        if (handshake !== undefined) {
            await this.#untilSecure(handshake);
        }
    }

    #ready(socket: Duplex): void {
        if (socket instanceof net.Socket) {
            socket.setNoDelay(true);
            // Also in IDLE a peer is noticed that is gone, and a router on the way keeps the connection in mind.
            socket.setKeepAlive(true, KEEP_ALIVE_MS);
        }
        this.#own(socket);
        this.#isConnected = true;
    }

    /** What a proxy or the program has opened. */
    async #led(): Promise<Duplex> {
        const { endpoint, route, tlsOptions, timeout } = this.#settings;
        const opening = opened(route, endpoint, tlsOptions, { signal: this.#opening.signal, timeout });
        let end: { socket: Duplex } | { error: unknown } | undefined;
        void opening
            .then(
                (socket) => (end = { socket }),
                (error: unknown) => (end = { error }),
            )
            .then(this.#look);
        for (;;) {
            if (this.#opening.signal.aborted) {
                // Nobody waits for it any more.
                void opening.then(
                    (socket) => socket.destroy(),
                    () => undefined,
                );
                throw this.#problem ?? this.#opening.signal.reason;
            }
            if (end !== undefined && "error" in end) {
                throw end.error;
            }
            if (end !== undefined) {
                return end.socket;
            }
            await this.#woken();
        }
    }

    async #connected(attempts: Attempts<net.Socket>): Promise<net.Socket> {
        this.#attempts = attempts;
        while (attempts.socket === undefined) {
            if (this.#problem !== undefined) {
                throw this.#problem;
            }
            const { error } = attempts;
            if (error !== undefined) {
                throw caused(connectFailure(error), error);
            }
            await this.#woken();
        }
        return attempts.socket;
    }

    /** What has come and nobody has read: before the handshake, that must be nothing. */
    take(): Buffer | undefined {
        const data = (this.#socket?.read() as Buffer | null) ?? undefined;
        this.#trace(data);
        return data;
    }

    /** Does the handshake on the socket that is open. */
    async startTls(): Promise<void> {
        this.tracer?.flush();
        const { host } = this.#settings.endpoint;
        const handshake = secured(this.#settings.tlsOptions, { socket: this.#take(), host });
        this.#own(handshake.socket);
        await this.#untilSecure(handshake);
    }

    async #untilSecure(handshake: Handshake): Promise<void> {
        const { socket, certificate } = handshake;
        let isDone = false;
        socket.once("secureConnect", () => {
            isDone = true;
            this.#look();
        });
        const failure = (error: Error | null) => caused(handshakeFailure(error, certificate()?.raw), error);
        await this.#until(() => isDone, failure);
        const doubt = unverified(handshake, this.#settings.endpoint.host);
        if (doubt !== undefined) {
            throw failure(doubt);
        }
        this.#isSecure = true;
    }

    /** What has come; nothing at the end. */
    async read(): Promise<Buffer | undefined> {
        const socket = this.#open();
        let data: Buffer | null = null;
        // What the server said before the connection broke is read first.
        const ready = () =>
            (data = socket.read() as Buffer | null) !== null || socket.readableEnded || socket.destroyed;
        const leave = this.#isHeard || this.#isSecure ? undefined : this.#lookForTls(socket);
        try {
            await this.#until(ready, () => undefined);
        } finally {
            leave?.();
        }
        this.#isHeard = true;
        this.#trace(data);
        return data ?? undefined;
    }

    #trace(data: Buffer | null | undefined): void {
        if (data) {
            this.tracer?.received(data);
        }
    }

    /** Where STARTTLS was meant, a port that says nothing may wait for TLS. What it gives ends the look. */
    #lookForTls(socket: Duplex): () => void {
        const { endpoint, timeout, tlsOptions, route } = this.#settings;
        if (!(socket instanceof net.Socket) || route.proxy !== undefined || route.socket !== undefined) {
            // A second connection would have to go the same way, and perhaps cannot.
            return () => undefined;
        }
        let leave = (): void => clearTimeout(timer);
        const look = async (): Promise<void> => {
            const probe = speaksTls(tlsOptions, endpoint.host, {
                address: socket.remoteAddress ?? endpoint.host,
                port: endpoint.port,
                localAddress: route.localAddress,
            });
            leave = () => probe.giveUp();
            if ((await probe.answer) && !this.#isHeard) {
                this.abort(failed("wrong_tls_mode", "the server says nothing before TLS has begun"));
            }
        };
        const timer = setTimeout(() => void look().catch(() => undefined), Math.min(GREETING_MS, timeout / 2));
        return () => leave();
    }

    /** Writes all of it. What fails here is told by the next read: the server may have said why before it closed. */
    write(data: Uint8Array, sensitive: boolean): void {
        this.roundTrips += 1;
        this.tracer?.sent(data, sensitive);
        if (this.#problem === undefined) {
            this.#socket?.write(data);
        }
    }

    /** It is logged in: no deadline is over it any more, and nobody reads from it until it is given away. */
    pause(): void {
        clearTimeout(this.#deadline);
    }

    /** True once the connection is gone; false when it was given away before. */
    async gone(): Promise<boolean> {
        while (this.#socket !== undefined && !this.#socket.destroyed) {
            await this.#woken();
        }
        return this.#socket !== undefined;
    }

    /** What it is called that the deadline passed: where nothing answers at all, there was no connection. */
    #late(): LoginFailed {
        const { endpoint, route } = this.#settings;
        const through = route.proxy === undefined ? "" : ` through the proxy ${route.proxy}`;
        const words = `no answer from ${endpoint.host}:${endpoint.port}${through} in time`;
        return this.#isConnected
            ? failed("timed_out", "in connection and login together")
            : new LoginFailed(failureOfConnect("ETIMEDOUT", words));
    }

    /** Gives the socket away, as it was made. */
    loggedIn(): tls.TLSSocket {
        const socket = this.#take();
        clearTimeout(this.#deadline);
        this.#socket = undefined;
        this.#wake?.();
        return socket as tls.TLSSocket;
    }

    /** Drops the connection: whoever waits here gets this problem. */
    abort(problem?: unknown): void {
        clearTimeout(this.#deadline);
        this.#problem ??= problem;
        this.#attempts?.stop();
        this.#opening.abort();
        this.#socket?.destroy();
        this.#wake?.();
    }

    #open(): Duplex {
        if (this.#problem !== undefined) {
            throw this.#problem;
        }
        return this.#socket as Duplex;
    }

    #own(socket: Duplex): void {
        this.#socket = socket;
        for (const event of EVENTS) {
            socket.on(event, this.#look);
        }
        if (this.#problem !== undefined) {
            socket.destroy();
        }
    }

    #take(): Duplex {
        const socket = this.#open();
        for (const event of EVENTS) {
            socket.off(event, this.#look);
        }
        return socket;
    }

    readonly #look = (): void => this.#wake?.();

    /** Waits until that is so; a socket that is gone before is a failure, unless `reason` gives none. */
    async #until(isSo: () => boolean, reason: (error: Error | null) => LoginFailed | undefined): Promise<void> {
        while (!this.#is(isSo)) {
            const socket = this.#open();
            const problem = socket.destroyed ? reason(socket.errored) : undefined;
            if (problem !== undefined) {
                throw problem;
            }
            await this.#woken();
        }
    }

    async #woken(): Promise<void> {
        await new Promise<void>((resolve) => (this.#wake = resolve));
        this.#wake = undefined;
    }

    #is(isSo: () => boolean): boolean {
        this.#open();
        return isSo();
    }
}

const EVENTS = ["connect", "readable", "end", "error", "close"];

/** Makes the error for what the host itself has found. */
export function failed(cause: Cause, detail: string): LoginFailed {
    return new LoginFailed(failureOfHost(cause, detail));
}

/** The error for a failure of which the system has its own. */
function caused(failure: Failure, error: Error | null): LoginFailed {
    return new LoginFailed(failure, { cause: error ?? undefined });
}
