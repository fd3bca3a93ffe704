/** Real Dovecot and Postfix on loopback, and ports whose TLS nobody should accept. */
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type Server } from "node:tls";
import { promisify } from "node:util";
import type { MailProtocol, Tls } from "mailbearer";
import { ROOT } from "./places.mjs";

const SCRIPT = join(ROOT, "tests", "servers", "mailservers.py");

/** Started by `tests/servers/mailservers.py`, as for the tests of the other languages. */
export class RealServers {
    readonly caFile: string;
    readonly #directory: string;
    readonly #ports: Record<string, number>;

    private constructor(directory: string, description: { ports: Record<string, number>; ca_file: string }) {
        this.#directory = directory;
        this.#ports = description.ports;
        this.caFile = description.ca_file;
    }

    /** With the description of an authorization server, Dovecot asks that one about each token. */
    static async start(introspection?: object): Promise<RealServers> {
        const directory = mkdtempSync(join(tmpdir(), "mb-"));
        const asked = introspection === undefined ? [] : ["--introspection", JSON.stringify(introspection)];
        const { stdout } = await promisify(execFile)("python3", [SCRIPT, "start", directory, ...asked]);
        // What installs packages may say so first.
        return new RealServers(directory, JSON.parse(stdout.trim().split("\n").at(-1) ?? ""));
    }

    async stop(): Promise<void> {
        await promisify(execFile)("python3", [SCRIPT, "stop", this.#directory]);
    }

    port(service: MailProtocol | "postfix", tls: Tls = "implicit"): number {
        return this.#ports[`${service}-${tls}`] ?? 0;
    }

    /** The options that lead to a service. */
    at(service: MailProtocol | "postfix", tls: Tls = "implicit", host = "localhost") {
        const ca = readFileSync(this.caFile);
        return { host, port: this.port(service, tls), tls, tlsOptions: { ca }, timeout: 20_000 };
    }

    /** Listens with a certificate that is not good, and keeps what a client sends. */
    async badTls(
        kind: "unknown-ca" | "wrong-host" | "expired",
    ): Promise<{ server: Server; port: number; received: () => string }> {
        const folder = join(this.#directory, "tls");
        let received = "";
        const identity = {
            cert: readFileSync(join(folder, `${kind}.pem`)),
            key: readFileSync(join(folder, `${kind}.key`)),
        };
        const server = createServer(identity, (socket) => {
            socket.on("error", () => undefined);
            socket.on("data", (data) => (received += data.toString()));
            socket.write("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER] come in\r\n");
        });
        server.on("tlsClientError", () => undefined);
        await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
        return { server, port: (server.address() as AddressInfo).port, received: () => received };
    }
}

/** A token that Dovecot accepts, or refuses. */
export function realToken(
    user: string,
    options: { length?: number; expiresIn?: number; forged?: boolean } = {},
): string {
    const length = options.length === undefined ? [] : ["--length", String(options.length)];
    const forged = options.forged === true ? ["--forged"] : [];
    const expiresIn = `--expires-in=${options.expiresIn ?? 3600}`;
    return execFileSync("python3", [SCRIPT, "token", user, expiresIn, ...length, ...forged], {
        encoding: "utf8",
    }).trim();
}
