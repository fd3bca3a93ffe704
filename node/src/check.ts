/** `mailbearer check USER`: logs in over all three protocols and says what happened, and what to do. */
import { readFileSync } from "node:fs";
import { type Command, oneUser, proxyOf, textOf, type Values, WrongUse } from "./commands/arguments";
import { connectTo } from "./connection";
import { AccessToken, type Discovered, type Failure, type MailProtocol, type Mechanism, type Tls } from "./core";
import { counted } from "./counting";
import { discoveredFor } from "./discover";
import { ConfigError, LoginFailed, MailbearerError, TokenSourceFailed } from "./errors";
import { StoredGrant } from "./login/grant";
import { AccountFile, type ServicePlace } from "./login/store";
import { askMailbox } from "./mailbox";
import { tokenPrinted, wordsOfCommand } from "./program";
import { isPlaced, placed, stored } from "./sources";
import { type Endpoint, isToDiscover, type LoginOptions, resolve } from "./settings";
import { hasColours, secretLine, wrapped } from "./terminal";
import type { TokenFunction } from "./tokens";

const PROTOCOLS: readonly MailProtocol[] = ["imap", "pop3", "smtp"];
const TITLES = { imap: "IMAP", pop3: "POP3", smtp: "SMTP" };

/** The options of the command, as `util.parseArgs` reads them. Those of a login are also `mailbearer login`'s. */
export const CHECK_OPTIONS = {
    imap: { type: "string" },
    "no-imap": { type: "boolean", default: false },
    pop3: { type: "string" },
    "no-pop3": { type: "boolean", default: false },
    smtp: { type: "string" },
    "no-smtp": { type: "boolean", default: false },
    starttls: { type: "boolean", default: false },
    "unusual-port": { type: "boolean", default: false },
    "no-discover": { type: "boolean", default: false },
    provider: { type: "string" },
    "ca-file": { type: "string" },
    mechanism: { type: "string" },
    "ehlo-name": { type: "string" },
    proxy: { type: "string" },
    timeout: { type: "string", default: "30" },
    "token-command": { type: "string" },
    trace: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
} as const;

const CHECK_HELP = `usage: mailbearer check [options] USER

USER is the mailbox, most often a mail address.

options:
  --imap HOST[:PORT]       where IMAP is, in place of the profile's
  --no-imap                leave IMAP out
  --pop3 HOST[:PORT]       where POP3 is, in place of the profile's
  --no-pop3                leave POP3 out
  --smtp HOST[:PORT]       where SMTP is, in place of the profile's
  --no-smtp                leave SMTP out
  --starttls               upgrade with STARTTLS in place of TLS from the start
  --unusual-port           a registered port is used in another way: for another protocol, or the other way of TLS
  --no-discover            do not look up the servers of a domain that is not known
  --provider NAME          gmail, microsoft, yahoo, aol, fastmail, yandex, mailru, icloud
  --ca-file FILE           certificate authorities to trust, in place of the system's
  --mechanism MECHANISM    use this mechanism only: XOAUTH2 or OAUTHBEARER
  --ehlo-name NAME         the name that SMTP's EHLO gives: this machine's full domain name
  --proxy URL              go through a proxy: socks5://host:1080, http://host:3128, or environment for what ALL_PROXY says
  --timeout SECONDS        for each protocol (default: 30)
  --token-command COMMAND  a command that prints an access token
  --trace                  show the dialogue, with the token masked
  --json                   print JSON for programs

After each login the mailbox is asked with one harmless command: NOOP, or STAT of POP3.

The token comes from --token-command, from the environment variable MAILBEARER_TOKEN, or from standard input, or
else from the login that mailbearer login has stored; never from an argument, which other users of the machine could read. Exit
status 0: all that was asked for worked.
`;

export const CHECK: Command = {
    usage: "check USER",
    summary: "log in over IMAP, POP3 and SMTP, and say what happened",
    help: CHECK_HELP,
    options: CHECK_OPTIONS,
    run: (positionals, values) => run(argumentsOf(oneUser(positionals), values)),
};

/** What the command was given. */
export interface Arguments {
    user: string;
    places: Partial<Record<MailProtocol, string>>;
    asked: readonly MailProtocol[];
    starttls: boolean;
    unusualPort: boolean;
    discover: boolean;
    provider: string | undefined;
    caFile: string | undefined;
    mechanism: string | undefined;
    ehloName: string | undefined;
    proxy: string | undefined;
    timeout: string;
    tokenCommand: string | undefined;
    trace: boolean;
    json: boolean;
    /** Where the token is from, where it is a stored login: it says where the mail servers are. */
    source?: TokenFunction | undefined;
    /** Where servers are that no argument names. */
    services?: Readonly<Record<string, ServicePlace | undefined>> | undefined;
}

/** Sorts what `util.parseArgs` has read. */
export function argumentsOf(user: string, values: Values): Arguments {
    const text = (name: string) => textOf(values, name);
    const mechanism = text("mechanism");
    if (mechanism !== undefined && mechanism !== "XOAUTH2" && mechanism !== "OAUTHBEARER") {
        throw new WrongUse("--mechanism is XOAUTH2 or OAUTHBEARER");
    }
    const timeout = text("timeout") ?? "30";
    if (!(Number(timeout) > 0)) {
        throw new WrongUse("--timeout takes a number of seconds");
    }
    return {
        user,
        places: { imap: text("imap"), pop3: text("pop3"), smtp: text("smtp") } as Arguments["places"],
        asked: PROTOCOLS.filter((protocol) => values[`no-${protocol}`] !== true),
        starttls: values["starttls"] === true,
        unusualPort: values["unusual-port"] === true,
        discover: values["no-discover"] !== true,
        provider: text("provider"),
        caFile: text("ca-file"),
        mechanism,
        ehloName: text("ehlo-name"),
        proxy: proxyOf(values),
        timeout,
        tokenCommand: text("token-command"),
        trace: values["trace"] === true,
        json: values["json"] === true,
    };
}

/** What came of one protocol. */
export interface Result {
    protocol: MailProtocol;
    ok: boolean;
    loggedIn: boolean;
    endpoint?: Endpoint;
    tlsVersion?: string;
    mechanism?: Mechanism;
    roundTrips?: number;
    seconds?: number;
    failure?: Failure;
    problem?: string;
    trace: string[];
}

/** Runs the command and gives its exit status. */
async function run(given: Arguments): Promise<number> {
    let found: Found;
    try {
        found = await tokenOf(given);
    } catch (error) {
        if (!(error instanceof TokenSourceFailed)) {
            throw error;
        }
        console.error(`mailbearer: ${error.message}`);
        return 2;
    }
    const { token, source } = found;
    const asked = given.asked.filter((protocol) => given.places[protocol] !== undefined || isPlaced(protocol, source));
    if (asked.length === 0) {
        console.error("mailbearer: nothing to check: all protocols are left out");
        return 2;
    }
    const { results, discovered } = await logins({ ...given, asked, source }, token);
    const worked = results.filter((result) => result.ok).length;
    console.log(
        given.json
            ? JSON.stringify({ user: given.user, results: results.map(forPrograms), discovered }, undefined, 2)
            : `${worked} of ${results.length} worked.`,
    );
    return worked === results.length ? 0 : 1;
}

/** What came of all, and what was looked up for it. */
interface Logins {
    readonly results: readonly Result[];
    readonly discovered: Discovered | undefined;
}

/** Logs in over each protocol that is asked for, and shows what happens. */
export async function logins(given: Arguments, token: string): Promise<Logins> {
    const paint = painter(hasColours(process.stdout) && !given.json);
    if (!given.json) {
        console.log(`Checking ${given.user}\n`);
    }
    const discovered = await discoveredOf(given);
    if (discovered?.outcome === "found" && !given.json) {
        console.log(`${discovered.sentence}\n`);
    }
    const results: Result[] = [];
    for (const protocol of given.asked) {
        const result = await check(protocol, given, token, discovered);
        results.push(result);
        if (given.json && given.trace) {
            // The JSON stands alone on standard output.
            console.error(result.trace.map((line) => `${TITLES[protocol]} ${line}`).join("\n"));
        }
        if (!given.json) {
            show(result, paint, given.trace);
        }
    }
    return { results, discovered };
}

/** Where the servers are that the arguments name; `null` where they name none. */
export function placesOf(given: Arguments): Record<string, { host: string; port: number; tls: Tls }> | null {
    const named = given.asked.filter((protocol) => given.places[protocol] !== undefined);
    const places = named.map((protocol) => {
        const { host, port, tls } = resolve(protocol, optionsOf(protocol, given)).endpoint;
        return [protocol, { host, port, tls }] as const;
    });
    return places.length === 0 ? null : Object.fromEntries(places);
}

/** Looks the servers up, once for all protocols, where one of them is known by nothing else. */
async function discoveredOf(given: Arguments): Promise<Discovered | undefined> {
    try {
        const options = given.asked.map((protocol) => optionsOf(protocol, given));
        const unknown = options.find(isToDiscover);
        return unknown === undefined ? undefined : await discoveredFor(unknown);
    } catch (error) {
        if (error instanceof MailbearerError || isSystemError(error)) {
            // The protocol's own result tells it.
            return undefined;
        }
        throw error;
    }
}

/** Logs in over one protocol, and asks the mailbox. */
async function check(
    protocol: MailProtocol,
    given: Arguments,
    token: string,
    discovered: Discovered | undefined,
): Promise<Result> {
    const result: Result = { protocol, ok: false, loggedIn: false, trace: [] };
    try {
        const options = optionsOf(protocol, given);
        const settings = resolve(protocol, options, isToDiscover(options) ? discovered : undefined);
        result.endpoint = settings.endpoint;
        const secret = new AccessToken(token);
        const trace = (side: string, line: string) => void result.trace.push(`${side}: ${line}`);
        // A function: who sits at a shell is not told to write one.
        const connection = await connectTo(settings, { token: () => secret, signal: undefined, trace });
        result.loggedIn = true;
        result.tlsVersion = connection.tlsVersion;
        result.mechanism = connection.mechanism;
        result.roundTrips = connection.roundTrips;
        result.seconds = connection.elapsed / 1000;
        const names = { user: settings.user, host: result.endpoint.host };
        const failure = await askMailbox(connection, { token: secret, names, timeout: options.timeout, trace });
        await connection.close();
        if (failure === undefined) {
            result.ok = true;
        } else {
            result.failure = failure;
        }
    } catch (error) {
        if (error instanceof LoginFailed) {
            result.failure = error.failure;
        } else if (error instanceof MailbearerError || isSystemError(error)) {
            result.problem = error.message;
        } else {
            throw error;
        }
    }
    return result;
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
    return error instanceof Error && "syscall" in error;
}

function optionsOf(protocol: MailProtocol, given: Arguments): LoginOptions & { timeout: number } {
    const place = given.places[protocol];
    const timeout = Number(given.timeout) * 1000;
    if (!(timeout > 0)) {
        throw new ConfigError("timeout must be a number of seconds above zero");
    }
    const { host, port, tls } = given.services?.[protocol] ?? {};
    const options: LoginOptions & { timeout: number } = {
        user: given.user,
        timeout,
        provider: given.provider,
        ...(place === undefined ? { host, port: port ?? undefined, tls: tls ?? undefined } : placeOf(place)),
        unusualPort: given.unusualPort,
        discover: given.discover,
        ...(given.starttls ? { tls: "starttls" } : {}),
        ...(given.ehloName === undefined ? {} : { ehloName: given.ehloName }),
        ...(given.proxy === undefined ? {} : { proxy: given.proxy }),
        ...(given.mechanism === undefined ? {} : { mechanisms: [given.mechanism as Mechanism] }),
        ...(given.caFile === undefined ? {} : { tlsOptions: { ca: readFileSync(given.caFile) } }),
    };
    return { ...placed(protocol, options, given.source), timeout };
}

/** Reads `host`, `host:port` or `[v6]:port`. */
function placeOf(text: string): { host: string; port?: number } {
    const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
    const plain = text.split(":").length > 2 ? [text, text] : /^([^:]*)(?::(.*))?$/.exec(text);
    const [, host, port] = bracketed ?? plain ?? [];
    if (host === undefined || (port !== undefined && port !== "" && !/^\d+$/.test(port))) {
        throw new ConfigError(`${text} is not HOST or HOST:PORT`);
    }
    return port === undefined || port === "" ? { host } : { host, port: Number(port) };
}

/** A token, and the stored login that it is from. */
interface Found {
    readonly token: string;
    readonly source?: TokenFunction;
}

async function tokenOf({ user, tokenCommand, proxy }: Arguments): Promise<Found> {
    if (tokenCommand !== undefined) {
        return { token: await tokenPrinted(wordsOfCommand(tokenCommand), "--token-command", 60_000) };
    }
    const given = process.env["MAILBEARER_TOKEN"];
    const file = given === undefined ? new AccountFile(user) : undefined;
    const isStored = file?.read() !== undefined;
    const token = given ?? (isStored && process.stdin.isTTY ? "" : await lineOfInput());
    if (token.trim() !== "") {
        return { token: token.trim() };
    }
    if (file === undefined || !isStored) {
        throw new TokenSourceFailed(
            "there is no token: log in once (mailbearer login), or use --token-command, MAILBEARER_TOKEN or standard input",
        );
    }
    const grant = await new StoredGrant(file, {}, { proxy }).token();
    return { token: grant.token, source: stored(user, { proxy }) };
}

function lineOfInput(): Promise<string> {
    return secretLine("Paste the access token, which is not shown, then press Enter: ");
}

type Paint = (code: string, text: string) => string;

/** Colour, where the terminal takes it. */
function painter(on: boolean): Paint {
    return (code, text) => (on ? `\x1b[${code}m${text}\x1b[0m` : text);
}

function show(result: Result, paint: Paint, trace: boolean): void {
    const mark = result.ok ? paint("32", "ok  ") : paint("31", "FAIL");
    const where = result.endpoint === undefined ? "" : `  ${result.endpoint}`;
    console.log(`${mark} ${paint("1", TITLES[result.protocol])}${where}`);
    for (const line of linesOf(result)) {
        const isLabelled =
            /^(\w+ +| {9})/.test(line.slice(0, 9)) && line.slice(7, 9) === "  ".slice(0, line.slice(7, 9).length);
        console.log(wrapped(line, "       ", " ".repeat(isLabelled ? 16 : 7)));
    }
    if (trace) {
        for (const line of result.trace) {
            console.log(`       ${paint("2", line)}`);
        }
    }
    console.log();
}

function linesOf(result: Result): string[] {
    if (result.ok) {
        const trips = counted(result.roundTrips ?? 0, "round trip");
        return [`${result.tlsVersion}, ${result.mechanism}, ${trips}, ${((result.seconds ?? 0) * 1000).toFixed(0)} ms`];
    }
    const { failure } = result;
    if (failure === undefined) {
        return [`problem  ${result.problem}`];
    }
    const code = failure.code === undefined ? "" : `[${failure.code}] `;
    return [
        ...(result.loggedIn ? ["The login works, but the mailbox cannot be used."] : []),
        `cause    ${failure.cause} (${failure.certainty})`,
        ...(failure.serverText === "" ? [] : [`server   ${code}${failure.serverText}`]),
        `advice   ${failure.advice}`,
        `         ${failure.sentence}`,
        ...(failure.url === undefined ? [] : [`address  ${failure.url}`]),
    ];
}

/** The same names as in the other languages' commands. */
function forPrograms(result: Result): object {
    const { endpoint, failure } = result;
    return {
        protocol: result.protocol,
        ok: result.ok,
        logged_in: result.loggedIn,
        host: endpoint?.host ?? null,
        port: endpoint?.port ?? null,
        tls: endpoint?.tls ?? null,
        tls_version: result.tlsVersion ?? null,
        mechanism: result.mechanism ?? null,
        round_trips: result.roundTrips ?? null,
        seconds: result.seconds === undefined ? null : Math.round(result.seconds * 1000) / 1000,
        failure: failure === undefined ? null : failureForPrograms(failure),
        problem: result.problem ?? null,
    };
}

function failureForPrograms(failure: Failure): object {
    const { rejection } = failure;
    return {
        cause: failure.cause,
        advice: failure.advice,
        certainty: failure.certainty,
        server_text: failure.serverText,
        code: failure.code ?? null,
        rejection:
            rejection === undefined
                ? null
                : {
                      status: rejection.status ?? null,
                      scope: rejection.scope ?? null,
                      schemes: rejection.schemes ?? null,
                      openid_configuration: rejection.openidConfiguration ?? null,
                  },
        wait_ms: failure.waitMs ?? null,
        url: failure.url ?? null,
        sentence: failure.sentence,
    };
}
