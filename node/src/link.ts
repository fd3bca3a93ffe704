/** A socket on its way to be logged in: TCP, TLS, reads and writes, all within one deadline. */
import * as net from "node:net";
import type * as tls from "node:tls";
import { Attempts } from "./addresses";
import { type Cause, type Failure, failureOfConnect, failureOfHost } from "./core";
import { LoginFailed } from "./errors";
import { type Handshake, secured, speaksTls, unverified } from "./handshake";
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
    #socket: net.Socket | undefined;
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

    /** Connects to the first address of the host that answers, with TLS where it is implicit. */
    async open(): Promise<void> {
        const { host, port, tls: mode } = this.#settings.endpoint;
        const handshakes = new Map<net.Socket, Handshake>();
        const make = (address: string): net.Socket => {
            if (mode !== "implicit") {
                return net.connect({ host: address, port });
            }
            // One socket where TLS is implicit: a second one below it would cost as much as the login.
            const handshake = secured(this.#settings.tlsOptions, { host: address, port }, host);
            handshakes.set(handshake.socket, handshake);
            return handshake.socket;
        };
        const socket = await this.#connected(new Attempts(host, make, this.#look));
        socket.setNoDelay(true);
        // Also in IDLE a peer is noticed that is gone, and a router on the way keeps the connection in mind.
        socket.setKeepAlive(true, KEEP_ALIVE_MS);
        this.#own(socket);
        this.#isConnected = true;
        const handshake = handshakes.get(socket);
        if (handshake !== undefined) {
            await this.#untilSecure(handshake);
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
    #lookForTls(socket: net.Socket): () => void {
        const { endpoint, timeout, tlsOptions } = this.#settings;
        let leave = (): void => clearTimeout(timer);
        const look = async (): Promise<void> => {
            const probe = speaksTls(tlsOptions, endpoint.host, socket.remoteAddress ?? endpoint.host, endpoint.port);
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
        const { host, port } = this.#settings.endpoint;
        return this.#isConnected
            ? failed("timed_out", "in connection and login together")
            : new LoginFailed(failureOfConnect("ETIMEDOUT", `no answer from ${host}:${port} in time`));
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
        this.#socket?.destroy();
        this.#wake?.();
    }

    #open(): net.Socket {
        if (this.#problem !== undefined) {
            throw this.#problem;
        }
        return this.#socket as net.Socket;
    }

    #own(socket: net.Socket): void {
        this.#socket = socket;
        for (const event of EVENTS) {
            socket.on(event, this.#look);
        }
        if (this.#problem !== undefined) {
            socket.destroy();
        }
    }

    #take(): net.Socket {
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
