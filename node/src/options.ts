/** The options of the front doors: which there are, what each must be, and what is said of one that is none. */
import { ConfigError } from "./errors";
import { kindOf } from "./foreign";

/** What an option must be; `own`: where it is used, it is looked at more closely. */
export type Kind = "string" | "number" | "boolean" | "object" | "function" | "signal" | "bigint" | "array" | "own";

/** All options of a type, each with its kind. One that is missing here, or too many, is an error of the compiler. */
export type OptionsOf<T extends object> = Readonly<Record<keyof T & string, Kind>>;

const IS: Readonly<Record<Kind, (value: unknown) => boolean>> = {
    string: (value) => typeof value === "string",
    number: (value) => typeof value === "number",
    boolean: (value) => typeof value === "boolean",
    object: (value) => typeof value === "object" && value !== null && !Array.isArray(value),
    function: (value) => typeof value === "function",
    signal: (value) => value instanceof AbortSignal,
    bigint: (value) => typeof value === "bigint",
    array: (value) => Array.isArray(value),
    own: () => true,
};

const WORDS: Readonly<Record<Kind, string>> = {
    string: "a string",
    number: "a number",
    boolean: "a boolean",
    object: "an object",
    function: "a function",
    signal: "an AbortSignal",
    bigint: "a bigint",
    array: "an array",
    own: "",
};

/** An object with options: one that is not known is an error, not a wish, and so is one of another kind. */
export function known(options: unknown, all: Readonly<Record<string, Kind>>, what: string): void {
    if (!IS.object(options)) {
        throw new ConfigError(`${what} must be an object, not ${kindOf(options)}`);
    }
    for (const [name, value] of Object.entries(options as object)) {
        const kind = Object.hasOwn(all, name) ? all[name] : undefined;
        if (kind === undefined) {
            throw new ConfigError(`${what} has no option ${name}${meant(name, Object.keys(all))}`);
        }
        if (value !== undefined && !IS[kind](value)) {
            throw new ConfigError(`${name} must be ${WORDS[kind]}, not ${kindOf(value)}`);
        }
    }
}

/** Options without those that are `undefined`: that is as if they were left out. */
export function defined<T extends object>(options: T): Partial<T> {
    return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function meant(name: string, all: readonly string[]): string {
    const near = nearest(name, all);
    const list = all.length === 0 ? "there are none" : `they are ${all.join(", ")}`;
    return near === undefined ? `: ${list}` : `, did you mean ${near}? ${list[0]?.toUpperCase()}${list.slice(1)}`;
}

/** The name that was meant, where one is near: other case, other separators, or one slip in three characters. */
export function nearest(name: string, all: readonly string[]): string | undefined {
    const plain = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]/g, "");
    const given = plain(name);
    const [best] = all
        .map((one) => ({ one, slips: slips(given, plain(one)) }))
        .filter(({ one, slips }) => slips <= one.length / 3)
        .sort((a, b) => a.slips - b.slips);
    return best?.one;
}

/** Letters that were left out, put in, replaced, or swapped with their neighbour (the optimal string alignment). */
function slips(from: string, to: string): number {
    let [before, row] = [[] as number[], Array.from({ length: to.length + 1 }, (_, at) => at)];
    for (let at = 0; at < from.length; at += 1) {
        const next = [at + 1];
        for (let column = 0; column < to.length; column += 1) {
            const isSwapped = from[at] === to[column - 1] && from[at - 1] === to[column];
            next.push(
                Math.min(
                    (row[column] as number) + (from[at] === to[column] ? 0 : 1),
                    (row[column + 1] as number) + 1,
                    (next[column] as number) + 1,
                    isSwapped ? (before[column - 1] as number) + 1 : Infinity,
                ),
            );
        }
        [before, row] = [row, next];
    }
    return row[to.length] as number;
}
