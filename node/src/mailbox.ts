/** One harmless command after the login: a login may work where nothing behind it does. */
import type { TLSSocket } from "node:tls";
import type { Connection } from "./connection";
import {
    type AccessToken,
    type Failure,
    failureOfHost,
    failureOfReply,
    type MailProtocol,
    type Names,
    Transcript,
    Watch,
} from "./core";

const COMMANDS = { imap: "m1 NOOP", pop3: "STAT", smtp: "NOOP" };
/** The line that ends the answer, and what it says where all is well. */
const LAST = { imap: /^(m1 |\* BYE\b)/i, pop3: /^(\+OK|-ERR)/, smtp: /^\d{3}(?: |$)/ };
const WELL = { imap: /^m1 OK\b/i, pop3: /^\+OK/, smtp: /^2/ };

/** A line that says why a connection ends. */
const SAYS_WHY = { imap: /^(m1 (NO|BAD)|\* (BYE|NO|BAD))\b/i, pop3: /^-ERR/, smtp: /^[45]\d\d/ };
/** A server may tell news before it answers. */
const LINES_MAX = 200;
const THEN = "after the login, when the mailbox was asked for";

/** What the question needs besides the connection. */
export interface Question {
    /** The token of the login: the server may send it back. */
    readonly token: AccessToken;
    readonly names: Names;
    readonly timeout: number;
    readonly trace: (side: "C" | "S", line: string) => void;
}

/** Asks the mailbox: gives what is wrong with it, or nothing. */
export async function askMailbox({ socket, endpoint }: Connection, question: Question): Promise<Failure | undefined> {
    const { protocol } = endpoint;
    const [transcript, watch] = [new Transcript(question.token), new Watch(protocol)];
    const lines: string[] = [];
    const show = (shown: ReturnType<Transcript["flush"]>) => {
        shown.forEach(({ side, text }) => question.trace(side, text));
        lines.push(...shown.filter(({ side }) => side === "S").map(({ text }) => text));
    };
    const octets = Buffer.from(`${COMMANDS[protocol]}\r\n`);
    watch.sent(octets);
    show(transcript.sent(octets, false));
    socket.write(octets);
    const isEnough = (data: Buffer): boolean => {
        watch.received(data);
        show(transcript.received(data));
        return lines.length > LINES_MAX || lines.some((line) => LAST[protocol].test(line));
    };
    const how = await until(socket, isEnough, question.timeout);
    show(transcript.flush());
    const last = lines.at(-1) ?? "";
    if (how === "late") {
        return failureOfHost("timed_out", THEN);
    }
    if (WELL[protocol].test(last)) {
        return undefined;
    }
    if (how === "ended" && !SAYS_WHY[protocol].test(last)) {
        return failureOfHost(watch.closed().cause, THEN);
    }
    return lines.length > LINES_MAX ? failureOfHost("limit_exceeded", THEN) : told(lines, protocol, question.names);
}

/** Reads until there is enough, the connection ends, or the time is over. */
function until(
    socket: TLSSocket,
    isEnough: (data: Buffer) => boolean,
    timeout: number,
): Promise<"answered" | "ended" | "late"> {
    return new Promise((resolve) => {
        const finish = (how: "answered" | "ended" | "late"): void => {
            clearTimeout(timer);
            socket.off("data", hear).off("close", close);
            socket.pause();
            resolve(how);
        };
        const hear = (data: Buffer): void => (isEnough(data) ? finish("answered") : undefined);
        const close = (): void => finish("ended");
        const timer = setTimeout(() => finish("late"), timeout);
        socket.on("error", () => undefined);
        socket.on("close", close).on("data", hear);
    });
}

/** The last line decides; with SMTP all lines are one reply. */
function told(lines: readonly string[], protocol: MailProtocol, names: Names): Failure {
    const text = protocol === "smtp" ? lines.join("\n") : (lines.at(-1) ?? "");
    const phase = /^\* BYE\b/i.test(text) ? "disconnect" : "mid_session";
    return failureOfReply(protocol, phase, { text }, names);
}
