/** Dialogues that may be logged. */
import { enter, native, octets } from "../native";
import { AccessToken } from "./token";

/** A line of a {@link Transcript}. */
export interface TraceLine {
    /** `C`: the client; `S`: the server. */
    readonly side: "C" | "S";
    /** What was said, without line end, token and hidden characters. */
    readonly text: string;
}

/**
 * Turns the octets of one connection into lines that may be logged: the token of its login is masked wherever a server
 * repeats it, however the octets were cut on their way. A line comes out when its end has come.
 *
 *     const transcript = new Transcript(token);
 *     for (const { side, text } of transcript.received(data)) console.log(`${side}: ${text}`);
 */
export class Transcript {
    readonly #native: native.NativeTranscript;

    constructor(token: string | AccessToken) {
        const secret = AccessToken.native(token);
        this.#native = enter(() => new native.NativeTranscript(secret));
    }

    /** Octets that were written. Where they are `sensitive`, as a step says, the last word of a line is the token. */
    sent(data: Uint8Array, sensitive: boolean): TraceLine[] {
        const bytes = octets(data, "data");
        return enter(() => this.#native.sent(bytes, Boolean(sensitive))) as TraceLine[];
    }

    /** Octets that one read brought. */
    received(data: Uint8Array): TraceLine[] {
        const bytes = octets(data, "data");
        return enter(() => this.#native.received(bytes)) as TraceLine[];
    }

    /** Lines that have no end yet: before a TLS handshake, and when the dialogue is over. */
    flush(): TraceLine[] {
        return enter(() => this.#native.flush()) as TraceLine[];
    }
}
