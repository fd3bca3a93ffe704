/**
 * Shows to a session what a socket brings and takes, without altering or delaying it.
 *
 * The socket stays a `tls.TLSSocket`: the tap stands in the methods that streams leave to their implementation (`push`,
 * `_write`, `_writev`, `_destroy`), where every octet passes, whoever reads or writes.
 */
import type { TLSSocket } from "node:tls";
import { failureOfHost, type Verdict } from "./core";
import { LoginFailed, SessionEnded } from "./errors";

/** Whom the tap tells. */
export interface Listener {
    /** Gives the number of octets of message content that come next, and need not be shown. */
    received(data: Uint8Array): number;
    skipped(octets: number): void;
    sent(data: Uint8Array): void;
    /** The connection is gone, or does not answer; with what the host saw of it. */
    lost(problem?: LoginFailed): void;
    /** Whoever uses the socket has closed it. */
    closed(): void;
    /** Whether an answer is due. */
    readonly isQuiet: boolean;
    /** Whether it is the one for the end of a message. */
    readonly isDelivering: boolean;
}

type Callback = (error?: Error | null) => void;

/** How long an answer may take, in milliseconds. */
export interface Timeouts {
    readonly answerTimeout: number;
    readonly dataTimeout: number;
}

export class Tap {
    readonly #socket: TLSSocket;
    readonly #listener: Listener;
    readonly #timeouts: Timeouts;
    readonly #push: TLSSocket["push"];
    #verdict: Verdict | undefined;
    /** What the system threw, where that was the end. */
    #error: unknown;
    #isLetGo = false;
    #isDelivering = false;
    // Octets of message content that come next, and those of them that have come.
    #skip = 0;
    #skipped = 0;
    #heardAt = performance.now();
    #divert: ((data: Buffer) => void) | undefined;
    #timer: NodeJS.Timeout | undefined;

    constructor(socket: TLSSocket, listener: Listener, timeouts: Timeouts) {
        this.#socket = socket;
        this.#listener = listener;
        this.#timeouts = timeouts;
        this.#push = socket.push.bind(socket);
        // The end of a session is told by the connection; a socket that nobody listens to must not end the program.
        socket.on("error", () => undefined);
        this.#tapReads();
        this.#tapWrites();
        this.#tapEnd();
    }

    /** Shows what came before the tap was there. It stays in the socket. */
    begin(): void {
        const early = this.#socket.read() as Buffer | null;
        if (early !== null) {
            this.#show(early);
            this.#socket.unshift(early);
        }
        if (this.#socket.readableEnded || this.#socket.destroyed) {
            setImmediate(() => this.#listener.lost());
        }
    }

    /** The session is over: whoever uses the socket learns of it, but gets first what came before. */
    end(verdict: Verdict, error: unknown): void {
        this.#verdict = verdict;
        this.#error = error;
        clearTimeout(this.#timer);
        if (!this.#isDelivering) {
            this.#finish();
        }
    }

    /** The connection was let go: what happens to it now is nobody's business. */
    letGo(): void {
        this.#isLetGo = true;
        clearTimeout(this.#timer);
    }

    #tapReads(): void {
        const socket = this.#socket;
        socket.push = (chunk: Buffer | null, encoding?: BufferEncoding): boolean => {
            if (this.#isLetGo) {
                return this.#push(chunk, encoding);
            }
            if (this.#verdict !== undefined) {
                return false;
            }
            if (chunk === null) {
                this.#listener.lost();
                return false;
            }
            return this.#deliver(chunk);
        };
    }

    /** What comes goes to somebody else than who reads the socket, until that is taken back. */
    divert(to: ((data: Buffer) => void) | undefined): void {
        this.#divert = to;
    }

    #deliver(chunk: Buffer): boolean {
        this.#heardAt = performance.now();
        this.#isDelivering = true;
        try {
            this.#show(chunk);
            if (this.#divert !== undefined) {
                this.#divert(chunk);
                return true;
            }
            return this.#push(chunk);
        } finally {
            this.#isDelivering = false;
            if (this.#verdict !== undefined) {
                this.#finish();
            }
        }
    }

    /** Shows to the session what has come, but for message content that it does not want to see. */
    #show(data: Buffer): void {
        const count = Math.min(this.#skip, data.length);
        this.#skip -= count;
        this.#skipped += count;
        if (count === data.length) {
            return;
        }
        if (this.#skipped > 0) {
            this.#listener.skipped(this.#skipped);
            this.#skipped = 0;
        }
        this.#skip = this.#listener.received(count > 0 ? data.subarray(count) : data);
    }

    #tapWrites(): void {
        const socket = this.#socket;
        const write = socket._write.bind(socket);
        socket._write = (chunk: Buffer | string, encoding: BufferEncoding, callback: Callback): void => {
            if (this.#takes(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk, encoding), callback)) {
                write(chunk, encoding, callback);
            }
        };
        const writev = socket._writev?.bind(socket);
        if (writev === undefined) {
            return;
        }
        socket._writev = (
            chunks: Array<{ chunk: Buffer | string; encoding: BufferEncoding }>,
            callback: Callback,
        ): void => {
            const pieces = chunks.map(({ chunk, encoding }) =>
                Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk, encoding),
            );
            if (this.#takes(Buffer.concat(pieces), callback)) {
                writev(chunks, callback);
            }
        };
    }

    #takes(data: Buffer, callback: Callback): boolean {
        if (this.#verdict !== undefined) {
            callback(ended(this.#verdict));
            return false;
        }
        if (!this.#isLetGo) {
            this.#listener.sent(data);
            this.#expect();
        }
        return true;
    }

    #tapEnd(): void {
        const socket = this.#socket;
        const destroy = socket._destroy.bind(socket);
        socket._destroy = (error: Error | null, callback: Callback): void => {
            if (!this.#isLetGo && this.#verdict === undefined) {
                if (!error || error.name === "AbortError") {
                    // Also by leaving a loop over what comes: streams call that an AbortError.
                    this.#listener.closed();
                } else {
                    const lost = failureOfHost("connection_lost", error.message);
                    this.#listener.lost(new LoginFailed(lost, { cause: error }));
                }
            }
            clearTimeout(this.#timer);
            const isOurs = error instanceof SessionEnded || !error || this.#verdict === undefined;
            destroy(isOurs ? error : ended(this.#verdict as Verdict, error), callback);
        };
    }

    /** Ends the socket, once all is read that came. */
    #finish(): void {
        const [socket, error] = [this.#socket, ended(this.#verdict as Verdict, this.#error)];
        if (socket.readableLength === 0) {
            socket.destroy(error);
            return;
        }
        const read = socket.read.bind(socket);
        socket.read = (size?: number): unknown => {
            const data: unknown = read(size);
            if (socket.readableLength === 0) {
                // Whoever reads handles what came before the error comes.
                setImmediate(() => socket.destroy(error));
            }
            return data;
        };
    }

    /** Something was written: an answer must come in time, unless none is due. */
    #expect(): void {
        this.#heardAt = performance.now();
        const { answerTimeout, dataTimeout } = this.#timeouts;
        this.#timer ??= setTimeout(() => this.#checkAnswer(), Math.min(answerTimeout, dataTimeout));
    }

    #checkAnswer(): void {
        this.#timer = undefined;
        if (this.#verdict !== undefined || this.#isLetGo || this.#listener.isQuiet) {
            return;
        }
        const { answerTimeout, dataTimeout } = this.#timeouts;
        const isEndOfData = this.#listener.isDelivering;
        const left = this.#heardAt + (isEndOfData ? dataTimeout : answerTimeout) - performance.now();
        if (left > 0) {
            this.#timer = setTimeout(() => this.#checkAnswer(), left);
        } else {
            const detail = isEndOfData ? "behind the end of a message" : "";
            this.#listener.lost(new LoginFailed(failureOfHost("timed_out", detail)));
        }
    }
}

/** The error for the end of a session. */
export function ended(verdict: Verdict, cause?: unknown): SessionEnded {
    return new SessionEnded(
        verdict,
        failureOfHost(verdict.cause, "").sentence,
        cause === undefined ? undefined : { cause },
    );
}
