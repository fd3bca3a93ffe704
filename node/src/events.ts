/** What a program hears of its account. */
import type { AccountEvent, MailProtocol } from "./core";

/** Something that happened to an account, for logs and metrics. It never carries a token. */
export interface SessionEvent extends Omit<AccountEvent, "what"> {
    /** What happened. */
    readonly kind: AccountEvent["what"];
    readonly user: string;
    /** What the session speaks; left out where it is of the whole account. */
    readonly protocol?: MailProtocol;
    /** What the system, or the token source, threw. */
    readonly error?: unknown;
}

export type OnEvent = (event: SessionEvent) => void;

/** Tells an event to who looks on. What only looks on must not end the account. */
export function tellEvent(onEvent: OnEvent | undefined, event: SessionEvent): void {
    try {
        onEvent?.(event);
    } catch (error) {
        process.emitWarning(`onEvent threw ${error instanceof Error ? error.name : "something"}, at ${event.kind}`, {
            type: "MailbearerWarning",
            detail: error instanceof Error ? (error.stack ?? "") : "",
        });
    }
}

/** More are not kept: only the last ones are asked for. */
const KEPT_MAX = 64;

/** What the system and the token source threw, by the number of the connection, or of the request. */
export class OwnErrors {
    readonly #errors = new Map<string, unknown>();

    note(of: "ticket" | "request", number: number, error: unknown): void {
        this.#errors.set(`${of} ${number}`, error);
        const [oldest] = this.#errors.keys();
        if (this.#errors.size > KEPT_MAX && oldest !== undefined) {
            this.#errors.delete(oldest);
        }
    }

    of(ticket: number | undefined, request: number | undefined): unknown {
        return this.#errors.get(`ticket ${ticket}`) ?? this.#errors.get(`request ${request}`);
    }
}
