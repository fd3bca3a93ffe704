/** A program's logger, told of events and dialogues. No record has a token, and what nobody reads is not made up. */
import { Console } from "node:console";
import type { AccountEvent } from "./core";
import { type SessionEvent, threw } from "./events";
import { saidBy, shown } from "./foreign";

/**
 * A logger in pino's shape, which `console` has too: fields first, then a line. `info` hears of logins and of what becomes of a
 * session, `warn` of what failed (with the cleaned error in `err`), `debug` of all else, and of the dialogues of logins.
 *
 *     const logger = pino({ level: "debug" });
 *     for await (const connection of sessions({ protocol: "imap", user, token, logger })) { ... }
 */
export interface Logger {
    /** Of what only who looks for a fault wants to read. */
    debug(fields: object, line: string): void;
    /** Of what happens. */
    info(fields: object, line: string): void;
    /** Of what failed. */
    warn(fields: object, line: string): void;
    /** Whether a level is read, where the logger can say so, as pino's can; else all are. */
    isLevelEnabled?(level: string): boolean;
}

/** A level of {@link Logger}. */
type Level = "debug" | "info" | "warn";

const LEVELS: Readonly<Record<AccountEvent["what"] | "discovered", Level>> = {
    discovered: "info",
    fetching_token: "debug",
    token_failed: "warn",
    connecting: "debug",
    login_failed: "warn",
    online: "info",
    renewing: "info",
    ended: "info",
    waiting: "info",
    limited: "warn",
    needs_user: "warn",
    gave_up: "warn",
    mistake: "warn",
};

/** Masks what else may be secret in a text. */
export type Redact = (text: string) => string;

export function isRead(logger: Logger, level: Level): boolean {
    return logger.isLevelEnabled?.(level) ?? true;
}

/** Logs an event. */
export function logEvent(logger: Logger, event: SessionEvent, redact: Redact): void {
    const level = LEVELS[event.kind];
    if (!isRead(logger, level)) {
        return;
    }
    // A logger has times of its own.
    const { kind, time: _, error, ...fields } = event;
    const err = error === undefined ? undefined : cleaned(error, redact);
    write(logger, level, { event: kind, ...fields, ...(err && { err }) }, event.message);
}

/** Logs something that is no event of an account: a login alone. */
export function write(logger: Logger, level: Level, fields: object, line: string): void {
    if (logger instanceof Console) {
        // It would print all of the fields: the line says what they say.
        (logger as Console)[level](line);
    } else {
        logger[level](fields, line);
    }
}

/** The same; what the logger throws ends nothing. */
export function logSafely(logger: Logger, level: Level, fields: object, line: string): void {
    try {
        if (isRead(logger, level)) {
            write(logger, level, fields, line);
        }
    } catch (error) {
        threw("logger", level, error);
    }
}

/**
 * What others threw, as a logger may have it: pino's own serializer writes every member of an error, and those of HTTP libraries hold
 * requests with what is secret in them.
 */
export function cleaned(error: unknown, redact: Redact): CleanedError {
    const told = (error ?? {}) as Partial<Error> & { code?: unknown };
    const { name = typeof error, message = saidBy(error), code, stack } = told;
    const said = redact(shown(String(message)));
    const frames = stack?.match(/^ +at .*$/gm);
    const cleaned: CleanedError = {
        name: String(name),
        message: said,
        ...(typeof code === "string" ? { code: shown(code) } : {}),
        ...(frames == null ? {} : { stack: [`${name}: ${said}`, ...frames].join("\n") }),
    };
    // With no class pino calls it by its name.
    return Object.assign(Object.create(null) as object, cleaned);
}

/** What is left of an error. */
interface CleanedError {
    readonly name: string;
    readonly message: string;
    readonly code?: string;
    readonly stack?: string;
}
