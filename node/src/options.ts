/** The options of the front doors: which there are, what each must be, and what is said of one that is none. */
import { ConfigError } from "./errors";
import { kindOf } from "./foreign";
import { checkName, looksLikeToken } from "./misplaced";

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

/** What other libraries call them. */
const CALLED: Readonly<Record<string, string>> = {
    accesstoken: "token",
    address: "user",
    ca: "tlsOptions",
    email: "user",
    flavor: "flavour",
    hostname: "host",
    login: "user",
    rejectunauthorized: "tlsOptions",
    secure: "tls",
    server: "host",
    ssl: "tls",
    starttls: "tls",
    username: "user",
};

/** Each front door, and what it takes, in the order in which modules define them. */
const doors = new Map<string, readonly string[]>();

/** Notes what a front door takes, under the name that a program calls it by. */
export function takes<T extends Readonly<Record<string, Kind>>>(door: string, all: T): T {
    doors.set(door, Object.keys(all));
    return all;
}

/** An object with options: one that is not known is an error, not a wish, and so is one of another kind. */
export function known(options: unknown, all: Readonly<Record<string, Kind>>, what: string): void {
    if (!IS.object(options)) {
        throw new ConfigError(`${what} must be an object, not ${kindOf(options)}`);
    }
    for (const [name, value] of Object.entries(options as object)) {
        const kind = Object.hasOwn(all, name) ? all[name] : undefined;
        if (kind === undefined && looksLikeToken(name)) {
            throw new ConfigError(`${what}: the name of one looks like an access token: give that as token`);
        }
        if (kind === undefined) {
            throw new ConfigError(`${what} has no option ${name}${meant(name, Object.keys(all), what)}`);
        }
        if (value !== undefined && !IS[kind](value)) {
            throw new ConfigError(`${name} must be ${WORDS[kind]}, not ${kindOf(value)}`);
        }
        checkName(name, value);
    }
}

/** Options without those that are `undefined`: that is as if they were left out. */
export function defined<T extends object>(options: T): Partial<T> {
    return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function meant(name: string, all: readonly string[], what: string): string {
    const list = all.length === 0 ? "there are none" : `they are ${all.join(", ")}`;
    const then = `${list[0]?.toUpperCase()}${list.slice(1)}`;
    const called = CALLED[name.toLowerCase().replace(/[^a-z]/g, "")];
    const known = called !== undefined && all.includes(called) ? called : undefined;
    const other = known === undefined ? (elsewhere(what, name) ?? elsewhere(what, called, ` as ${called}`)) : undefined;
    if (other !== undefined) {
        return `: give it to ${other}. ${then}`;
    }
    const near = known ?? nearest(name, all);
    return near === undefined ? `: ${list}` : `, did you mean ${near}? ${then}`;
}

/** In these the most options of their kind are told. */
const USUAL = ["sessions", "connect"];

/** Another front door that takes it: of the same account, else of the same module, else a usual one. */
function elsewhere(what: string, option: string | undefined, as = ""): string | undefined {
    if (option === undefined) {
        return undefined;
    }
    const door = what.replace(/^options of /, "");
    const [, module] = / of (mailbearer\/\w+)/.exec(door) ?? [];
    const isOfAccount = door === "account.sessions" || door.endsWith("with an account");
    const near = isOfAccount ? "new Account" : door === "Account" ? "account.sessions" : "";
    const rank = (other: string): number =>
        other === near ? 0 : module !== undefined && other.endsWith(` of ${module}`) ? 1 : 2 + usual(other);
    const isOfTests = (one: string): boolean => one.startsWith("server.") || one.startsWith("Server.");
    const [best] = [...doors]
        // Who needs a protocol has it already. What a server for tests is told is no option of a login.
        .filter(([other, all]) => all.includes(option) && option !== "protocol" && isOfTests(other) === isOfTests(door))
        .map(([other]) => other)
        .sort((a, b) => rank(a) - rank(b));
    const [name, where] = best?.split(/(?= of )/) ?? [];
    return name && (name === "policy" ? "policy: { … }" : `${name}({ … })${where ?? ""}${as}`);
}

function usual(door: string): number {
    const at = USUAL.indexOf(door);
    return at < 0 ? USUAL.length : at;
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
