/** The dialogue of a login, as a program may see it. */
import { type AccessToken, type TraceLine, Transcript } from "./core";

/** Called with `C` or `S` and a line of the dialogue. The token is masked. */
export type Trace = (side: "C" | "S", line: string) => void;

/** Gives a program the lines of one connection. */
export class Tracer {
    readonly #transcript: Transcript;
    readonly #trace: Trace;

    constructor(token: AccessToken, trace: Trace) {
        this.#transcript = new Transcript(token);
        this.#trace = trace;
    }

    sent(data: Uint8Array, sensitive: boolean): void {
        this.#show(this.#transcript.sent(data, sensitive));
    }

    received(data: Uint8Array): void {
        this.#show(this.#transcript.received(data));
    }

    /** Lines that have no end yet. */
    flush(): void {
        this.#show(this.#transcript.flush());
    }

    #show(lines: readonly TraceLine[]): void {
        for (const { side, text } of lines) {
            this.#trace(side, text);
        }
    }
}
