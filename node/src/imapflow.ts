/**
 * ImapFlow, logged in. It needs the package `imapflow`, from 2.5 on, as it is.
 *
 *     import { sessions } from "mailbearer/imapflow";
 *
 *     for await (const connection of sessions({ user: "joe@gmail.com", token: getAccessToken })) {
 *         await connection.use(async ({ client }) => { await client.mailboxOpen("INBOX"); ... });
 *     }
 *
 * mailbearer logs in, and ImapFlow takes the socket over: to it, the server has greeted with PREAUTH. What it reads and
 * writes is seen by the session, which so knows why and when it ends.
 *
 * @module mailbearer/imapflow
 */
import type { ImapFlow, ImapFlowOptions } from "imapflow";
import { connect as connectSocket, CONNECT_OPTIONS, type Connection, type ConnectOptions } from "./connection";
import { ConfigError, LoginFailed, MailboxRefused, Misuse, SessionEnded } from "./errors";
import { explain, failureOf } from "./explain";
import { saidBy } from "./foreign";
import { known, type OptionsOf, takes } from "./options";
import {
    type Account,
    type AccountSessionOptions,
    checkedOptions,
    SESSION_OPTIONS,
    type SessionOptions,
    sessionsOf,
} from "./account";
import type { Adapter, SessionConnection } from "./kept";
import { installed } from "./peers";
import type { Sessions } from "./sessions";

/** What ImapFlow may be told: where it connects to and how it logs in is mailbearer's business. */
export type ClientOptions = Omit<
    ImapFlowOptions,
    | "host"
    | "port"
    | "secure"
    | "servername"
    | "auth"
    | "tls"
    | "doSTARTTLS"
    | "proxy"
    | "transport"
    | "disableCompression"
>;

/** The options of {@link connect}. */
export type ImapConnectOptions = Omit<ConnectOptions, "protocol"> & { imapflow?: ClientOptions | undefined };

/** The options of {@link sessions}. */
export type ImapSessionOptions = (SessionOptions | (AccountSessionOptions & { account: Account })) & {
    imapflow?: ClientOptions | undefined;
};

const OF_CLIENT = { imapflow: "object" } as const;

const { protocol: _, ...CONNECT_OTHERS } = CONNECT_OPTIONS;

const [CONNECT, SESSIONS] = ["connect of mailbearer/imapflow", "sessions of mailbearer/imapflow"];

const IMAP_CONNECT_OPTIONS: OptionsOf<ImapConnectOptions> = takes(CONNECT, { ...CONNECT_OTHERS, ...OF_CLIENT });
takes(SESSIONS, { ...SESSION_OPTIONS, ...OF_CLIENT });

/** What ImapFlow could be told, and would not heed: each is said in another place. */
const NOT_THE_CLIENTS: Readonly<Record<string, string>> = {
    host: "host",
    port: "port",
    secure: "tls",
    doSTARTTLS: "tls",
    servername: "host",
    tls: "tlsOptions",
    auth: "user and token",
    proxy: "proxy",
    transport: "socket",
    disableCompression: "nothing: there is no compression, for the session must see what is said",
};

function checkedClient(imapflow: ClientOptions | undefined): void {
    const misplaced = Object.keys(imapflow ?? {}).find((name) => Object.hasOwn(NOT_THE_CLIENTS, name));
    if (misplaced !== undefined) {
        const instead = NOT_THE_CLIENTS[misplaced] as string;
        throw new ConfigError(`imapflow.${misplaced} is mailbearer's business: beside imapflow, give ${instead}`);
    }
}

/**
 * Connects, logs in, and gives an ImapFlow client that is ready for work. Its `logout()` or `close()` ends it. Without a `token` it is
 * what `mailbearer login` has stored, here and in {@link sessions}.
 */
export async function connect(options: ImapConnectOptions): Promise<ImapFlow> {
    library();
    known(options, IMAP_CONNECT_OPTIONS, `options of ${CONNECT}`);
    const { imapflow, ...login } = options;
    checkedClient(imapflow);
    const connection = await connectSocket({ ...login, protocol: "imap" });
    try {
        return await over(connection, imapflow);
    } catch (error) {
        await connection.close();
        throw error instanceof ConfigError
            ? error
            : new LoginFailed(failureOf(error, { protocol: "imap" }), { cause: error });
    }
}

/**
 * Stays logged in, as `sessions` of mailbearer does; each connection has an ImapFlow `client` that is ready for work. With an
 * `account` it is a session of that.
 *
 *     const account = new Account({ user: "joe@gmail.com", token: getAccessToken });
 *     const inbox = sessions({ account });
 */
export function sessions(options: ImapSessionOptions): Sessions<ImapFlow> {
    library();
    checkedOptions(options, SESSIONS, OF_CLIENT);
    const { imapflow, ...session } = options;
    checkedClient(imapflow);
    return sessionsOf("imap", session, new ImapFlowAdapter(imapflow));
}

export { SessionConnection } from "./kept";
export { Sessions } from "./sessions";

/** The codes with which ImapFlow says that its connection is gone. */
const GONE: readonly unknown[] = ["NoConnection", "EConnectionClosed", "StateLogout"];

class ImapFlowAdapter implements Adapter<ImapFlow> {
    readonly #options: ClientOptions | undefined;

    constructor(options: ClientOptions | undefined) {
        this.#options = options;
    }

    async make(connection: SessionConnection<ImapFlow>): Promise<ImapFlow> {
        const client = await over(connection, this.#options);
        // The end of a session is told by the session: without a listener ImapFlow's event would end the program.
        client.on("error", (error: Error & { code?: unknown }) => {
            if (error.code === "ETIMEOUT") {
                connection.timedOut(error);
            }
        });
        return client;
    }

    async goodbye(client: ImapFlow): Promise<void> {
        await client.logout();
    }

    async quiet(client: ImapFlow, mailbox: string | undefined, readOnly: boolean): Promise<() => void> {
        const open = client.mailbox === false ? undefined : client.mailbox.path;
        const path = mailbox ?? open;
        if (path === undefined) {
            throw new Misuse("open a mailbox first: mailboxOpen(...)");
        }
        try {
            return await silenced(client, path, readOnly);
        } catch (error) {
            throw isRefusal(error) ? mailboxRefused(error, path) : error;
        }
    }

    ask(client: ImapFlow): void {
        // It ends an IDLE of ImapFlow's, which begins it anew by itself.
        void client.noop().catch(() => undefined);
    }

    isLost(error: unknown): boolean {
        return error instanceof SessionEnded || isGone(error) || isRefusal(error);
    }

    async askAgain(client: ImapFlow, error: unknown): Promise<void> {
        // Exchange refuses each command where a login works and nothing is behind it, and ends nothing by that.
        if (isRefusal(error)) {
            await client.noop();
        }
    }
}

/** What ImapFlow puts into its errors. */
interface Fields {
    readonly code?: unknown;
    readonly responseStatus?: unknown;
    readonly responseText?: unknown;
    readonly serverResponseCode?: unknown;
}

/** Of a command, as in "User is authenticated but not connected". */
function isRefusal(error: unknown): boolean {
    return error instanceof MailboxRefused || typeof (error as Fields | null)?.responseStatus === "string";
}

function isGone(error: unknown): boolean {
    return GONE.includes((error as Fields | null)?.code);
}

/** A lock keeps ImapFlow from IDLE, and NOOP ends one that has begun. */
async function silenced(client: ImapFlow, path: string, readOnly: boolean): Promise<() => void> {
    const lock = await client.getMailboxLock(path, { readOnly });
    try {
        await client.noop();
    } catch (error) {
        lock.release();
        throw error;
    }
    return () => lock.release();
}

/** As where mailbearer opens the mailbox itself. */
function mailboxRefused(error: unknown, mailbox: string): MailboxRefused {
    const { serverResponseCode: code } = error as Fields;
    const { serverText } = explain(error, { protocol: "imap", phase: "mid_session" });
    return new MailboxRefused(serverText, typeof code === "string" ? code : undefined, { cause: error, mailbox });
}

/** ImapFlow, where it is there: where it is missing, that is told before any login. */
function library(): typeof ImapFlow {
    return installed("imapflow", () => (require("imapflow") as typeof import("imapflow")).ImapFlow);
}

async function over(connection: Connection, options: ClientOptions | undefined): Promise<ImapFlow> {
    const { host, port } = connection.endpoint;
    const client = configured({
        logger: false,
        ...options,
        host,
        port,
        secure: true,
        // The session would not understand what it sees.
        disableCompression: true,
        transport: {
            connect(_, ready) {
                connection.putBack(Buffer.from("* PREAUTH logged in\r\n"));
                setImmediate(ready);
                return connection.socket;
            },
        },
    });
    await client.connect();
    return client;
}

function configured(options: ImapFlowOptions): ImapFlow {
    try {
        return new (library())(options);
    } catch (error) {
        throw new ConfigError(`ImapFlow does not take what is given to it as imapflow: ${saidBy(error)}`, {
            cause: error,
        });
    }
}
