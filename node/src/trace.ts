/** The dialogue of a login, as a program may see it. */
import { type AccessToken, type MailProtocol, type TraceLine, Transcript } from "./core";

/** Whose dialogue it is. */
export interface DialogueOf {
    readonly user: string;
    readonly protocol: MailProtocol;
    readonly host: string;
    /** The session of an account, as in its events. */
    readonly session?: number;
    /** The connection attempt, as in its events. */
    readonly ticket?: number;
}

/**
 * Called with `C` or `S` and a line of the dialogue of a login, from the greeting until it is logged in. The token is masked. What is
 * said after the login is the program's own, and no part of it.
 */
export type Trace = (side: "C" | "S", line: string, dialogue: DialogueOf) => void;

/** Gives a program the lines of one connection. */
export class Tracer {
    readonly #transcript: Transcript;
    readonly #show: (side: "C" | "S", line: string) => void;

    constructor(token: AccessToken, show: (side: "C" | "S", line: string) => void) {
        this.#transcript = new Transcript(token);
        this.#show = show;
    }

    sent(data: Uint8Array, sensitive: boolean): void {
        this.#tell(this.#transcript.sent(data, sensitive));
    }

    received(data: Uint8Array): void {
        this.#tell(this.#transcript.received(data));
    }

    /** Lines that have no end yet. */
    flush(): void {
        this.#tell(this.#transcript.flush());
    }

    #tell(lines: readonly TraceLine[]): void {
        for (const { side, text } of lines) {
            this.#show(side, text);
        }
    }
}
