#!/usr/bin/env node
/** The command `mailbearer-testing`: the testing server from a shell, for programs in other languages. */
import { parseArgs } from "node:util";
import { misread, WrongUse } from "./commands/arguments";
import { type Cause, type MailProtocol, type Tls, version } from "./core";
import { MailbearerError } from "./errors";
import { fitted, guardOutput } from "./terminal";
import { caFile, Server, type ServerOptions } from "./testing";

const USERS = { gmail: "joe@gmail.com", outlook: "joe@outlook.com", dovecot: "joe@example.org" };
/** In this order they lie behind one --port. */
const PLACES: ReadonlyArray<readonly [MailProtocol, Tls]> = [
    ["imap", "implicit"],
    ["imap", "starttls"],
    ["pop3", "implicit"],
    ["pop3", "starttls"],
    ["smtp", "implicit"],
    ["smtp", "starttls"],
];
const NAMES = PLACES.map(([protocol, tls]) => (tls === "implicit" ? protocol : `${protocol}+starttls`));
const PORT_MAX = 65_535;

const HELP = `usage: mailbearer-testing [options]

A mail server on loopback, for tests of programs that log in with OAuth: IMAP, POP3 and SMTP, with TLS.

options:
  --port PORT                the first of six ports: IMAP, IMAP with STARTTLS, POP3, POP3 with STARTTLS, SMTP, SMTP with STARTTLS;
                             or one of them, as in imap=10993 or smtp+starttls=10587 (may be repeated). Else they are free ones
  --host ADDRESS             where it listens (default: 127.0.0.1)
  --flavour FLAVOUR          whose words it uses: gmail (default), outlook or dovecot
  --user USER                an account, with a token of its own (may be repeated)
  --token-lifetime SECONDS   of a token (default: 3600)
  --session-limit SECONDS    that a session may live
  --cut CUT                  how a session ends whose time is over: words (default), silent, vanish or never
  --refuse CAUSE[:PROTOCOL]  refuse every login, as in account_disabled
  --connections-max NUMBER   sessions of one user at a time
  --messages NUMBER          in a new INBOX (default: 3)
  --greylist SECONDS         that a new recipient is refused for now
  --json                     print JSON for programs, in one line
  --stdin                    end also when standard input ends

It takes only the tokens that it prints, over XOAUTH2 and OAUTHBEARER. Trust the printed CA certificate, and connect to localhost.
It ends, with status 0, at ^C, at SIGTERM, and with --stdin when standard input ends. Exit status: 1, a port is taken; 2, the
arguments are wrong.
`;

const OPTIONS = {
    port: { type: "string", multiple: true },
    host: { type: "string" },
    flavour: { type: "string" },
    user: { type: "string", multiple: true },
    "token-lifetime": { type: "string" },
    "session-limit": { type: "string" },
    cut: { type: "string" },
    refuse: { type: "string" },
    "connections-max": { type: "string" },
    messages: { type: "string" },
    greylist: { type: "string" },
    json: { type: "boolean" },
    stdin: { type: "boolean" },
    help: { type: "boolean", short: "h" },
    version: { type: "boolean" },
} as const;

type Values = ReturnType<typeof read>;

function read(words: string[]) {
    try {
        return parseArgs({ args: words, options: OPTIONS }).values;
    } catch (error) {
        throw new WrongUse(misread(error, Object.keys(OPTIONS)));
    }
}

async function main(words: string[]): Promise<number> {
    const given = read(words);
    if (given.help === true) {
        console.log(fitted(HELP));
        return 0;
    }
    if (given.version === true) {
        console.log(`mailbearer ${version}`);
        return 0;
    }
    const stopped = end(given.stdin === true);
    const server = await started(given);
    const users = given.user ?? [USERS[flavourOf(given)]];
    const tokens = users.map((user) => ({ user, token: server.issueToken(user) }));
    console.log(given.json === true ? JSON.stringify(described(server, given, tokens)) : told(server, given, tokens));
    await stopped;
    await server.stop();
    return 0;
}

/** Comes when somebody ends it. */
function end(withInput: boolean): Promise<void> {
    return new Promise((resolve) => {
        process.once("SIGINT", resolve);
        process.once("SIGTERM", resolve);
        if (withInput) {
            process.stdin.once("end", resolve).resume();
        }
    });
}

function flavourOf(given: Values): keyof typeof USERS {
    const flavour = given.flavour ?? "gmail";
    if (!Object.hasOwn(USERS, flavour)) {
        throw new WrongUse(`--flavour is one of ${Object.keys(USERS).join(", ")}`);
    }
    return flavour as keyof typeof USERS;
}

async function started(given: Values): Promise<Server> {
    const seconds = (name: "token-lifetime" | "session-limit" | "greylist") => numberOf(given, name, 1000);
    const [cause, protocol] = given.refuse?.split(":") ?? [];
    const options: ServerOptions = {
        flavour: flavourOf(given),
        ports: portsOf(given.port ?? []),
        tokenLifetime: seconds("token-lifetime") ?? 3_600_000,
        ...defined("sessionLimit", seconds("session-limit")),
        ...defined("greylist", seconds("greylist")),
        ...defined("connectionsMax", numberOf(given, "connections-max")),
        ...defined("messages", numberOf(given, "messages")),
        ...defined("host", given.host),
        ...defined("cut", given.cut as NonNullable<ServerOptions["cut"]> | undefined),
    };
    let server;
    try {
        server = await Server.start(options);
        if (cause !== undefined) {
            server.refuse(cause as Cause, protocol as MailProtocol | undefined);
        }
        return server;
    } catch (error) {
        await server?.stop();
        throw error instanceof MailbearerError ? new WrongUse(error.message) : error;
    }
}

function defined<Name extends string, T>(name: Name, value: T | undefined): { [key in Name]?: T } {
    return (value === undefined ? {} : { [name]: value }) as { [key in Name]?: T };
}

function numberOf(given: Values, name: keyof Values & string, unit = 1): number | undefined {
    const text = given[name];
    if (typeof text !== "string") {
        return undefined;
    }
    if (!/^\d+(\.\d+)?$/.test(text)) {
        throw new WrongUse(`--${name} takes a number`);
    }
    return Math.round(Number(text) * unit);
}

function portsOf(given: readonly string[]): NonNullable<ServerOptions["ports"]> {
    const ports: Record<string, number> = {};
    for (const text of given) {
        const [, name, digits] = /^(?:([a-z0-9+]+)=)?(\d{1,5})$/.exec(text) ?? [];
        const port = Number(digits);
        const at = name === undefined ? 0 : NAMES.indexOf(name);
        if (digits === undefined || port === 0 || port > PORT_MAX || at < 0) {
            throw new WrongUse(`--port ${text}: give PORT, or NAME=PORT with one of ${NAMES.join(", ")}`);
        }
        if (name === undefined && port + PLACES.length - 1 > PORT_MAX) {
            throw new WrongUse(`--port ${text}: there are no six ports from there`);
        }
        const places = name === undefined ? PLACES : PLACES.slice(at, at + 1);
        places.forEach((place, offset) => (ports[place.join(" ")] = port + offset));
    }
    return ports;
}

interface Account {
    readonly user: string;
    readonly token: string;
}

function told(server: Server, given: Values, accounts: readonly Account[]): string {
    const places = (["imap", "pop3", "smtp"] as const).map((protocol) => {
        const ports = `TLS ${server.port(protocol)}, STARTTLS ${server.port(protocol, "starttls")}`;
        return `${protocol.padEnd(6)} localhost: ${ports}`;
    });
    return [
        `A mail server with the words of ${flavourOf(given)} listens on ${given.host ?? "127.0.0.1"}.`,
        "",
        ...places,
        `trust  ${caFile}`,
        "",
        ...accounts.flatMap(({ user, token }) => [`user   ${user}`, `token  ${token}`]),
        "",
        "^C ends it.",
    ].join("\n");
}

/** The same names as Python's `python -m mailbearer.testing --json`. */
function described(server: Server, given: Values, users: readonly Account[]): object {
    const ports: Record<string, Record<string, number>> = {};
    for (const [protocol, tls] of PLACES) {
        ports[protocol] = { ...ports[protocol], [tls]: server.port(protocol, tls) };
    }
    const lifetime = numberOf(given, "token-lifetime", 1000) ?? 3_600_000;
    return {
        host: "localhost",
        ports,
        ca_file: caFile,
        flavour: flavourOf(given),
        token_lifetime: lifetime / 1000,
        users,
    };
}

guardOutput("mailbearer-testing");
main(process.argv.slice(2)).then(
    (status) => process.exit(status),
    (error: unknown) => {
        const isWrong = error instanceof WrongUse;
        const help = isWrong ? "; see mailbearer-testing --help" : "";
        console.error(`mailbearer-testing: ${error instanceof Error ? error.message : "it broke"}${help}`);
        process.exit(isWrong ? 2 : 1);
    },
);
