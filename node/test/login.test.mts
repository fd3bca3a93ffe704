/** `mailbearer login` and its sisters, as processes, against a real authorization server and a real Dovecot, over TLS. */
import assert from "node:assert/strict";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { AuthorizationServer, Visitor } from "./authserver.mjs";
import { Home, type Program } from "./programs.mjs";
import { RealServers } from "./real_servers.mjs";

const USER = "joe@example.com";

let server: AuthorizationServer;
let mail: RealServers;
let home: Home;
let options: string[];
/** All that any of the processes said, and was called with. */
let heard = "";

before(async () => {
    server = await AuthorizationServer.start();
    mail = await RealServers.start(server.description);
});
after(async () => {
    await server.stop();
    await mail.stop();
});

beforeEach(() => {
    home?.remove();
    home = new Home(server.description.ca_file, mail.caFile);
    const places = [
        "--imap",
        `localhost:${mail.port("imap")}`,
        "--smtp",
        `localhost:${mail.port("smtp")}`,
        "--no-pop3",
    ];
    const issuer = [
        "--scope",
        "mail",
        "--scope",
        "offline_access",
        "--issuer",
        server.description.issuer,
        "--client-id",
        server.description.clients.public,
    ];
    options = ["--store", "file", "--ca-file", home.caFile, ...issuer, ...places];
});
after(() => home.remove());

function login(...words: string[]): Program {
    return home.command("login", USER, ...options, ...words);
}

async function statusOf(program: Program): Promise<number> {
    const status = await program.ended;
    heard += program.out + program.err;
    return status;
}

/** Gives consent to a program that waits for it, in a browser that comes back. */
async function consented(program: Program, change: (redirect: URL) => void = () => undefined): Promise<string> {
    const address = await program.consentAddress();
    heard += readFileSync(`/proc/${program.child.pid}/cmdline`, "utf8");
    const redirect = await new Visitor(USER, server.description.ca_file).redirectOf(address);
    change(redirect);
    const page = await fetch(redirect);
    return page.text();
}

describe("mailbearer login", () => {
    it("asks in a browser, keeps what it gets, and logs in", async () => {
        const program = login();
        const page = await consented(program);
        assert.match(page, /You may close this window/);
        assert.doesNotMatch(page, /<script|https?:/);
        assert.equal(await statusOf(program), 0, program.out + program.err);
        assert.match(program.out, /ok +IMAP[^]*ok +SMTP[^]*The login is stored in a file that only you can read/);

        const account = home.read(USER);
        assert.equal(account.version, 1);
        assert.equal(account.store, "file");
        assert.equal(account.client_id, server.description.clients.public);
        assert.equal(account.authorization.token_endpoint, server.description.token_endpoint);
        assert.equal(account.authorization.revocation_endpoint, server.description.revocation_endpoint);
        assert.deepEqual(account.scopes, ["mail", "offline_access"]);
        assert.deepEqual(account.services.imap, { host: "localhost", port: mail.port("imap"), tls: "implicit" });
        assert.ok(Math.abs(account.grant.expires_at - Date.now() / 1000 - 3600) < 60);
    });

    it("lets nobody else read what it keeps, whatever the umask", async () => {
        const program = login("--no-check");
        await consented(program);
        assert.equal(await statusOf(program), 0);
        const data = join(home.folder, "data");
        for (const [path, mode] of [
            [data, 0o700],
            [join(data, "accounts"), 0o700],
            ...readdirSync(join(data, "accounts")).map((name) => [join(data, "accounts", name), 0o600] as const),
        ] as const) {
            assert.equal(statSync(path).mode & 0o777, mode, path);
        }
    });

    it("takes the address that another machine's browser came to", async () => {
        const program = login("--no-browser", "--no-check");
        const address = await program.consentAddress();
        const redirect = await new Visitor(USER, server.description.ca_file).redirectOf(address);
        program.child.stdin.write(`${redirect.href}\n`);
        assert.equal(await statusOf(program), 0, program.err);
        assert.ok(home.read(USER).grant.refresh_token);
    });

    it("takes consent that is given on another device", async () => {
        const program = login("--device", "--no-check");
        const address = await program.said(/Open (https:\/\/\S+\/device) /);
        const code = await program.said(/^ +(\S{4}-\S{4})$/m);
        // At the same time, for the server wants five seconds between two questions.
        await server.set({ device_code_seconds: 1 });
        const late = home.command("login", "late@example.com", ...options, "--device", "--no-check");
        await late.said(/enter the code/);
        await server.set({ device_code_seconds: 300 });
        await new Visitor(USER, server.description.ca_file).enter(address, code);
        assert.equal(await statusOf(program), 0, program.err);
        assert.ok(home.read(USER).grant.refresh_token);
        assert.equal(await statusOf(late), 1);
        assert.match(late.err, /nobody entered the code in time/);
    });

    it("takes another redirect address, whose end is pasted", async () => {
        // Without a path: it is sent as it was given, also with the code.
        const program = login("--redirect-uri", "http://127.0.0.1:9", "--no-check");
        const address = await program.consentAddress();
        assert.equal(new URL(address).searchParams.get("redirect_uri"), "http://127.0.0.1:9");
        const redirect = await new Visitor(USER, server.description.ca_file).redirectOf(address);
        program.child.stdin.end(`${redirect.href}\n`);
        assert.equal(await statusOf(program), 0, program.err);
        const silent = login("--redirect-uri", "http://127.0.0.1:9", "--no-check");
        silent.child.stdin.end();
        assert.equal(await statusOf(silent), 1);
        assert.match(silent.err, /no address was pasted/);
    });

    it("registers itself where the server takes programs that it does not know", async () => {
        options = options.filter((word) => word !== "--client-id" && word !== server.description.clients.public);
        const program = login("--no-check");
        await consented(program);
        assert.equal(await statusOf(program), 0, program.err);
        assert.match(home.read(USER).client_id, /^registered-/);
        const token = home.command("token", USER);
        assert.equal(await token.ended, 0, token.err);
    });

    it("sends the secret of a client that has one, from a file of its own or clients.json", async () => {
        const [id, secret] = server.description.clients.secret;
        options = options.map((word) => (word === server.description.clients.public ? id : word));
        const file = join(home.folder, "secret");
        writeFileSync(file, `${secret}\n`);
        const program = login("--client-secret-file", file, "--no-check");
        await consented(program);
        assert.equal(await statusOf(program), 0, program.err);
        assert.equal(home.read(USER).grant.client_secret, secret);
        const clients = { [server.description.issuer]: { client_id: id, client_secret: secret } };
        writeFileSync(join(home.folder, "data/clients.json"), JSON.stringify(clients), { mode: 0o600 });
        options = options.filter((word) => word !== "--client-id" && word !== id);
        const again = login("--no-check");
        await consented(again);
        assert.equal(await statusOf(again), 0, again.err);
        assert.equal(home.read(USER).client_id, id);
    });

    for (const [what, change] of [
        ["of another server", (url: URL) => url.searchParams.set("iss", "https://evil.test")],
        ["without its issuer", (url: URL) => url.searchParams.delete("iss")],
    ] as const) {
        it(`refuses an answer ${what}`, async () => {
            const program = login();
            const page = await consented(program, change);
            assert.match(page, /did not work/);
            assert.equal(await statusOf(program), 1);
            assert.match(program.err, /of another authorization server than the one that was asked/);
            assert.ok(!existsSync(home.accountFile(USER)));
        });
    }

    it("goes by an answer to another login, and waits for its own", async () => {
        const program = login("--no-check", "--no-browser");
        const visitor = new Visitor(USER, server.description.ca_file);
        const redirect = await visitor.redirectOf(await program.consentAddress());
        const stranger = new URL(redirect);
        stranger.searchParams.set("state", "other");
        const answer = await fetch(stranger);
        assert.equal(answer.status, 404);
        assert.match(await answer.text(), /waits for another address/);
        program.child.stdin.write(`${stranger.href}\nno address\n`);
        await program.said(/No: that is no answer to this login[^]*No: that is no answer/);
        assert.equal((await fetch(redirect)).url, new URL("/closed", redirect).href);
        assert.equal(await statusOf(program), 0, program.err);
    });

    it("says that consent was denied", async () => {
        const program = login();
        const address = await program.consentAddress();
        await fetch(await new Visitor(USER, server.description.ca_file).redirectOf(address, "deny"));
        assert.equal(await statusOf(program), 1);
        assert.match(program.err, /access_denied: the user has denied it/);
        assert.ok(!existsSync(home.accountFile(USER)));
    });

    it("leaves what there was where no mail server takes the new login", async () => {
        const first = login("--no-check");
        await consented(first);
        assert.equal(await statusOf(first), 0);
        const before = readFileSync(home.accountFile(USER), "utf8");
        const program = login();
        const redirect = await new Visitor("eve@example.com", server.description.ca_file).redirectOf(
            await program.consentAddress(),
        );
        await fetch(redirect);
        assert.equal(await statusOf(program), 1);
        assert.match(program.err, /the login that was stored before is kept/);
        assert.equal(readFileSync(home.accountFile(USER), "utf8"), before);
    });

    it("goes by what was stored before where nothing else is said", async () => {
        const first = login("--no-check");
        await consented(first);
        assert.equal(await statusOf(first), 0);
        const before = home.read(USER);
        const program = home.command("login", USER, "--ca-file", home.caFile);
        await consented(program);
        assert.equal(await statusOf(program), 0, program.err);
        assert.match(program.out, /ok +IMAP[^]*ok +SMTP/);
        const { grant, ...now } = home.read(USER);
        assert.deepEqual({ ...now, grant: before.grant }, before);
        assert.notEqual(grant.refresh_token, before.grant.refresh_token);
    });

    it("does not take the metadata of another issuer", async () => {
        await server.set({ metadata: { issuer: "https://evil.test" } });
        try {
            const program = login();
            assert.equal(await statusOf(program), 2);
            assert.match(program.err, /issuer/);
        } finally {
            await server.set({ metadata: {} });
        }
    });

    it("says how to make a client id, and what else is missing", async () => {
        for (const [words, said] of [
            [["login", "joe@gmail.com"], /console\.cloud\.google\.com/],
            [["login", "joe@outlook.com"], /entra\.microsoft\.com/],
            [["login", "joe@yahoo.com"], /developer\.yahoo\.com/],
            [["login", "joe@gmx.de"], /GMX gives no tokens/],
            [["login", "joe@icloud.com"], /icloud is not known to give tokens to other programs: give --issuer/],
            [["login", "joe@example.com", "--no-discover"], /--provider, or --issuer/],
            [["login", "joe@gmail.com", "--client-id", "x"], /keyring cannot be used.*--store file/],
            [["login", "joe@gmail.com", "--client-secret", "hush"], /--client-secret-file/],
            [["login"], /give one USER/],
            [["token", "joe@example.com"], /mailbearer login joe@example\.com/],
            [["logout", "joe@example.com"], /mailbearer login joe@example\.com/],
        ] as const) {
            const { status, err } = await ran(...words);
            assert.equal(status, 2, err);
            assert.match(err, said);
            assert.doesNotMatch(err, /hush/);
        }
    });
});

async function ran(...words: string[]): Promise<{ status: number; out: string; err: string }> {
    const program = home.command(...words);
    return { status: await statusOf(program), out: program.out, err: program.err };
}

describe("accounts, token and logout", () => {
    it("show, use and forget what is kept", async () => {
        const program = login("--no-check");
        await consented(program);
        await statusOf(program);

        const shown = await ran("accounts");
        assert.match(
            shown.out,
            /^joe@example\.com {2}another provider, file; its access token lives for 59 minutes more\n$/,
        );
        const [account] = JSON.parse((await ran("accounts", "--json")).out);
        assert.deepEqual(Object.keys(account), ["user", "provider", "store", "expires_at"]);

        const checked = home.command("check", USER, "--ca-file", home.caFile);
        checked.child.stdin.end();
        assert.equal(await statusOf(checked), 0, checked.err);
        assert.match(checked.out, /2 of 2 worked/);

        const { grant } = home.read(USER);
        const token = home.command("token", USER);
        assert.equal(await token.ended, 0);
        assert.equal(token.out, `${grant.access_token}\n`);
        assert.equal(token.err, "");

        const { revocations } = await server.counts();
        const { status, out } = await ran("logout", USER);
        assert.deepEqual([status, out], [0, "joe@example.com is taken back at the provider, and forgotten here.\n"]);
        assert.equal((await server.counts()).revocations, revocations + 1);
        assert.ok(!existsSync(home.accountFile(USER)));
        assert.match((await ran("accounts")).out, /No login is stored/);
    });

    it("forget a damaged file, and what a provider does not take back", async () => {
        for (const change of [
            () => "{",
            (text: string) =>
                text.replace(/"revocation_endpoint": "[^"]*"/, '"revocation_endpoint": "https://localhost:1/"'),
        ]) {
            const program = login("--no-check");
            await consented(program);
            await statusOf(program);
            const path = home.accountFile(USER);
            writeFileSync(path, change(readFileSync(path, "utf8")));
            const { status, err } = await ran("logout", USER);
            assert.equal(status, 1);
            assert.match(err, /is forgotten here, but not taken back at the provider: /);
            assert.ok(!existsSync(path));
        }
    });

    it("go through a proxy, where one is named, to the authorization server too", async () => {
        const asked: string[] = [];
        const proxy = createServer().on("connect", ({ url }, client: Socket) => {
            asked.push(String(url));
            const [host, port] = String(url).split(":");
            const onward = connect(Number(port), host, () => client.write("HTTP/1.1 200 OK\r\n\r\n"));
            client
                .on("error", () => onward.destroy())
                .pipe(onward)
                .on("error", () => client.destroy())
                .pipe(client);
        });
        proxy.listen(0, "127.0.0.1");
        await once(proxy, "listening");
        const words = ["--proxy", `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`];
        const { host } = new URL(server.description.issuer);

        const program = login(...words);
        await consented(program);
        assert.equal(await statusOf(program), 0, program.err);
        // The metadata, the code's tokens, and the two mail servers.
        assert.deepEqual(
            [asked.filter((one) => one === host).length >= 2, asked.includes(`localhost:${mail.port("imap")}`)],
            [true, true],
        );
        const before = asked.length;
        for (const sister of ["token", "logout"]) {
            const path = home.accountFile(USER);
            writeFileSync(path, readFileSync(path, "utf8").replace(/"expires_at": [\d.]+/, '"expires_at": 1'));
            // What `token` prints is secret.
            assert.equal(await home.command(sister, USER, ...words).ended, 0);
        }
        assert.deepEqual(asked.slice(before), [host, host]);
        proxy.close();
    });

    it("refresh a token that lives for less than a minute", async () => {
        const program = login("--no-check");
        await consented(program);
        await statusOf(program);
        const account = home.read(USER);
        account.grant.expires_at = Math.floor(Date.now() / 1000) + 50;
        writeFileSync(home.accountFile(USER), JSON.stringify({ ...account, of_another_version: [1] }), { mode: 0o600 });
        const token = home.command("token", USER);
        assert.equal(await token.ended, 0, token.err);
        const now = home.read(USER);
        assert.equal(token.out, `${now.grant.access_token}\n`);
        assert.notEqual(now.grant.refresh_token, account.grant.refresh_token);
        assert.deepEqual(now.of_another_version, [1]);
    });

    it("say what to do where a file cannot be used, and leave it as it is", async () => {
        const program = login("--no-check");
        await consented(program);
        await statusOf(program);
        const path = home.accountFile(USER);
        const good = readFileSync(path, "utf8");
        for (const [content, mode, said] of [
            [good.slice(0, 90), 0o600, /is damaged: run `mailbearer login joe@example\.com`/],
            ["{}", 0o600, /is damaged/],
            [good.replace('"version": 1', '"version": 2'), 0o600, /was written by a newer mailbearer: update/],
            [good, 0o644, /may be read by others: run chmod 600 /],
        ] as const) {
            writeFileSync(path, content, { mode });
            const { status, out, err } = await ranWithMode(path, mode);
            assert.deepEqual([status, out], [2, ""], err);
            assert.match(err, said);
            assert.equal(readFileSync(path, "utf8"), content);
        }
    });
});

async function ranWithMode(path: string, mode: number): Promise<{ status: number; out: string; err: string }> {
    chmodSync(path, mode);
    return ran("token", USER);
}

describe("secrets", () => {
    it("were in nothing that was said, and in no list of processes", async () => {
        const secrets = await server.secrets();
        assert.ok(secrets.length > 20);
        assert.ok(heard.length > 2_000);
        assert.deepEqual(
            secrets.filter((secret) => heard.includes(secret)),
            [],
        );
        assert.doesNotMatch(heard, /code_verifier/);
    });
});
