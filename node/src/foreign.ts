/** What others' values are called, and what their errors and programs say, as it may be shown. */
import "./addon";
import native = require("../native/binding.js");

/** An error of somebody else: its class and what it says. */
export function saidBy(error: unknown): string {
    if (error instanceof Error) {
        const said = shown(error.message);
        return said === "" ? error.name : `${error.name}: ${said}`;
    }
    return typeof error === "string" ? shown(error) : kindOf(error);
}

/**
 * Stands for an error whose members may hold what is secret, as those of HTTP libraries hold requests: it has the name, the code and the
 * place of the error, and its words as they may be shown.
 */
export function standIn(error: unknown, words?: string): Error {
    const { name, message, code, stack } = (error ?? {}) as Partial<Error> & { code?: unknown };
    const made = new Error(words ?? shown(typeof message === "string" ? message : saidBy(error)));
    made.name = String(name ?? "Error");
    const frames = stack?.match(/^ +at .*$/gm) ?? [];
    made.stack = [`${made.name}: ${made.message}`, ...frames].join("\n");
    return typeof code === "string" || typeof code === "number" ? Object.assign(made, { code }) : made;
}

/** What a token source or another program says, in one line, bounded, and without what may be a secret. */
export function shown(text: string): string {
    // A lone half of a surrogate pair is no text to the core.
    return native.redactSource(text.toWellFormed());
}

/** What a server says, without what may be a token that it was sent, as it stands or in base64; addresses and ids are none. */
export function withoutTokens(text: string): string {
    return text.replace(/https?:\/\/\S+|[A-Za-z0-9+_~-]{20,}={0,2}/g, (run) =>
        run.includes("://") || ID.test(run) || !/\d/.test(run) ? run : "<token>",
    );
}

/** Of a request or a session: in hexadecimal, also with hyphens. */
const ID = /^[0-9a-f-]+$/i;

/** A value, by its kind: it may be secret. */
export function kindOf(value: unknown): string {
    if (value === null || value === undefined) {
        return String(value);
    }
    if (typeof value === "object") {
        return Array.isArray(value) ? "an array" : `an object of class ${value.constructor?.name ?? "none"}`;
    }
    return `a ${typeof value}`;
}
