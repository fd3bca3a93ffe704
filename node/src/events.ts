/** What a program hears of its account. */
import type { AccountEvent, MailProtocol } from "./core";

/** Something that happened to an account, for logs and metrics. It never carries a token. */
export interface SessionEvent extends Omit<AccountEvent, "what"> {
    /**
     * What happened. `discovered`: servers were looked up for a domain that is not known; `text` says which, and who says so.
     */
    readonly kind: AccountEvent["what"] | "discovered";
    readonly user: string;
    /** What the session speaks; left out where it is of the whole account. */
    readonly protocol?: MailProtocol;
    /** What the system, or the token source, threw. */
    readonly error?: unknown;
}

/** Called with each event. What it throws is a warning of the process, and ends nothing. */
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

/** An event in the words of the program, with what was thrown. */
export function eventOf(
    { what, session, ticket, request, generation, cause, text, waitMs }: AccountEvent,
    user: string,
    protocol: MailProtocol | undefined,
    errors: OwnErrors,
): SessionEvent {
    const error = errors.of(ticket, request);
    const told = { user, protocol, session, ticket, generation, cause, text, waitMs, error };
    const known = Object.entries(told).filter(([, value]) => value !== undefined);
    return { kind: what, ...(Object.fromEntries(known) as unknown as Omit<SessionEvent, "kind">) };
}

/** More are not kept: only the last ones are asked for. */
const KEPT_MAX = 64;

/** What the system threw, by the connection, and the token source, by the last request that brought no token. */
export class OwnErrors {
    readonly #errors = new Map<number, unknown>();
    #source: { request: number; error: unknown } | undefined;

    note(ticket: number, error: unknown): void {
        this.#errors.set(ticket, error);
        const [oldest] = this.#errors.keys();
        if (this.#errors.size > KEPT_MAX && oldest !== undefined) {
            this.#errors.delete(oldest);
        }
    }

    noteSource(request: number, error: unknown): void {
        this.#source = { request, error };
    }

    of(ticket: number | undefined, request: number | undefined): unknown {
        const isOfSource = request !== undefined && request === this.#source?.request;
        return isOfSource ? this.#source?.error : this.#errors.get(ticket ?? 0);
    }
}
