/** Who looks on: the program's functions, its logger, and who subscribes to the channels. What they throw ends nothing. */
import { isDialogueRead, publishEvent, publishLine } from "./channels";
import { AccessToken } from "./core";
import { ConfigError } from "./errors";
import { type OnEvent, type SessionEvent, threw } from "./events";
import { kindOf } from "./foreign";
import { isRead, logEvent, type Logger, type Redact, write } from "./logger";
import type { OptionsOf } from "./options";
import { type DialogueOf, type Trace, Tracer } from "./trace";

/** The options by which a program looks on. */
export interface WatchOptions {
    /** Called for each thing that happens. */
    onEvent?: OnEvent | undefined;
    /** Called with the lines of the dialogue of each login, the token masked. */
    trace?: Trace | undefined;
    /** A logger in pino's shape, such as `pino()` or `console`: it is told of each event and, at `debug`, of the dialogues. */
    logger?: Logger | undefined;
}

export const WATCH_OPTIONS: OptionsOf<WatchOptions> = { onEvent: "function", trace: "function", logger: "own" };

/** Checks what looks on, before anything happens. */
export function checkedWatch({ onEvent, trace, logger }: WatchOptions): WatchOptions {
    for (const [name, value] of Object.entries({ onEvent, trace })) {
        if (value !== undefined && typeof value !== "function") {
            throw new ConfigError(`${name} must be a function, not ${kindOf(value)}`);
        }
    }
    const methods = ["debug", "info", "warn"] as const;
    if (
        logger !== undefined &&
        !methods.every((name) => typeof (logger as Partial<Logger> | null)?.[name] === "function")
    ) {
        throw new ConfigError(
            `logger must have debug, info and warn, as pino and console have, and is ${kindOf(logger)}`,
        );
    }
    return { onEvent, trace, logger };
}

/** Tells an event to all. */
export function tellEvent(watchers: readonly WatchOptions[], event: SessionEvent, redact: Redact): void {
    for (const { onEvent, logger } of watchers) {
        safely("onEvent", event.kind, () => onEvent?.(event));
        safely("logger", event.kind, () => logger && logEvent(logger, event, redact));
    }
    safely("a subscriber of mailbearer:event", event.kind, () => publishEvent(event));
}

/** What shows a dialogue to all who want to see it; nothing, where nobody does. */
export function tracerFor(
    watchers: readonly WatchOptions[],
    dialogue: DialogueOf,
    token: AccessToken | undefined,
    redact: Redact,
): Tracer | undefined {
    const calls = watchers.flatMap(({ trace, logger }) => [
        ...(trace === undefined ? [] : [trace]),
        ...(logger !== undefined && isRead(logger, "debug") ? [linesTo(logger)] : []),
    ]);
    const isPublished = isDialogueRead();
    if (calls.length === 0 && !isPublished) {
        return undefined;
    }
    // One that has not come yet is in no line; what a server repeats of any that the account has is masked below.
    return new Tracer(token ?? new AccessToken("none"), (side, text) => {
        const line = redact(text);
        calls.forEach((call) => safely("trace", "a line", () => call(side, line, dialogue)));
        if (isPublished) {
            safely("a subscriber of mailbearer:dialogue", "a line", () => publishLine({ ...dialogue, side, line }));
        }
    });
}

function linesTo(logger: Logger): Trace {
    return (side, line, dialogue) =>
        write(logger, "debug", { ...dialogue, side, line }, `${dialogue.user} ${dialogue.protocol} ${side}: ${line}`);
}

/** What only looks on must not end a session. */
function safely(who: string, at: string, work: () => unknown): void {
    try {
        work();
    } catch (error) {
        threw(who, at, error);
    }
}
