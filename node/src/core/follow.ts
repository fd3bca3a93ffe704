/** One mailbox, followed: IDLE that is said anew, and each new message told once. */
import { enter, native, octets } from "../native";

/** What happened in a mailbox. */
export type MailboxEvent =
    | {
          readonly kind: "messages";
          /** Messages that were not told yet, ascending. They may be gone by the time that they are fetched. */
          readonly uids: readonly number[];
          /** Where the program stands once it has done with them: to be stored then. */
          readonly cursor: string;
      }
    /** The mailbox was made anew: UIDs of before mean nothing any more. It goes on from what there is now. */
    | { readonly kind: "reset"; readonly cursor: string }
    | {
          readonly kind: "changed";
          /** How many messages there are, where the server said it. */
          readonly exists?: number;
          /** Sequence numbers of messages that were expunged, in the server's order. */
          readonly expunged: readonly number[];
          /** Sequence numbers of messages whose flags the server told. */
          readonly flagged: readonly number[];
      };

/** What the machine tells besides. */
export type FollowEvent =
    | MailboxEvent
    | { readonly kind: "free" | "late" }
    | { readonly kind: "refused"; readonly code?: string; readonly text: string };

export interface FollowPlan {
    readonly data: Buffer;
    readonly events: readonly FollowEvent[];
    readonly wakeAtMs?: number;
}

/** Follows one mailbox of a connection that is logged in: octets and times in, a plan out. @internal */
export class Follow {
    readonly #native: native.NativeFollow;

    constructor(options: native.JsFollowOptions) {
        this.#native = enter(() => new native.NativeFollow(options));
    }

    start(nowMs: number): FollowPlan {
        return enter(() => this.#native.start(nowMs)) as FollowPlan;
    }

    receive(nowMs: number, data: Uint8Array): FollowPlan {
        const bytes = octets(data, "data");
        return enter(() => this.#native.receive(nowMs, bytes)) as FollowPlan;
    }

    resume(nowMs: number): FollowPlan {
        return enter(() => this.#native.resume(nowMs)) as FollowPlan;
    }

    interrupt(nowMs: number): FollowPlan {
        return enter(() => this.#native.interrupt(nowMs)) as FollowPlan;
    }

    tick(nowMs: number): FollowPlan {
        return enter(() => this.#native.tick(nowMs)) as FollowPlan;
    }

    /** The last number of its tags. */
    get tags(): number {
        return this.#native.tags;
    }
}
