/** What the commands have in common: how they are described, and what goes wrong with their arguments. */
import type { ParseArgsConfig } from "node:util";
import { nearest } from "../options";
import type { RouteOptions } from "../route";

/** What `util.parseArgs` has read. */
export type Values = Readonly<Record<string, string | boolean | Array<string | boolean> | undefined>>;

/** One of the commands. */
export interface Command {
    /** What `mailbearer --help` says of it: its arguments, and what it does. */
    readonly usage: string;
    readonly summary: string;
    readonly help: string;
    /** As `util.parseArgs` takes them. */
    readonly options: NonNullable<ParseArgsConfig["options"]>;
    /** Runs it, and gives its exit status: 0 where all worked, 1 where something failed, 2 where something is missing. */
    run(positionals: readonly string[], values: Values): Promise<number>;
}

/** The command was used wrongly: its help says how it is used. */
export class WrongUse extends Error {}

/** The one mail address of the arguments. */
export function oneUser(positionals: readonly string[]): string {
    const [user, ...others] = positionals;
    if (user === undefined || others.length > 0) {
        throw new WrongUse("give one USER");
    }
    return user;
}

/** The value of an option with one. */
export function textOf(values: Values, name: string): string | undefined {
    const value = values[name];
    return typeof value === "string" ? value : undefined;
}

/** Of the commands that speak to an authorization server, and nothing else of it. */
export const PROXY_OPTION = { proxy: { type: "string" } } as const;

export const PROXY_HELP =
    "  --proxy URL              go through a proxy: socks5://host:1080, http://host:3128, or environment for what ALL_PROXY says";

/** The way that `--proxy` names. */
export function routeOf(values: Values): RouteOptions {
    const proxy = proxyOf(values);
    return proxy === undefined ? {} : { proxy };
}

/** A proxy; its password would be in an argument, and is not repeated. */
export function proxyOf(values: Values): string | undefined {
    const proxy = textOf(values, "proxy");
    if (proxy?.includes("@") === true) {
        throw new WrongUse(
            "--proxy takes no password: others on this machine can read arguments. " +
                "Use --proxy environment, and put the URL into ALL_PROXY",
        );
    }
    return proxy;
}

/** What is wrong with an option. Options are never abbreviated, and their values never repeated: one may be a token. */
export function misread(error: unknown, options: readonly string[]): string {
    const said = error instanceof Error ? error.message : "";
    const [, option] = /'([^']*)'/.exec(said) ?? [];
    if (option === "--token") {
        return (
            "there is no --token: others on this machine can read arguments. " +
            "Use --token-command, MAILBEARER_TOKEN or standard input"
        );
    }
    if (option === "--client-secret") {
        return "there is no --client-secret: others on this machine can read arguments. Use --client-secret-file";
    }
    if (said.startsWith("Unknown option")) {
        const meant = nearest(option ?? "", options);
        return `there is no option ${echoed(option ?? "")}${mayBe(meant && `--${meant}`)}`;
    }
    return option === undefined
        ? "the arguments cannot be read"
        : `the value of ${echoed(option)} is missing or too much`;
}

/** A word of the command line, unless it is none of a command's. */
export function echoed(word: string): string {
    return /^[a-z<> -]{1,30}$/.test(word) ? word : "of this name";
}

/** What may have been meant. */
export function mayBe(meant: string | undefined): string {
    return meant === undefined ? "" : `, did you mean ${meant}?`;
}
