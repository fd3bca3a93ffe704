/** From the greeting to authenticated. */
import { inspect } from "node:util";
import { enter, native, octets, text } from "../native";
import { known } from "../options";
import { checked, LOGIN_SETTINGS, type LoginSettings, type Mechanism } from "./login";
import { masked } from "./mask";
import { AccessToken } from "./token";
import type { Failure } from "./verdict";

/** A login that worked. */
export interface Authenticated {
    readonly mechanism: Mechanism;
    readonly capabilities: readonly string[];
    /** Octets that came behind the login: they belong to the mail client. */
    readonly leftover: Buffer;
}

/** What the host does next: write `send`, which it does not log where it is `sensitive`, and then `next`. */
export type Step = { readonly send: Buffer; readonly sensitive: boolean } & (
    | { readonly next: "read" | "start_tls" }
    | { readonly next: "done"; readonly authenticated: Authenticated }
    | { readonly next: "failed"; readonly failure: Failure }
);

/**
 * From the greeting to authenticated: octets in, one step out. It has no socket and no clock.
 *
 * After each read of the socket give the octets to {@link receive}, write what the step says, and do its `next`.
 */
export class Negotiation {
    readonly #native: native.NativeNegotiation;

    constructor(settings: LoginSettings, token: string | AccessToken) {
        known(settings, LOGIN_SETTINGS, "settings");
        const [given, secret] = [checked(settings), AccessToken.native(token)];
        this.#native = enter(() => new native.NativeNegotiation(given, secret));
    }

    /** Takes what one read of the socket brought. */
    receive(data: Uint8Array): Step {
        const bytes = octets(data, "data");
        return masked(enter(() => this.#native.receive(bytes)) as Step);
    }

    /** The TLS handshake that a step asked for is done. */
    tlsEstablished(): Step {
        return masked(enter(() => this.#native.tlsEstablished()) as Step);
    }

    /** The connection reached its end. */
    closed(): Step {
        return masked(enter(() => this.#native.closed()) as Step);
    }

    /** Masks the token in text of the server that is to be logged. */
    redact(serverText: string): string {
        const given = text(serverText, "serverText");
        return enter(() => this.#native.redact(given));
    }

    /** Where it stands. */
    get state(): string {
        return enter(() => this.#native.state());
    }

    [inspect.custom](): string {
        return `Negotiation { state: '${this.state}' }`;
    }
}
