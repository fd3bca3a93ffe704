/** What others' values are called, and what their errors and programs say, as it may be shown. */

/** As much as a sentence can hold. */
const CHARACTERS_MAX = 300;
/** Names under which secrets stand in queries, headers and JSON. */
const NAMED =
    /((?:secret|password|passwd|pwd|token|assertion|code|credential|signature|api_?key)["']?\s*[=:]\s*["']?|\bBearer\s+)[^\s"'&,;]+/gi;
/** What has the length and the look of a token, of a key, or of a part of one. */
const LONG = /[A-Za-z0-9_~+-]{20,}={0,2}/g;
const LONG_ANYHOW = 40;

/** An error of somebody else: its class and what it says. */
export function saidBy(error: unknown): string {
    if (error instanceof Error) {
        const said = shown(error.message);
        return said === "" ? error.name : `${error.name}: ${said}`;
    }
    return typeof error === "string" ? shown(error) : kindOf(error);
}

/** In one line, bounded, and without what looks like a secret. */
export function shown(text: string): string {
    const line = text
        .replace(/[\p{C}\p{Z}]+/gu, " ")
        .replace(NAMED, "$1<secret>")
        .replace(LONG, (run) => (/\d/.test(run) || run.length >= LONG_ANYHOW ? "<secret>" : run))
        .trim();
    return line.length > CHARACTERS_MAX ? `${line.slice(0, CHARACTERS_MAX)}…` : line;
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
