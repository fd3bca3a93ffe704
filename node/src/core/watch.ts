/** After the login. */
import { enter, native, numeric, octets, text } from "../native";
import type { MailProtocol } from "./login";
import type { Aftermath, Verdict } from "./verdict";

/** After login: says when the server ends the session, and what was in flight. It alters and delays nothing. */
export class Watch {
    readonly #native: native.NativeWatch;

    constructor(protocol: MailProtocol) {
        const given = text(protocol, "protocol");
        this.#native = enter(() => new native.NativeWatch(given));
    }

    /** Octets from the server: the verdict when they end the session, and octets of content that may be {@link skipped}. */
    received(data: Uint8Array): { ending?: Verdict; skip: number } {
        const bytes = octets(data, "data");
        return enter(() => this.#native.received(bytes)) as { ending?: Verdict; skip: number };
    }

    /** Octets of content that were passed by. */
    skipped(count: number): void {
        const given = numeric(count, "count");
        enter(() => this.#native.skipped(given));
    }

    /** Octets that the client wrote. */
    sent(data: Uint8Array): void {
        const bytes = octets(data, "data");
        enter(() => this.#native.sent(bytes));
    }

    /** The connection reached its end: why, as far as the octets tell. */
    closed(): Verdict {
        return enter(() => this.#native.closed()) as Verdict;
    }

    /** What was in flight. */
    aftermath(): Aftermath {
        return enter(() => this.#native.aftermath()) as Aftermath;
    }

    /** Whether the mail client waits for no answer. */
    get isQuiet(): boolean {
        return enter(() => this.#native.isQuiet());
    }
}
