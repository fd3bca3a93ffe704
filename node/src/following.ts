/**
 * One mailbox followed over a session's connection: what changes, and which messages are new.
 *
 * The machine of the core speaks IMAP and decides; this moves octets, and gives the connection to the program between two
 * waits.
 */
import { nowMs } from "./clock";
import { failureOfHost } from "./core";
import { Follow, type FollowEvent, type FollowOptions, type FollowPlan } from "./core/follow";
import { LoginFailed, MailboxRefused, Misuse } from "./errors";
import type { SessionConnection } from "./kept";
import { ended } from "./tap";

/** Longest wait for an answer to IDLE and DONE: a mute server is noticed within two minutes. */
const ANSWER_MS_MAX = 20_000;

/** What changed in the mailbox that is selected. */
export interface Changes {
    /** How many messages there are; `undefined` where the server did not say it. */
    readonly exists: number | undefined;
    /** Sequence numbers of messages that are gone, in the order in which the server said it. */
    readonly expunged: readonly number[];
    /** Sequence numbers of messages whose flags the server told. */
    readonly flagged: readonly number[];
}

/** Messages of a mailbox that were not told before. */
export interface Messages {
    /**
     * Their UIDs, ascending. A message may be gone by the time that it is fetched. None at first, where no cursor was
     * given: the cursor says where it begins.
     */
    readonly uids: readonly number[];
    /** Where the program stands once it has done with them: store it then, and give it back as `since`. */
    readonly cursor: string;
    /**
     * Whether the mailbox was made anew, so that UIDs of before mean nothing any more: no message is told with it, and
     * what comes from now on is.
     */
    readonly isReset: boolean;
}

/** How a mailbox is waited for. */
export interface IdleOptions {
    /** Milliseconds after which IDLE is said anew; 90 seconds unless told otherwise. */
    readonly reissue?: number | undefined;
}

/** Which messages are told. */
export interface MessagesOptions extends IdleOptions {
    /** The mailbox, as people write it; `INBOX` unless told otherwise. */
    readonly mailbox?: string | undefined;
    /** The cursor of the last {@link Messages} that the program has done with; without it what comes from now on. */
    readonly since?: string | undefined;
    /** Whether it is opened so that nothing is marked as read. */
    readonly readOnly?: boolean | undefined;
}

/** Follows, until the connection is due; while the program has what was told, the connection is the program's. */
export async function* follow(
    connection: SessionConnection<unknown>,
    options: FollowOptions,
    due: AbortSignal,
): AsyncGenerator<FollowEvent, void, void> {
    const machine = machineOf(connection, options);
    let plan = machine.start(nowMs());
    let told: FollowEvent[] = [];
    for (;;) {
        if (plan.data.length > 0) {
            connection.socket.write(plan.data);
        }
        let isFree = false;
        for (const event of plan.events) {
            switch (event.kind) {
                case "free":
                    isFree = true;
                    break;
                case "refused":
                    throw new MailboxRefused(event.text, event.code);
                case "late":
                    connection.lost(new LoginFailed(failureOfHost("timed_out", "")));
                    break;
                case "messages":
                case "reset":
                case "changed":
                    told.push(event);
            }
        }
        if (!isFree) {
            plan = await next(connection, machine, plan, due);
            continue;
        }
        connection.followTags = machine.tags;
        yield* told;
        told = [];
        if (due.aborted) {
            return;
        }
        plan = machine.resume(nowMs());
    }
}

function machineOf(connection: SessionConnection<unknown>, options: FollowOptions): Follow {
    const { protocol } = connection.endpoint;
    if (protocol !== "imap") {
        throw new Misuse(`${protocol} has no mailboxes to follow: use sessions of imap`);
    }
    if (connection.client !== undefined) {
        throw new Misuse("a mail client reads from this connection: use its own events, or sessions without a client");
    }
    const capabilities = connection.capabilities.map((one) => one.toUpperCase());
    return new Follow({
        ...options,
        hasIdle: capabilities.length === 0 || capabilities.includes("IDLE"),
        answerMs: Math.min(ANSWER_MS_MAX, connection.settings.timeout),
        firstTag: connection.followTags,
    });
}

/** Waits for the server, for the time, or for the connection to be due. */
async function next(
    connection: SessionConnection<unknown>,
    machine: Follow,
    plan: FollowPlan,
    due: AbortSignal,
): Promise<FollowPlan> {
    const { socket } = connection;
    for (;;) {
        const now = nowMs();
        const data = socket.read() as Buffer | null;
        if (data !== null) {
            return machine.receive(now, data);
        }
        if (connection.verdict !== undefined) {
            throw ended(connection.verdict);
        }
        if (plan.wakeAtMs !== undefined && now >= plan.wakeAtMs) {
            return machine.tick(now);
        }
        const mayLeave = machine.state === "idle" || machine.state === "resting";
        if (mayLeave && due.aborted) {
            return machine.interrupt(now);
        }
        const left = plan.wakeAtMs === undefined ? undefined : plan.wakeAtMs - now;
        await something(connection, left, mayLeave ? due : undefined);
    }
}

/** Resolves when there is something to read or to do. */
function something(connection: SessionConnection<unknown>, left: number | undefined, due?: AbortSignal): Promise<void> {
    const { socket } = connection;
    return new Promise((resolve) => {
        const timer = left === undefined ? undefined : setTimeout(done, left);
        function done(): void {
            clearTimeout(timer);
            socket.off("readable", done);
            socket.off("close", done);
            due?.removeEventListener("abort", done);
            resolve();
        }
        socket.on("readable", done);
        socket.on("close", done);
        due?.addEventListener("abort", done);
    });
}
