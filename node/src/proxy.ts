/** Proxies, by SOCKS (through the package `socks`) and by HTTP's CONNECT: they look names up, and their failures are their own. */
import { request } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { inspect } from "node:util";
import { ConfigError, ProxyFailed } from "./errors";
import { kindOf, shown, standIn } from "./foreign";
import { installed } from "./peers";

/** A host and its port. */
export interface Place {
    readonly host: string;
    readonly port: number;
}

/** Ends of a request. */
export interface Limits {
    readonly signal: AbortSignal;
    /** Milliseconds. */
    readonly timeout: number;
}

type Scheme = "socks5" | "socks4a" | "http" | "https";

/** What a URL may say, and curl's names for the same. */
const SCHEMES: Readonly<Record<string, Scheme>> = {
    "socks5:": "socks5",
    "socks5h:": "socks5",
    "socks:": "socks5",
    "socks4a:": "socks4a",
    "http:": "http",
    "https:": "https",
};

const PORTS: Readonly<Record<Scheme, number>> = { socks5: 1080, socks4a: 1080, http: 80, https: 443 };

/** A proxy. Its password is in no text of it. */
export class Proxy {
    readonly #user: string;
    readonly #password: string;

    private constructor(
        readonly scheme: Scheme,
        readonly place: Place,
        user: string,
        password: string,
    ) {
        this.#user = user;
        this.#password = password;
    }

    /** Reads a URL. What is wrong with it is told without it: it may hold a password. */
    static parse(given: string | URL): Proxy {
        if (typeof given !== "string" && !(given instanceof URL)) {
            throw new ConfigError(`proxy must be a URL, not ${kindOf(given)}`);
        }
        const url = URL.canParse(String(given)) ? new URL(given) : null;
        const scheme = url === null ? undefined : SCHEMES[url.protocol];
        if (url === null || scheme === undefined || url.hostname === "") {
            const hint = url?.protocol === "socks4:" ? "; socks4:// cannot give a name to the proxy" : "";
            throw new ConfigError(`proxy must be socks5://, socks4a://, http:// or https:// with a host${hint}`);
        }
        if ((url.pathname !== "" && url.pathname !== "/") || url.search !== "" || url.hash !== "") {
            throw new ConfigError("proxy must be a scheme, a host and a port, with nothing behind them");
        }
        const place = { host: url.hostname.replace(/^\[(.*)\]$/, "$1"), port: Number(url.port) || PORTS[scheme] };
        const proxy = new Proxy(scheme, place, decoded(url.username), decoded(url.password));
        if (proxy.#isSocks) {
            proxy.#library();
        }
        return proxy;
    }

    get #isSocks(): boolean {
        return this.scheme === "socks5" || this.scheme === "socks4a";
    }

    get #isNamed(): boolean {
        return this.#user !== "" || this.#password !== "";
    }

    #library(): typeof import("socks") {
        return installed("socks", () => require("socks") as typeof import("socks"));
    }

    /** As in `socks5://127.0.0.1:1080`. */
    toString(): string {
        const { host, port } = this.place;
        return `${this.scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
    }

    [inspect.custom](): string {
        return `Proxy { ${this} }`;
    }

    /** Asks for the way to a server, over a connection to the proxy (with TLS, where it is `https`). */
    async ask(connection: Socket, to: Place, { signal, timeout }: Limits): Promise<Duplex> {
        const stop = (): void => void connection.destroy();
        signal.addEventListener("abort", stop);
        try {
            return await (this.#isSocks ? this.#socks(connection, to, timeout) : this.#connect(connection, to));
        } catch (error) {
            connection.destroy();
            throw error;
        } finally {
            signal.removeEventListener("abort", stop);
        }
    }

    async #socks(connection: Socket, to: Place, timeout: number): Promise<Duplex> {
        const { SocksClient } = this.#library();
        const { host, port } = this.place;
        try {
            await SocksClient.createConnection({
                proxy: {
                    host,
                    port,
                    type: this.scheme === "socks5" ? 5 : 4,
                    ...(this.#isNamed ? { userId: this.#user, password: this.#password } : {}),
                },
                command: "connect",
                destination: to,
                existing_socket: connection,
                timeout,
            });
        } catch (error) {
            // The library's own error holds the password.
            throw this.#failed(...this.#meant((error as Error).message, to), standIn(error));
        }
        return withExcess(connection);
    }

    /** What the library's words mean. */
    #meant(words: string, to: Place): [ProxyFailed["reason"], string] {
        const target = `${to.host}:${to.port}`;
        if (/authentication/i.test(words)) {
            return ["authentication", this.#wants()];
        }
        if (/NotAllowed|RejectedIdent/i.test(words)) {
            return ["forbidden", `does not allow connections to ${target}`];
        }
        const said = /rejected connection - \(?(\w+)/i.exec(words)?.[1];
        if (said !== undefined) {
            return [said === "ConnectionRefused" ? "refused" : "no_way", `cannot connect to ${target}: ${said}`];
        }
        return ["protocol", `does not answer as a SOCKS proxy: ${shown(words)}`];
    }

    #connect(connection: Socket, to: Place): Promise<Duplex> {
        const target = `${to.host.includes(":") ? `[${to.host}]` : to.host}:${to.port}`;
        const secret = Buffer.from(`${this.#user}:${this.#password}`).toString("base64");
        const asked = request({
            createConnection: () => connection,
            method: "CONNECT",
            path: target,
            headers: { host: target, ...(this.#isNamed ? { "proxy-authorization": `Basic ${secret}` } : {}) },
        });
        return new Promise((resolve, reject) => {
            asked.once("error", (error) =>
                reject(this.#failed("protocol", `does not answer as an HTTP proxy: ${shown(error.message)}`, error)),
            );
            asked.once("connect", ({ statusCode = 0, statusMessage = "" }, socket: Socket, head: Buffer) => {
                if (statusCode >= 200 && statusCode < 300) {
                    if (head.length > 0) {
                        socket.unshift(head);
                    }
                    resolve(socket);
                    return;
                }
                const said = `${statusCode} ${shown(statusMessage)}`.trim();
                reject(this.#failed(...this.#refusal(statusCode, said, target)));
            });
            asked.end();
        });
    }

    #refusal(status: number, said: string, target: string): [ProxyFailed["reason"], string] {
        switch (status) {
            case 407:
            // What tinyproxy says.
            case 401:
                return ["authentication", `${this.#wants()}: ${said}`];
            case 403:
            case 405:
                return ["forbidden", `does not allow connections to ${target}: ${said}`];
            default:
                return ["no_way", `cannot connect to ${target}: ${said}`];
        }
    }

    #wants(): string {
        return this.#isNamed ? "does not take the user name and password" : "wants a user name and password";
    }

    /** It could not be reached at all. */
    unreachable(error: Error): ProxyFailed {
        return this.#failed("unreachable", `cannot be reached: ${shown(error.message || error.name)}`, error);
    }

    #failed(reason: ProxyFailed["reason"], words: string, cause?: unknown): ProxyFailed {
        return new ProxyFailed(reason, String(this), words, { cause });
    }
}

function decoded(part: string): string {
    try {
        return decodeURIComponent(part);
    } catch (cause) {
        const words = "proxy has a user name or password with a % that stands for nothing: write %25";
        throw new ConfigError(words, { cause });
    }
}

/** The library hands on what came behind the proxy's answer as an event, after this turn of the loop, and lets the socket flow. */
async function withExcess(socket: Socket): Promise<Socket> {
    const chunks: Buffer[] = [];
    const keep = (chunk: Buffer): void => void chunks.push(chunk);
    socket.on("data", keep);
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    socket.off("data", keep);
    socket.pause();
    if (chunks.length > 0) {
        socket.unshift(Buffer.concat(chunks));
    }
    return socket;
}

/** What `ALL_PROXY` says, but for the hosts of `NO_PROXY`, as curl reads them. */
export function proxyOfEnvironment(host: string, environment = process.env): Proxy | undefined {
    const given = environment["ALL_PROXY"] ?? environment["all_proxy"] ?? "";
    const exempt = (environment["NO_PROXY"] ?? environment["no_proxy"] ?? "").split(/[\s,]+/).filter(Boolean);
    const name = host.toLowerCase();
    const isExempt = exempt.some((one) => {
        const domain = one.toLowerCase().replace(/^\*?\./, "");
        return one === "*" || name === domain || name.endsWith(`.${domain}`);
    });
    return given === "" || isExempt ? undefined : Proxy.parse(given);
}
