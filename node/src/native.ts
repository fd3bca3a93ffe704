/** The addon, and its errors made ours. Nothing outside of this file sees napi's own texts: they may show a value. */
import "./addon";
import native = require("../native/binding.js");
import { ConfigError, InternalError, Misuse } from "./errors";
import { kindOf, standIn } from "./foreign";

export { native };

/** Calls into the addon. */
export function enter<T>(call: () => T): T {
    try {
        return call();
    } catch (error) {
        throw translated(error);
    }
}

function translated(error: unknown): Error {
    if (error instanceof TypeError && !("code" in error)) {
        // JavaScript's own, as for a method without its object.
        return error;
    }
    const text = error instanceof Error ? error.message : "";
    if (text.startsWith("ConfigError: ")) {
        return new ConfigError(camelCased(text.slice("ConfigError: ".length)));
    }
    if (text.startsWith("Misuse: ")) {
        return new Misuse(text.slice("Misuse: ".length));
    }
    return new InternalError("mailbearer broke in its core: please report it; no secret is in this text", {
        // Its words may show a value.
        cause: standIn(error, "in the addon"),
    });
}

/** The core names options as Rust does, as in `ehlo_name`: in front, and these elsewhere too. */
function camelCased(text: string): string {
    const names = /^[a-z]+(_[a-z]+)+\b|\b(ehlo_name|unusual_port|initial_response|assumed_capabilities)\b/g;
    return text.replace(names, (name) => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()));
}

/** A text. What is none is named by its type, never by its value. */
export function text(value: unknown, field: string): string {
    if (typeof value !== "string") {
        throw new ConfigError(`${field} must be a string, not ${kindOf(value)}`);
    }
    if (!value.isWellFormed()) {
        // A lone surrogate: it has no octets to send.
        throw new ConfigError(`${field} has a character that cannot be sent: remove it`);
    }
    return value;
}

export function optionalText(value: unknown, field: string): string | undefined {
    return value === undefined ? undefined : text(value, field);
}

/** A list of texts. */
export function texts(value: unknown, field: string): string[] {
    if (!Array.isArray(value)) {
        throw new ConfigError(`${field} must be an array of strings, not ${kindOf(value)}`);
    }
    return value.map((one) => text(one, field));
}

export function optionalTexts(value: unknown, field: string): string[] | undefined {
    return value === undefined ? undefined : texts(value, field);
}

/** A number. */
export function numeric(value: unknown, field: string): number {
    if (typeof value !== "number") {
        throw new ConfigError(`${field} must be a number, not ${kindOf(value)}`);
    }
    return value;
}

export function optionalNumeric(value: unknown, field: string): number | undefined {
    return value === undefined ? undefined : numeric(value, field);
}

/** Octets, as in a `Buffer`. */
export function octets(value: unknown, field: string): Uint8Array {
    if (!(value instanceof Uint8Array)) {
        throw new ConfigError(`${field} must be a Uint8Array, not ${kindOf(value)}`);
    }
    return value;
}
