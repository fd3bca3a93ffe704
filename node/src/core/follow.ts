/** One mailbox of an IMAP connection, followed. */
import { enter, native, octets } from "../native";

/** How a mailbox is followed. */
export interface FollowOptions {
    /** The mailbox to select, as people write it; `undefined`: the one that is selected. */
    readonly mailbox?: string | undefined;
    /** Where the program stands: the `cursor` of what it was told last. */
    readonly since?: string | undefined;
    /** Whether it is opened so that nothing is marked as read. */
    readonly readOnly?: boolean | undefined;
    /** Whether new messages are searched for by UID. */
    readonly tellsMessages?: boolean | undefined;
    /** Whether the server has IDLE. */
    readonly hasIdle?: boolean | undefined;
    /** Milliseconds after which IDLE is said anew. */
    readonly reissueMs?: number | undefined;
    /** Milliseconds for an answer. */
    readonly answerMs?: number | undefined;
    /** The last tag of who followed on the same connection before. */
    readonly firstTag?: number | undefined;
}

/** Something that happened in the mailbox that is followed. */
export type FollowEvent =
    | { readonly kind: "messages"; readonly uids: number[]; readonly cursor: string }
    | { readonly kind: "reset"; readonly cursor: string }
    | {
          readonly kind: "changed";
          readonly exists?: number;
          readonly expunged: number[];
          readonly flagged: number[];
      }
    | { readonly kind: "free" }
    | { readonly kind: "refused"; readonly code?: string; readonly text: string }
    | { readonly kind: "late" };

/** What to write, what happened, and when to come back. */
export interface FollowPlan {
    readonly data: Buffer;
    readonly events: FollowEvent[];
    readonly wakeAtMs?: number;
}

/**
 * Follows one mailbox of an IMAP connection that is logged in. Octets and times go in, a plan comes out; between `free` and
 * `resume` the program may use the connection.
 */
export class Follow {
    readonly #native: native.NativeFollow;

    constructor(options: FollowOptions) {
        this.#native = enter(() => new native.NativeFollow(options));
    }

    start(nowMs: number): FollowPlan {
        return enter(() => this.#native.start(nowMs)) as FollowPlan;
    }

    /** What one read of the connection brought, while it is not the program's. */
    receive(nowMs: number, data: Uint8Array): FollowPlan {
        const bytes = octets(data, "data");
        return enter(() => this.#native.receive(nowMs, bytes)) as FollowPlan;
    }

    /** The program has done with the connection: it waits for more. */
    resume(nowMs: number): FollowPlan {
        return enter(() => this.#native.resume(nowMs)) as FollowPlan;
    }

    /** Ends the wait: `free` follows as soon as no command is under way. */
    interrupt(nowMs: number): FollowPlan {
        return enter(() => this.#native.interrupt(nowMs)) as FollowPlan;
    }

    tick(nowMs: number): FollowPlan {
        return enter(() => this.#native.tick(nowMs)) as FollowPlan;
    }

    get state(): string {
        return this.#native.state;
    }

    get tags(): number {
        return this.#native.tags;
    }
}
