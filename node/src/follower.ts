/** Iterates over what happens in a mailbox, on the connection that a mail client uses meanwhile. */
import { Follow, type FollowPlan, type MailboxEvent } from "./core";
import { nowMs } from "./clock";
import { MailboxRefused } from "./errors";
import type { native } from "./native";

/** How a mailbox is followed. Times are milliseconds. */
export interface IdleOptions {
    /** After which IDLE is said anew, by which a mute server or path is noticed. Default: 90,000. */
    reissue?: number | undefined;
    /** For an answer. Default: 20,000. */
    answer?: number | undefined;
    /** Between two NOOPs, where the server has no IDLE. Default: 60,000. */
    poll?: number | undefined;
}

/** The connection, as a follower uses it. @internal */
export interface Ground {
    /** Keeps the mail client silent, until what it gives is called; gives nothing where the connection is over. */
    quiet(): Promise<(() => void) | undefined>;
    /** What comes goes there, and not to the mail client, until that is taken back. */
    divert(to: ((data: Buffer) => void) | undefined): void;
    write(data: Buffer): void;
    /** No answer came. */
    late(): void;
    /** Aborted when the connection is to be let go, or has ended. */
    readonly due: AbortSignal;
    readonly isOver: boolean;
}

/** Between two of its events the connection is the program's. @internal */
export class Follower<E extends MailboxEvent> implements AsyncIterableIterator<E> {
    readonly #ground: Ground;
    readonly #follow: Follow;
    readonly #mailbox: string | undefined;
    readonly #events: E[] = [];
    #began = false;
    #isEnding = false;
    #isFollowing = false;
    #error: Error | undefined;
    #timer: NodeJS.Timeout | undefined;
    #free: (() => void) | undefined;

    constructor(ground: Ground, options: native.JsFollowOptions) {
        this.#ground = ground;
        this.#follow = new Follow(options);
        this.#mailbox = options.mailbox;
    }

    /** The last number of its tags. */
    get tags(): number {
        return this.#follow.tags;
    }

    [Symbol.asyncIterator](): this {
        return this;
    }

    async next(): Promise<IteratorResult<E, undefined>> {
        while (this.#events.length === 0 && !this.#isDone) {
            await this.#wait();
        }
        const value = this.#events.shift();
        if (value !== undefined) {
            return { done: false, value };
        }
        if (this.#error !== undefined) {
            throw this.#error;
        }
        return { done: true, value: undefined };
    }

    /** Ends it: the connection is the program's again. */
    async return(): Promise<IteratorResult<E, undefined>> {
        this.#isEnding = true;
        this.#events.length = 0;
        return { done: true, value: undefined };
    }

    /** Lets the server say that it is there. False where it is not waiting. */
    ask(): boolean {
        if (this.#isFollowing) {
            this.#obey(this.#follow.interrupt(nowMs()));
        }
        return this.#isFollowing;
    }

    get #isDone(): boolean {
        return this.#isEnding || this.#error !== undefined || this.#ground.isOver || this.#ground.due.aborted;
    }

    /** Has the connection until something happened, or it is due. */
    async #wait(): Promise<void> {
        const ground = this.#ground;
        const release = await ground.quiet();
        if (release === undefined) {
            this.#isEnding = true;
            return;
        }
        const interrupt = (): void => {
            if (ground.isOver) {
                this.#free?.();
            } else {
                this.#obey(this.#follow.interrupt(nowMs()));
            }
        };
        try {
            await new Promise<void>((resolve) => {
                this.#free = resolve;
                this.#isFollowing = true;
                ground.divert((data) => this.#obey(this.#follow.receive(nowMs(), data)));
                ground.due.addEventListener("abort", interrupt);
                this.#obey(this.#began ? this.#follow.resume(nowMs()) : this.#follow.start(nowMs()));
                this.#began = true;
                if (ground.due.aborted) {
                    interrupt();
                }
            });
        } finally {
            this.#isFollowing = false;
            clearTimeout(this.#timer);
            ground.due.removeEventListener("abort", interrupt);
            ground.divert(undefined);
            release();
        }
    }

    #obey(plan: FollowPlan): void {
        clearTimeout(this.#timer);
        if (plan.data.length > 0 && !this.#ground.isOver) {
            this.#ground.write(plan.data);
        }
        if (plan.wakeAtMs !== undefined) {
            const left = Math.max(0, plan.wakeAtMs - nowMs());
            this.#timer = setTimeout(() => this.#obey(this.#follow.tick(nowMs())), left);
        }
        for (const event of plan.events) {
            switch (event.kind) {
                case "messages":
                case "reset":
                case "changed":
                    this.#events.push(event as E);
                    break;
                case "free":
                    this.#free?.();
                    break;
                case "late":
                    this.#ground.late();
                    this.#isEnding = true;
                    this.#free?.();
                    break;
                case "refused":
                    this.#error = new MailboxRefused(event.text, event.code, { mailbox: this.#mailbox });
                    this.#free?.();
                    break;
            }
        }
    }
}
