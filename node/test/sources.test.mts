/** Sources of tokens: a program, a file, and apps that act by themselves. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer } from "node:https";
import { type AddressInfo, connect as connectTcp, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { clientCredentials, command, connect, ConfigError, Misuse, tokenFile, TokenSourceFailed } from "mailbearer";
import { Server as MailServer } from "mailbearer/testing";
import { certificate } from "./certificates.mjs";
import { APP } from "./places.mjs";
import { Home } from "./programs.mjs";
import { rejection } from "./waiting.mjs";

const USER = "joe@gmail.com";
const request = { forceRefresh: false, signal: new AbortController().signal };

let mail: MailServer;
let folder: string;

before(async () => {
    mail = await MailServer.start();
    folder = mkdtempSync(join(tmpdir(), "mb-sources-"));
});
after(async () => {
    await mail.stop();
    rmSync(folder, { recursive: true });
});

async function logsIn(token: Parameters<typeof connect>[0]["token"]): Promise<void> {
    const connection = await connect({ protocol: "imap", user: USER, token, ...mail.at("imap") });
    await connection.close();
}

describe("command", () => {
    it("gives what a program prints, split as a shell does, and without a shell", async () => {
        const token = mail.issueToken(USER);
        await logsIn(command(`printf "%s\\n" '${token}'`));
        await logsIn(command(["printf", "%s", token]));
        assert.equal(await command(["printf", "%s", "$HOME"])(request), "$HOME");
        const two = rejection(TokenSourceFailed, Promise.resolve(command(["printf", "%s", "a b"])(request)));
        assert.equal((await two).message, "the command printf must print one token, and nothing else");
    });

    it("says why there is none, with what the program said and without what may be secret", async () => {
        const secret = "ya29.a0AfH6SMBxZq7-kP3w";
        const said = `console.log("${secret}"); console.error("no grant for ${secret}; password=hunter2"); process.exit(3)`;
        const error = await rejection(TokenSourceFailed, Promise.resolve(command(["node", "-e", said])(request)));
        assert.match(error.message, /^the command node failed with status 3: no grant for <token>/);
        assert.ok(!error.message.includes(secret) && !error.message.includes("hunter2"), error.message);
        assert.equal(error.permanent, false);
        const missing = Promise.resolve(command("no-such-program-here")(request));
        assert.match(
            (await rejection(TokenSourceFailed, missing)).message,
            /could not be run: it was not found in PATH$/,
        );
        const nowhere = Promise.resolve(command("/nowhere/at-all")(request));
        assert.match((await rejection(TokenSourceFailed, nowhere)).message, /could not be run: there is no such file$/);
        const mute = await rejection(TokenSourceFailed, Promise.resolve(command("false")(request)));
        assert.equal(mute.message, "the command false failed with status 1, and said nothing on standard error");
        const slow = Promise.resolve(command("sleep 60", { timeout: 50 })(request));
        assert.match((await rejection(TokenSourceFailed, slow)).message, /did not end in time/);
        const given = new AbortController();
        const abandoned = assert.rejects(
            Promise.resolve(command("sleep 60")({ ...request, signal: given.signal })),
            /up/,
        );
        given.abort(new Error("given up"));
        await abandoned;
    });

    it("is told what it cannot run", () => {
        for (const words of ["", "  ", [], [1], 7]) {
            assert.throws(() => command(words as string), ConfigError);
        }
        assert.throws(() => command("a", { timeuot: 5 } as object), /has no option timeuot/);
    });
});

describe("tokenFile", () => {
    it("reads the file at every login, and wants it for its owner alone", async () => {
        const path = join(folder, "token");
        const source = tokenFile(path);
        assert.match((await rejection(TokenSourceFailed, logsIn(source))).message, /token is missing/);
        writeFileSync(path, `${mail.issueToken(USER)}\n`, { mode: 0o600 });
        await logsIn(source);
        writeFileSync(path, mail.issueToken(USER));
        await logsIn(source);
        chmodSync(path, 0o640);
        const refused = await rejection(TokenSourceFailed, logsIn(source));
        assert.match(refused.message, /may be read by others: run chmod 600 /);
        assert.equal(refused.permanent, true);
        chmodSync(path, 0o600);
        writeFileSync(path, "a token\nand more");
        await assert.rejects(logsIn(source), Misuse);
    });
});

/** An HTTPS server that answers with JSON. */
async function answering(
    names: string,
    answer: (path: string, body: URLSearchParams, origin: string) => object,
): Promise<{ server: Server; port: number; ca: Buffer }> {
    const identity = certificate(undefined, names);
    const server = createServer(identity, async (incoming: IncomingMessage, response: ServerResponse) => {
        const chunks: Buffer[] = [];
        for await (const chunk of incoming) {
            chunks.push(chunk as Buffer);
        }
        const body = new URLSearchParams(Buffer.concat(chunks).toString());
        const content = answer(incoming.url ?? "", body, `https://${incoming.headers.host}`);
        response.writeHead("error" in content ? 400 : 200, { "content-type": "application/json" });
        response.end(JSON.stringify(content));
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    return { server, port: (server.address() as AddressInfo).port, ca: identity.ca };
}

async function printed(ca: Buffer, text: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
    const file = join(folder, "ca.pem");
    writeFileSync(file, ca);
    const home = new Home(file);
    try {
        Object.assign(process.env, env);
        const program = home.program(text);
        assert.equal(await program.ended, 0, program.err);
        return program.out;
    } finally {
        Object.keys(env).forEach((name) => delete process.env[name]);
        home.remove();
    }
}

describe("clientCredentials", () => {
    it("has Microsoft's app-only tokens, through MSAL", async () => {
        let asked = 0;
        const { server, port, ca } = await answering("DNS:localhost", (path, body, origin) => {
            if (path.includes("openid-configuration")) {
                const endpoints = { authorization_endpoint: `${origin}/authorize`, token_endpoint: `${origin}/token` };
                return { issuer: `${origin}/tenant/v2.0`, jwks_uri: `${origin}/keys`, ...endpoints };
            }
            if (body.get("client_secret") !== "the secret") {
                return { error: "invalid_client", error_description: "AADSTS7000215: Invalid client secret provided." };
            }
            asked += 1;
            return { access_token: `${body.get("scope")} ${asked}`, token_type: "Bearer", expires_in: 3600 };
        });
        const options = (secret: string) =>
            `{ provider: "microsoft", clientId: "an app", clientSecret: "${secret}", authority: "https://localhost:${port}/tenant" }`;
        const text = `
            import { clientCredentials, TokenSourceFailed } from "mailbearer";
            const source = clientCredentials(${options("the secret")});
            for (const forceRefresh of [false, false, true]) {
                const { access_token, expires_at } = await source({ forceRefresh });
                console.log(access_token, Math.round((expires_at - Date.now()) / 60_000));
            }
            await clientCredentials(${options("wrong")})({ forceRefresh: false }).catch((error) => console.log(error.message));
        `;
        const out = await printed(ca, text);
        const scope = "https://outlook.office365.com/.default";
        assert.ok(out.startsWith(`${scope} 1 60\n${scope} 1 60\n${scope} 2 60\n`), out);
        assert.match(out, /invalid_client/);
        server.close();
    });

    it("has the tokens of Google's service accounts, which act for a user, through google-auth-library", async () => {
        const assertions: Array<Record<string, unknown>> = [];
        const { server, port, ca } = await answering("DNS:oauth2.googleapis.com", (_, body) => {
            const [, claims = ""] = (body.get("assertion") ?? "").split(".");
            assertions.push(JSON.parse(Buffer.from(claims, "base64url").toString()) as Record<string, unknown>);
            return { access_token: `ya29.${assertions.length}`, token_type: "Bearer", expires_in: 3600 };
        });
        // The library knows one address only: a proxy leads it here.
        const proxy = createHttpServer();
        proxy.on("connect", (_, socket, head) => {
            const onward = connectTcp(port, "127.0.0.1", () => {
                socket.write("HTTP/1.1 200 go on\r\n\r\n");
                onward.write(head);
                socket.pipe(onward).pipe(socket);
            });
            [onward, socket].forEach((one) => one.on("error", () => undefined));
        });
        await once(proxy.listen(0, "127.0.0.1"), "listening");
        const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
        const keyFile = join(folder, "key.json");
        const key = { private_key: privateKey.export({ type: "pkcs8", format: "pem" }), client_email: "app@project" };
        writeFileSync(keyFile, JSON.stringify({ type: "service_account", ...key }));
        const text = `
            import { clientCredentials } from "mailbearer";
            const source = clientCredentials({ provider: "gmail", keyFile: "${keyFile}", subject: "${USER}" });
            for (const forceRefresh of [false, false, true]) {
                const { access_token, expires_at } = await source({ forceRefresh });
                console.log(access_token, Math.round((expires_at - Date.now()) / 60_000));
            }
        `;
        const out = await printed(ca, text, {
            HTTPS_PROXY: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
        });
        assert.equal(out, "ya29.1 60\nya29.1 60\nya29.2 60\n");
        assert.deepEqual(
            assertions.map(({ sub, scope, iss }) => [sub, scope, iss]),
            Array(2).fill([USER, "https://mail.google.com/", "app@project"]),
        );
        server.close();
        proxy.close();
        proxy.closeAllConnections();
    });

    it("names the package that is missing, with the line for npm", async () => {
        // A folder in which nothing else is installed, as far as Node sees.
        const modules = join(folder, "bare/node_modules");
        mkdirSync(modules, { recursive: true });
        for (const name of ["mailbearer", "@mailbearer"].filter((one) => existsSync(join(APP, "node_modules", one)))) {
            symlinkSync(join(APP, "node_modules", name), join(modules, name));
        }
        const program = join(folder, "bare/program.cjs");
        const text = `
            const { clientCredentials, ConfigError } = require("mailbearer");
            for (const options of [
                { provider: "microsoft", tenant: "example.com", clientId: "a", clientSecret: "b" },
                { provider: "gmail", keyFile: "key.json", subject: "${USER}" },
            ])
                try {
                    clientCredentials(options);
                } catch (error) {
                    console.log(error instanceof ConfigError, error.message);
                }
        `;
        writeFileSync(program, text);
        const { stdout, stderr } = spawnSync(
            process.execPath,
            ["--preserve-symlinks", "--preserve-symlinks-main", program],
            {
                encoding: "utf8",
            },
        );
        const said = ["@azure/msal-node", "google-auth-library"].map(
            (name) => `true ${name} is not installed: npm install ${name}`,
        );
        assert.deepEqual(stdout.trim().split("\n").sort(), said, stderr);
    });

    it("is told what is missing or unknown", () => {
        for (const [options, said] of [
            [{ provider: "yahoo" }, /provider is none of the known values/],
            [undefined, /provider is missing: gmail, microsoft/],
            [{ provider: "microsoft", tenant: "a", clientId: "b" }, /one of clientSecret and certificate/],
            [{ provider: "microsoft", clientId: "b", clientSecret: "c" }, /tenant must be a string/],
            [{ provider: "gmail", keyFile: "a" }, /subject must be a string/],
            [{ provider: "gmail", keyFile: "a", user: "b" }, /no option user/],
        ] as const) {
            assert.throws(() => clientCredentials(options as never), said);
        }
    });
});
