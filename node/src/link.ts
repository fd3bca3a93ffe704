/** A socket on its way to be logged in: TCP, TLS, reads and writes, all within one deadline. */
import * as net from "node:net";
import * as tls from "node:tls";
import { type Cause, failureOfHost } from "./core";
import { LoginFailed } from "./errors";
import type { Settings } from "./settings";

/** Whatever fails here is a {@link LoginFailed}, or the reason of the signal that aborted it. */
export class Link {
    readonly #settings: Settings;
    readonly #begun = performance.now();
    readonly #deadline: NodeJS.Timeout;
    #socket: net.Socket | undefined;
    #problem: unknown;
    #wake: (() => void) | undefined;
    #isSecure = false;
    roundTrips = 0;

    constructor(settings: Settings) {
        this.#settings = settings;
        const late = () => this.abort(failed("timed_out", "in connection and login together"));
        this.#deadline = setTimeout(late, settings.timeout);
    }

    /** Milliseconds that this has taken so far. */
    get elapsed(): number {
        return performance.now() - this.#begun;
    }

    /** Connects, with TLS where it is implicit. Node tries the addresses of the host one after the other. */
    async open(): Promise<void> {
        const { host, port, tls: mode } = this.#settings.endpoint;
        // One socket where TLS is implicit: a second one below it would cost as much as the login.
        const socket = mode === "implicit" ? this.#secured({ host, port }) : net.connect({ host, port });
        socket.setNoDelay(true);
        this.#own(socket);
        await this.#until(
            () => !socket.connecting && socket.readyState !== "closed",
            (error) => refused(error, host, port),
        );
        if (mode === "implicit") {
            await this.#untilSecure();
        }
    }

    /** What has come and nobody has read: before the handshake, that must be nothing. */
    take(): Buffer | undefined {
        return (this.#socket?.read() as Buffer | null) ?? undefined;
    }

    /** Does the handshake on the socket that is open. */
    async startTls(): Promise<void> {
        const { host } = this.#settings.endpoint;
        this.#own(this.#secured({ socket: this.#take(), host }));
        await this.#untilSecure();
    }

    /** Makes a socket with TLS; certificate and host name are verified, whatever the environment says. */
    #secured(over: { host: string; port?: number; socket?: net.Socket }): tls.TLSSocket {
        const socket = tls.connect({
            ...this.#settings.tlsOptions,
            ...over,
            // An address is verified as such, and has no place in SNI (RFC 6066 section 3).
            ...(net.isIP(over.host) === 0 ? { servername: over.host } : {}),
            rejectUnauthorized: true,
        });
        socket.once("secureConnect", () => {
            this.#isSecure = true;
            this.#wake?.();
        });
        return socket;
    }

    async #untilSecure(): Promise<void> {
        await this.#until(
            () => this.#isSecure,
            (error) => failed("tls_failed", tlsReason(error)),
        );
    }

    /** What has come; nothing at the end. */
    async read(): Promise<Buffer | undefined> {
        const socket = this.#open();
        let data: Buffer | null = null;
        // What the server said before the connection broke is read first.
        const ready = () =>
            (data = socket.read() as Buffer | null) !== null || socket.readableEnded || socket.destroyed;
        await this.#until(ready, () => undefined);
        return data ?? undefined;
    }

    /** Writes all of it. What fails here is told by the next read: the server may have said why before it closed. */
    write(data: Uint8Array): void {
        this.roundTrips += 1;
        this.#open().write(data);
    }

    /** Gives the socket away, as it was made. */
    loggedIn(): tls.TLSSocket {
        const socket = this.#take();
        clearTimeout(this.#deadline);
        this.#socket = undefined;
        return socket as tls.TLSSocket;
    }

    /** Drops the connection: whoever waits here gets this problem. */
    abort(problem?: unknown): void {
        clearTimeout(this.#deadline);
        this.#problem ??= problem;
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
            await new Promise<void>((resolve) => (this.#wake = resolve));
            this.#wake = undefined;
        }
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

function refused(error: Error | null, host: string, port: number): LoginFailed {
    const code = codeOf(error) ?? "closed";
    return code === "ENOTFOUND" || code === "EAI_AGAIN"
        ? failed("connection_lost", `the host ${host} was not found`)
        : failed("connection_lost", `${host}:${port}: ${REASONS[code] ?? code}`);
}

const REASONS: Record<string, string | undefined> = {
    ECONNREFUSED: "connection refused",
    ECONNRESET: "connection reset",
    EHOSTUNREACH: "no route to host",
    ENETUNREACH: "network unreachable",
    ETIMEDOUT: "connection timed out",
};

/** OpenSSL's reason in words, as in `certificate: self-signed certificate in certificate chain`. */
function tlsReason(error: Error | null): string {
    const code = codeOf(error);
    if (error === null || code === "ECONNRESET" || code === "EPIPE") {
        return "the connection ended in the handshake";
    }
    if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
        return "certificate: it is for another host name";
    }
    if (
        code !== undefined &&
        /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|RECORD_LAYER_FAILURE)$/.test(code)
    ) {
        return "the peer does not speak TLS on this port";
    }
    const reason = (error as { reason?: unknown }).reason;
    if (typeof reason === "string") {
        return reason;
    }
    // Node gives OpenSSL's verification results as such codes, with OpenSSL's words.
    return code !== undefined && !code.startsWith("ERR_") && /^[A-Z0-9_]+$/.test(code)
        ? `certificate: ${error.message}`
        : (code ?? "handshake")
              .toLowerCase()
              .replace(/^err_ssl_/, "")
              .replaceAll("_", " ");
}

function codeOf(error: Error | null): string | undefined {
    const code = (error as { code?: unknown } | null)?.code;
    return typeof code === "string" ? code : undefined;
}
