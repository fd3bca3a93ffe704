#!/usr/bin/env node
/** The command `mailbearer`. */
import { parseArgs } from "node:util";
import { argumentsOf, CHECK_HELP, CHECK_OPTIONS, run } from "./check";
import { version } from "./core";
import { DISCOVER_HELP, DISCOVER_OPTIONS, runDiscover } from "./discover_command";

const HELP = `usage: mailbearer [--help] [--version] COMMAND ...

Log in to mail with OAuth 2.0, and know why it fails.

commands:
  check USER    log in over IMAP, POP3 and SMTP, and say what happened; see mailbearer check --help
  discover USER find the servers of a mail address, and where their tokens come from
`;

async function main(words: string[]): Promise<number> {
    const [command, ...rest] = words;
    switch (command) {
        case "--version":
            console.log(`mailbearer ${version}`);
            return 0;
        case "--help":
        case "-h":
            console.log(HELP);
            return 0;
        case "check":
            return check(rest);
        case "discover":
            return discover(rest);
        default:
            console.error(
                command === undefined ? HELP : `mailbearer: there is no command ${echoed(command)}\n\n${HELP}`,
            );
            return 2;
    }
}

async function check(words: string[]): Promise<number> {
    let parsed;
    try {
        const options = { ...CHECK_OPTIONS, help: { type: "boolean", short: "h" } } as const;
        parsed = parseArgs({ args: words, options, allowPositionals: true });
    } catch (error) {
        return wrong(misread(error));
    }
    if (parsed.values.help === true) {
        console.log(CHECK_HELP);
        return 0;
    }
    const [user, ...others] = parsed.positionals;
    if (user === undefined || others.length > 0) {
        return wrong("give one USER");
    }
    const { mechanism } = parsed.values;
    if (mechanism !== undefined && mechanism !== "XOAUTH2" && mechanism !== "OAUTHBEARER") {
        return wrong("--mechanism is XOAUTH2 or OAUTHBEARER");
    }
    return run(argumentsOf(user, parsed.values));
}

async function discover(words: string[]): Promise<number> {
    let parsed;
    try {
        const options = { ...DISCOVER_OPTIONS, help: { type: "boolean", short: "h" } } as const;
        parsed = parseArgs({ args: words, options, allowPositionals: true });
    } catch (error) {
        console.error(`${DISCOVER_HELP}\nmailbearer discover: ${misread(error)}`);
        return 2;
    }
    if (parsed.values.help === true) {
        console.log(DISCOVER_HELP);
        return 0;
    }
    const [user, ...others] = parsed.positionals;
    if (user === undefined || others.length > 0) {
        console.error(`${DISCOVER_HELP}\nmailbearer discover: give one USER`);
        return 2;
    }
    return runDiscover(user, parsed.values);
}

/** What is wrong with an option. Options are never abbreviated, and their values never repeated: one may be a token. */
function misread(error: unknown): string {
    const said = error instanceof Error ? error.message : "";
    const [, option] = /'([^']*)'/.exec(said) ?? [];
    if (option === "--token") {
        return (
            "there is no --token: others on this machine can read arguments. " +
            "Use --token-command, MAILBEARER_TOKEN or standard input"
        );
    }
    if (said.startsWith("Unknown option")) {
        return `there is no option ${echoed(option ?? "")}`;
    }
    return option === undefined
        ? "the arguments cannot be read"
        : `the value of ${echoed(option)} is missing or too much`;
}

/** A word of the command line, unless it is none of a command's. */
function echoed(word: string): string {
    return /^[a-z<> -]{1,30}$/.test(word) ? word : "of this name";
}

function wrong(text: string): number {
    console.error(`${CHECK_HELP}\nmailbearer check: ${text}`);
    return 2;
}

main(process.argv.slice(2)).then(
    (status) => {
        process.exitCode = status;
    },
    (error: unknown) => {
        console.error(error);
        process.exitCode = 1;
    },
);
