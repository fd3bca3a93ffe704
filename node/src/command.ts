#!/usr/bin/env node
/** The command `mailbearer`. */
import { parseArgs } from "node:util";
import { CHECK } from "./check";
import { ACCOUNTS } from "./commands/accounts";
import { type Command, WrongUse } from "./commands/arguments";
import { completionOf } from "./commands/completion";
import { LOGIN } from "./commands/login";
import { LOGOUT } from "./commands/logout";
import { TOKEN } from "./commands/token";
import { version } from "./core";
import { DISCOVER } from "./discover_command";
import { ConfigError, TokenSourceFailed } from "./errors";
import { LoginRefused } from "./login/consent";
import { Missing } from "./login/plan";
import { fitted, guardOutput, Interrupted } from "./terminal";

const COMMANDS: Readonly<Record<string, Command>> = {
    login: LOGIN,
    check: CHECK,
    discover: DISCOVER,
    accounts: ACCOUNTS,
    token: TOKEN,
    logout: LOGOUT,
    completion: completionOf(() => COMMANDS),
};

const HELP = `usage: mailbearer [--help] [--version] COMMAND ...

Log in to mail with OAuth 2.0, and know why it fails.

commands:
${Object.values(COMMANDS)
    .map(({ usage, summary }) => `  ${usage.padEnd(13)} ${summary}`)
    .join("\n")}

See mailbearer COMMAND --help.
`;

async function main(words: string[]): Promise<number> {
    const [name, ...rest] = words;
    if (name === "--version") {
        console.log(`mailbearer ${version}`);
        return 0;
    }
    if (name === "--help" || name === "-h") {
        console.log(fitted(HELP));
        return 0;
    }
    const command = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (name === undefined || command === undefined) {
        const help = fitted(HELP);
        console.error(name === undefined ? help : `mailbearer: there is no command ${echoed(name)}\n\n${help}`);
        return 2;
    }
    try {
        return await run(command, rest);
    } catch (error) {
        return told(error, name, command);
    }
}

async function run(command: Command, words: string[]): Promise<number> {
    const options = { ...command.options, help: { type: "boolean", short: "h" } } as const;
    let parsed;
    try {
        parsed = parseArgs({ args: words, options, allowPositionals: true });
    } catch (error) {
        throw new WrongUse(misread(error));
    }
    if (parsed.values.help === true) {
        console.log(fitted(command.help));
        return 0;
    }
    return command.run(parsed.positionals, parsed.values);
}

/** Says what went wrong, and gives the exit status. */
function told(error: unknown, name: string, { help }: Command): number {
    if (error instanceof WrongUse) {
        console.error(`${fitted(help)}\nmailbearer ${name}: ${error.message}`);
        return 2;
    }
    if (error instanceof Interrupted) {
        return error.status;
    }
    if (error instanceof Missing) {
        console.error(error.message);
        return 2;
    }
    if (error instanceof ConfigError || error instanceof TokenSourceFailed || error instanceof LoginRefused) {
        console.error(`mailbearer: ${error.message}`);
        return error instanceof ConfigError ? 2 : 1;
    }
    throw error;
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
    if (option === "--client-secret") {
        return "there is no --client-secret: others on this machine can read arguments. Use --client-secret-file";
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

guardOutput("mailbearer");
main(process.argv.slice(2)).then(
    (status) => {
        process.exitCode = status;
    },
    (error: unknown) => {
        // Without causes: another library's errors may hold what it sent.
        console.error(error instanceof Error ? error.stack : "mailbearer broke");
        process.exitCode = 1;
    },
);
