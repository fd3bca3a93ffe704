/** An access token in the place of a name, which would be shown: in errors, logs and stored files. */
import { ConfigError } from "./errors";

/** Options that are names, and are shown. */
const NAMES: ReadonlySet<string> = new Set([
    "user",
    "host",
    "provider",
    "protocol",
    "ehloName",
    "localAddress",
    "mailbox",
]);

/** Runs of what tokens are made of (RFC 6750 section 2.1), but for the slash, which parts a path. */
const RUN = /[A-Za-z0-9._~+=-]+/g;
/** What Google's begin with, and JSON Web Tokens. */
const BEGINS = /^(ya29\.|eyJ[A-Za-z0-9_-]{5})/;
const UUID = /^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/i;
/** The shortest part that is no name of a user, a host or a file, where it has capitals, small letters and digits. */
const PART_LEAST = 32;

/** Whether a text that is to be a name is an access token, for all that one can see. */
export function looksLikeToken(text: string): boolean {
    return (
        !text.includes("@") && (text.match(RUN) ?? []).some((run) => BEGINS.test(run) || run.split(".").some(isRandom))
    );
}

function isRandom(part: string): boolean {
    const hasAll = /[A-Z]/.test(part) && /[a-z]/.test(part) && /[0-9]/.test(part);
    return part.length >= PART_LEAST && hasAll && !UUID.test(part);
}

/** Refuses a token where a name belongs, before anything is done with it. */
export function checkName(option: string, value: unknown): void {
    if (NAMES.has(option) && typeof value === "string" && looksLikeToken(value)) {
        throw new ConfigError(`${option} looks like an access token: give that as token, and here a name`);
    }
}
