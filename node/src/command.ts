#!/usr/bin/env node
/** The command `mailbearer`. */
import { parseArgs } from "node:util";
import { CHECK } from "./check";
import { ACCOUNTS } from "./commands/accounts";
import { type Command, echoed, mayBe, misread, WrongUse } from "./commands/arguments";
import { completionOf } from "./commands/completion";
import { LOGIN } from "./commands/login";
import { LOGOUT } from "./commands/logout";
import { TOKEN } from "./commands/token";
import { version } from "./core";
import { DISCOVER } from "./discover_command";
import { ConfigError, TokenSourceFailed } from "./errors";
import { LoginRefused } from "./login/consent";
import { Missing } from "./login/plan";
import { nearest } from "./options";
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

const COLUMN = Math.max(...Object.values(COMMANDS).map(({ usage }) => usage.length));

const HELP = `usage: mailbearer [--help] [--version] COMMAND ...

Log in to mail with OAuth 2.0, and know why it fails.

commands:
${Object.values(COMMANDS)
    .map(({ usage, summary }) => `  ${usage.padEnd(COLUMN)} ${summary}`)
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
        console.error(name === undefined ? fitted(HELP) : `mailbearer: ${noCommand(name)}; see mailbearer --help`);
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
        throw new WrongUse(misread(error, Object.keys(options)));
    }
    if (parsed.values.help === true) {
        console.log(fitted(command.help));
        return 0;
    }
    return command.run(parsed.positionals, parsed.values);
}

function noCommand(name: string): string {
    if (name === "demo") {
        return "there is no command demo here: it is in pip's package of the same name (pip install mailbearer)";
    }
    return `there is no command ${echoed(name)}${mayBe(nearest(name, Object.keys(COMMANDS)))}`;
}

/** Says what went wrong, and gives the exit status. */
function told(error: unknown, name: string, { help }: Command): number {
    if (error instanceof WrongUse) {
        const [usage] = help.split("\n");
        console.error(`${usage}\nmailbearer ${name}: ${error.message}; see mailbearer ${name} --help`);
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
