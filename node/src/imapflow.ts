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
import { connect as connectSocket, type Connection, type ConnectOptions } from "./connection";
import { Misuse, SessionEnded } from "./errors";
import { known } from "./native";
import { type Account, type AccountSessionOptions, type SessionOptions, sessionsOf } from "./account";
import type { Adapter, SessionConnection } from "./kept";
import { installed } from "./peers";
import type { Sessions } from "./sessions";
import { LOGIN_OPTIONS } from "./settings";

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

/**
 * Connects, logs in, and gives an ImapFlow client that is ready for work. Its `logout()` or `close()` ends it. Without a `token` it is
 * what `mailbearer login` has stored, here and in {@link sessions}.
 */
export async function connect(options: ImapConnectOptions): Promise<ImapFlow> {
    const { imapflow, ...login } = options;
    library();
    known(login, [...LOGIN_OPTIONS, "token", "signal", "trace", "logger"], "options");
    const connection = await connectSocket({ ...login, protocol: "imap" });
    try {
        return await over(connection, imapflow);
    } catch (error) {
        await connection.close();
        throw error;
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
    const { imapflow, ...session } = options;
    library();
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
        // A lock keeps ImapFlow from IDLE, and NOOP ends one that has begun.
        const lock = await client.getMailboxLock(path, { readOnly });
        await client.noop();
        return () => lock.release();
    }

    ask(client: ImapFlow): void {
        // It ends an IDLE of ImapFlow's, which begins it anew by itself.
        void client.noop().catch(() => undefined);
    }

    isLost(error: unknown): boolean {
        return error instanceof SessionEnded || GONE.includes((error as Fields | null)?.code) || isRefusal(error);
    }

    async askAgain(client: ImapFlow, error: unknown): Promise<void> {
        // Exchange refuses each command where a login works and nothing is behind it, and ends nothing by that.
        if (isRefusal(error)) {
            await client.noop();
        }
    }
}

/** What ImapFlow puts into its errors. */
type Fields = { readonly code?: unknown; readonly responseStatus?: unknown };

/** Of a command, as in "User is authenticated but not connected". */
function isRefusal(error: unknown): boolean {
    return typeof (error as Fields | null)?.responseStatus === "string";
}

/** ImapFlow, where it is there: where it is missing, that is told before any login. */
function library(): typeof ImapFlow {
    return installed("imapflow", () => (require("imapflow") as typeof import("imapflow")).ImapFlow);
}

async function over(connection: Connection, options: ClientOptions | undefined): Promise<ImapFlow> {
    const { host, port } = connection.endpoint;
    const client = new (library())({
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
