/** Where the browser comes back to: pages on this machine (RFC 8252 section 7.3). */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Takes the address at which the browser came back, and says what became of it. */
export type Arrival = (address: URL) => Promise<Outcome>;

/** `stranger`: it is no answer to this login, which still waits for one. */
export type Outcome = "done" | "failed" | "stranger";

/** What the redirect address calls this machine, and what is behind the port. */
export interface RedirectForm {
    readonly host: "127.0.0.1" | "localhost";
    readonly path: "" | "/";
}

/** For the browser to fetch the page that it is sent on to. */
const PAGE_MS = 3_000;

/** Listens on this machine alone, at a port that is free. Nothing is taken but the answer to this login, and nothing logged. */
export class Loopback {
    readonly redirect: string;
    readonly #servers: readonly Server[];
    #owed = deferred();

    private constructor(servers: readonly Server[], { host, path }: RedirectForm, arrival: Arrival) {
        this.#servers = servers;
        const { port } = servers[0]?.address() as AddressInfo;
        this.redirect = `http://${host}:${port}${path}`;
        this.#owed.settle();
        servers.forEach((server) =>
            server.on("request", (request, response) => this.#answer(request, response, arrival)),
        );
    }

    static async open(form: RedirectForm, arrival: Arrival): Promise<Loopback> {
        const first = await listening("127.0.0.1", 0);
        const { port } = first.address() as AddressInfo;
        // A browser may look there first.
        const second = form.host === "localhost" ? await listening("::1", port).catch(() => undefined) : undefined;
        return new Loopback(second === undefined ? [first] : [first, second], form, arrival);
    }

    /** Ends it, once the browser has its page. */
    async close(): Promise<void> {
        const late = setTimeout(() => this.#owed.settle(), PAGE_MS);
        await this.#owed.promise;
        clearTimeout(late);
        await Promise.all(this.#servers.map(closed));
    }

    #answer(request: IncomingMessage, response: ServerResponse, arrival: Arrival): void {
        const path = request.url ?? "";
        const page = PAGES[path];
        if (page !== undefined) {
            say(response, 200, page);
            response.on("finish", () => this.#owed.settle());
            return;
        }
        if (request.method !== "GET" || !URL.canParse(path, this.redirect)) {
            say(response, 404, NOT_MINE);
            return;
        }
        this.#owed = deferred();
        const { settle } = this.#owed;
        void arrival(new URL(path, this.redirect)).then((outcome) => {
            if (outcome === "stranger") {
                settle();
                say(response, 404, NOT_MINE);
            } else {
                // What the browser keeps in its history has no code in it.
                say(response, 303, "", outcome === "done" ? CLOSED : FAILED);
            }
        });
    }
}

function listening(host: string, port: number): Promise<Server> {
    const server = createServer();
    return new Promise((resolve, reject) => {
        server.once("error", reject);
        server.listen(port, host, () => resolve(server));
    });
}

function closed(server: Server): Promise<void> {
    return new Promise((resolve) => {
        server.close(() => resolve());
        // Browsers open connections that they may need later.
        server.closeAllConnections();
    });
}

function deferred(): { readonly promise: Promise<void>; readonly settle: () => void } {
    let settle = (): void => undefined;
    const promise = new Promise<void>((resolve) => (settle = resolve));
    return { promise, settle };
}

const CLOSED = "/closed";
const FAILED = "/failed";
const PAGES: Readonly<Record<string, string>> = {
    [CLOSED]: pageOf("You may close this window", "mailbearer goes on in the terminal."),
    [FAILED]: pageOf("The login did not work", "The terminal says why. You may close this window."),
};
const NOT_MINE = pageOf("This is no answer to the login", "The program waits for another address.");

/** No script, and nothing from elsewhere. */
function pageOf(title: string, text: string): string {
    return `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>mailbearer</title></head>
<body><h1>${title}</h1><p>${text}</p></body></html>
`;
}

function say(response: ServerResponse, status: number, page: string, location?: string): void {
    const headers = {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": "default-src 'none'",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        ...(location === undefined ? {} : { location }),
    };
    response.writeHead(status, headers).end(page);
}
