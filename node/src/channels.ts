/**
 * Channels of `node:diagnostics_channel`, for tools that watch any program: with no subscriber they cost one look.
 *
 * `mailbearer:event` has each {@link SessionEvent}, `mailbearer:dialogue` each line of a login, as a {@link DialogueLine}. Neither ever has
 * a token.
 */
import { channel } from "node:diagnostics_channel";
import type { SessionEvent } from "./events";
import type { DialogueOf } from "./trace";

/** The names of the channels of `node:diagnostics_channel`, with what is published: a `SessionEvent`, and a `DialogueLine`. */
export const CHANNELS = { event: "mailbearer:event", dialogue: "mailbearer:dialogue" } as const;

/** What is published on `mailbearer:dialogue`. */
export interface DialogueLine extends DialogueOf {
    /** `C`: the client; `S`: the server. */
    readonly side: "C" | "S";
    /** What was said, without line end, token and hidden characters. */
    readonly line: string;
}

const events = channel(CHANNELS.event);
const lines = channel(CHANNELS.dialogue);

export function publishEvent(event: SessionEvent): void {
    if (events.hasSubscribers) {
        events.publish(event);
    }
}

export function isDialogueRead(): boolean {
    return lines.hasSubscribers;
}

export function publishLine(line: DialogueLine): void {
    lines.publish(line);
}
