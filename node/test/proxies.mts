/** Real proxies on loopback: microsocks (SOCKS5) and tinyproxy (HTTP CONNECT), and tinyproxy behind TLS. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as tls from "node:tls";
import type { Identity } from "./certificates.mjs";

export const PROXY_USER = "proxy-user";
/** Octets that a URL must escape; tinyproxy takes no more than these. */
export const PROXY_PASSWORD = "s3cret.P_word";

/** A proxy that wants a user name and a password. */
export class RealProxy {
    readonly #child: ChildProcess;
    readonly #folder: string | undefined;

    private constructor(
        readonly scheme: "socks5" | "http",
        readonly port: number,
        child: ChildProcess,
        folder?: string,
    ) {
        this.#child = child;
        this.#folder = folder;
    }

    static async socks(): Promise<RealProxy> {
        const port = await freePort();
        const words = ["-i", "127.0.0.1", "-p", String(port), "-u", PROXY_USER, "-P", PROXY_PASSWORD];
        const child = spawn("microsocks", words, { stdio: "ignore" });
        return listening(new RealProxy("socks5", port, child), child, port);
    }

    /** It leads to these ports only. */
    static async http(ports: readonly number[]): Promise<RealProxy> {
        const port = await freePort();
        const folder = mkdtempSync(join(tmpdir(), "mb-tinyproxy-"));
        const lines = [
            `Port ${port}`,
            "Listen 127.0.0.1",
            "Timeout 600",
            "MaxClients 50",
            `BasicAuth ${PROXY_USER} ${PROXY_PASSWORD}`,
            ...ports.map((one) => `ConnectPort ${one}`),
        ];
        writeFileSync(join(folder, "conf"), `${lines.join("\n")}\n`);
        const child = spawn("tinyproxy", ["-d", "-c", join(folder, "conf")], { stdio: "ignore" });
        return listening(new RealProxy("http", port, child, folder), child, port);
    }

    /** With its user name and password. */
    get url(): string {
        return this.urlOf(PROXY_USER, PROXY_PASSWORD);
    }

    urlOf(user: string, password: string, scheme: string = this.scheme): string {
        return `${scheme}://${encodeURIComponent(user)}:${encodeURIComponent(password)}@127.0.0.1:${this.port}`;
    }

    async stop(): Promise<void> {
        if (this.#child.exitCode === null) {
            this.#child.kill("SIGKILL");
            await once(this.#child, "exit");
        }
        if (this.#folder !== undefined) {
            rmSync(this.#folder, { recursive: true });
        }
    }
}

async function listening(proxy: RealProxy, child: ChildProcess, port: number): Promise<RealProxy> {
    for (let tries = 0; tries < 400; tries += 1) {
        if (child.exitCode !== null) {
            break;
        }
        const socket = net.connect(port, "127.0.0.1");
        const isOpen = await new Promise<boolean>((resolve) => {
            socket.once("connect", () => resolve(true));
            socket.once("error", () => resolve(false));
        });
        socket.destroy();
        if (isOpen) {
            return proxy;
        }
        await sleep(25);
    }
    throw new Error(`${proxy.scheme}: the proxy does not listen`);
}

async function freePort(): Promise<number> {
    const server = net.createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as net.AddressInfo;
    server.close();
    await once(server, "close");
    return port;
}

/** TLS in front of a proxy: what `https://` speaks to. */
export async function behindTls(proxy: RealProxy, identity: Identity): Promise<{ port: number; stop: () => void }> {
    const server = tls.createServer(identity, (client) => {
        const inner = net.connect(proxy.port, "127.0.0.1");
        client.pipe(inner).pipe(client);
        [client, inner].forEach((one) => one.on("error", () => [client, inner].forEach((two) => two.destroy())));
    });
    server.on("tlsClientError", () => undefined);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return { port: (server.address() as net.AddressInfo).port, stop: () => server.close() };
}
