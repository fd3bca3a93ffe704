/** Access tokens. */
import { inspect } from "node:util";
import { enter, native, text } from "../native";

/** An access token that is checked and never shown: not by `String()`, `JSON.stringify` or `console.log`. */
export class AccessToken {
    readonly #native: native.NativeAccessToken;

    constructor(token: string) {
        if ((token as unknown) instanceof native.NativeAccessToken) {
            // The core gives one back.
            this.#native = token as never;
            return;
        }
        const checked = text(token, "token");
        this.#native = enter(() => new native.NativeAccessToken(checked));
    }

    /** Whether it is the same token. */
    equals(other: AccessToken): boolean {
        return this.#native.equals(other.#native);
    }

    /** Never the token. */
    toString(): string {
        return this.#native.description();
    }

    /** Never the token. */
    toJSON(): string {
        return this.toString();
    }

    [inspect.custom](): string {
        return `AccessToken ${this.toString()}`;
    }

    /** @internal */
    static native(token: string | AccessToken): native.NativeAccessToken {
        return (token instanceof AccessToken ? token : new AccessToken(token)).#native;
    }
}
