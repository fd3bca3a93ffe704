/** What others' errors and programs say, as it may be shown. */
import { kindOf } from "./native";

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
