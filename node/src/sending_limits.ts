/** Limits of sending, in the words of Nodemailer's pool. */
import { ConfigError } from "./errors";
import { optionalNumeric } from "./native";
import type { OptionsOf } from "./options";

/** How messages are sent, in Nodemailer's words. */
export interface SendingOptions {
    /** Connections that are open at once, at most; the server's own limit holds too. Default: 1. */
    maxConnections?: number | undefined;
    /** Messages over one connection, after which it is let go. Default: no limit. */
    maxMessages?: number | undefined;
    /** Messages that begin to be sent within `rateDelta`, at most, over all connections. Default: no limit. */
    rateLimit?: number | undefined;
    /** Milliseconds for `rateLimit`. Default: 1,000. */
    rateDelta?: number | undefined;
    /**
     * Milliseconds that `sendMail` may take, with all that it waits for; then it rejects with {@link SendFailed}. Only the answer to the
     * end of a message is waited for on (`dataTimeout`): without it nobody would know. Default: no limit.
     */
    sendTimeout?: number | undefined;
}

/** @internal */
export const SENDING_OPTIONS: OptionsOf<SendingOptions> = {
    maxConnections: "number",
    maxMessages: "number",
    rateLimit: "number",
    rateDelta: "number",
    sendTimeout: "number",
};

/** How many at once, in all, and in a time. @internal */
export class Limits {
    readonly maxConnections: number;
    readonly sendTimeout: number | undefined;
    readonly #maxMessages: number;
    readonly #rateLimit: number | undefined;
    readonly #rateDelta: number;
    /** When the last ones began. */
    readonly #begun: number[] = [];

    constructor(options: SendingOptions) {
        const given = Object.fromEntries(Object.entries(options).map(([name, value]) => [name, above(value, name)]));
        this.maxConnections = Math.floor(given["maxConnections"] ?? 1);
        this.#maxMessages = given["maxMessages"] ?? Infinity;
        this.#rateLimit = given["rateLimit"] === undefined ? undefined : Math.floor(given["rateLimit"]);
        this.#rateDelta = given["rateDelta"] ?? 1_000;
        this.sendTimeout = given["sendTimeout"];
        for (const [name, most] of [
            ["maxConnections", this.maxConnections],
            ["rateDelta", this.#rateDelta],
            ["sendTimeout", this.sendTimeout],
        ] as const) {
            // What Node's timers take: a longer one would ring at once.
            if (most !== undefined && most > 2_147_483_647) {
                throw new ConfigError(`${name} must be at most 2147483647`);
            }
        }
    }

    /** Milliseconds until the next message may begin. */
    waitMs(): number {
        const [oldest] = this.#begun;
        const isFree = this.#rateLimit === undefined || oldest === undefined || this.#begun.length < this.#rateLimit;
        return isFree ? 0 : Math.max(0, Math.ceil(oldest + this.#rateDelta - performance.now()));
    }

    take(): void {
        if (this.#rateLimit !== undefined) {
            this.#begun.push(performance.now());
            this.#begun.splice(0, this.#begun.length - this.#rateLimit);
        }
    }

    isFull(sent: number): boolean {
        return sent >= this.#maxMessages;
    }
}

function above(value: unknown, name: string): number | undefined {
    const given = optionalNumeric(value, name);
    if (given !== undefined && !(given >= 1)) {
        throw new ConfigError(`${name} must be a number from 1 on`);
    }
    return given;
}
