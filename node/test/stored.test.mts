/** Logins that are kept: refreshed one at a time whatever processes ask, and whole after every crash. Over real TLS, at real servers. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { AccessToken, Account, ConfigError, connect, sessions, stored, TokenSourceFailed } from "mailbearer";
import * as imapflow from "mailbearer/imapflow";
import { login as nodemailerLogin, transport } from "mailbearer/nodemailer";
import { AuthorizationServer, Visitor } from "./authserver.mjs";
import { ROOT } from "./places.mjs";
import { Home, Program } from "./programs.mjs";
import { RealServers } from "./real_servers.mjs";
import { rejection } from "./waiting.mjs";

const USER = "joe@example.com";
/** Python's package, where it is installed. */
const PYTHON = join(ROOT, ".cache/venv/bin/python");

let server: AuthorizationServer;
let mail: RealServers;
let home: Home;

before(async () => {
    server = await AuthorizationServer.start();
    mail = await RealServers.start(server.description);
});
after(async () => {
    await server.stop();
    await mail.stop();
});

beforeEach(async () => {
    home?.remove();
    home = new Home(server.description.ca_file, mail.caFile);
    process.env["MAILBEARER_HOME"] = join(home.folder, "data");
    await server.set({ access_token_seconds: 3600, rotate: true, delay_answer_ms: 0 });
});
after(() => home.remove());

/** Logs in with `mailbearer login`. */
async function loggedIn(): Promise<void> {
    const places = ["--imap", `localhost:${mail.port("imap")}`, "--smtp", `localhost:${mail.port("smtp")}`];
    const client = ["--issuer", server.description.issuer, "--client-id", server.description.clients.public];
    const scopes = ["--scope", "mail", "--scope", "offline_access"];
    const options = [
        "--store",
        "file",
        "--no-check",
        "--no-pop3",
        "--ca-file",
        home.caFile,
        ...client,
        ...scopes,
        ...places,
    ];
    const program = home.command("login", USER, ...options);
    const address = await program.consentAddress();
    await fetch(await new Visitor(USER, server.description.ca_file).redirectOf(address));
    assert.equal(await program.ended, 0, program.err);
}

function pythonHasStore(): boolean {
    return existsSync(PYTHON) && spawnSync(PYTHON, ["-c", "import mailbearer.stored"]).status === 0;
}

const trusting = () => ({ tlsOptions: { ca: readFileSync(home.caFile) } });

describe("sessions without a token", () => {
    it("outlive five access tokens, and each refresh token is used once", async () => {
        await server.set({ access_token_seconds: 2 });
        await loggedIn();
        const before = await server.counts();
        const first = home.read(USER).grant.refresh_token;
        const program = home.program(`
            import { sessions } from "mailbearer";
            const policy = { lead: 500, loginInterval: 1, tokenLifeLeast: 0, endsWithToken: true };
            for await (const connection of sessions({ protocol: "imap", user: "${USER}", policy })) {
                console.log(connection.generation, connection.mechanism);
                if (connection.generation > 5) break;
                await connection.wait();
            }
        `);
        assert.equal(await program.ended, 0, program.err);
        assert.match(program.out, /^1 OAUTHBEARER\n2 [^]*6 OAUTHBEARER\n$/);
        const now = await server.counts();
        assert.ok(now.refreshes - before.refreshes >= 5, `${now.refreshes - before.refreshes} refreshes`);
        assert.equal(now.refresh_tokens_used_again, before.refresh_tokens_used_again);
        assert.notEqual(home.read(USER).grant.refresh_token, first);
    });

    it("stop with the provider's words when the user has taken the grant back", async () => {
        await loggedIn();
        await server.revoke(USER);
        const program = home.program(`
            import { NeedsUser, sessions } from "mailbearer";
            try {
                await sessions({ protocol: "imap", user: "${USER}" }).next();
            } catch (error) {
                console.log(error instanceof NeedsUser, error.message);
            }
        `);
        assert.equal(await program.ended, 0, program.err);
        const said = /^true .*invalid_grant: grant request is invalid; run `mailbearer login joe@example\.com`/;
        assert.match(program.out, said);
        const { grant } = home.read(USER);
        assert.ok(grant.refresh_token, "what was there stays");
    });

    it("are had from every front door", async () => {
        await loggedIn();
        const connection = await connect({ protocol: "imap", user: USER, ...trusting() });
        assert.equal(connection.endpoint.port, mail.port("imap"));
        await connection.close();
        const client = await imapflow.connect({ user: USER, ...trusting() });
        await client.logout();
        assert.equal(nodemailerLogin({ user: USER, ...trusting() }).port, mail.port("smtp"));
        const sending = transport({ user: USER, ...trusting() });
        assert.equal(await sending.verify(), true);
        sending.close();
        const account = new Account({ user: USER });
        const { value } = await account.sessions({ protocol: "imap", ...trusting() }).next();
        assert.equal(value?.mechanism, "OAUTHBEARER");
        await account.close();
        const named = await connect({ protocol: "imap", user: "joe@EXAMPLE.com", token: stored(USER), ...trusting() });
        await named.close();
    });

    it("name the command that is missing", async () => {
        const said =
            /joe@example\.com is not stored on this machine: run `mailbearer login joe@example\.com`, or give a token/;
        assert.throws(() => stored(USER), said);
        assert.throws(() => sessions({ protocol: "imap", user: USER }), said);
        assert.throws(() => new Account({ user: USER }), said);
        assert.throws(() => imapflow.sessions({ user: USER }), said);
        assert.throws(() => nodemailerLogin({ user: USER }), said);
        assert.match((await rejection(ConfigError, connect({ protocol: "imap", user: USER }))).message, said);
    });
});

describe("a refresh", () => {
    const request = { forceRefresh: true, signal: new AbortController().signal };

    it("is made by one of two processes at a time, a hundred times, and no grant is lost", async () => {
        // Every token is too short to be given again.
        await server.set({ access_token_seconds: 30 });
        await loggedIn();
        const before = await server.counts();
        const text = `
            import { stored } from "mailbearer";
            const source = stored("${USER}");
            for (let times = 0; times < 50; times += 1) await source({ forceRefresh: false });
        `;
        const programs = [home.program(text), home.program(text)];
        for (const program of programs) {
            assert.equal(await program.ended, 0, program.err);
        }
        const now = await server.counts();
        assert.equal(now.refreshes - before.refreshes, 100);
        assert.equal(now.refresh_tokens_used_again, before.refresh_tokens_used_again);
        assert.equal(now.token_requests_at_once, 1);
        assert.equal(await home.command("token", USER).ended, 0);
    });

    it("is made by Node or Python, never by both", { skip: !pythonHasStore() }, async () => {
        await server.set({ access_token_seconds: 30 });
        await loggedIn();
        const before = await server.counts();
        const node = home.program(`
            import { stored } from "mailbearer";
            const source = stored("${USER}");
            for (let times = 0; times < 25; times += 1) await source({ forceRefresh: false });
        `);
        const text = `import mailbearer\nsource = mailbearer.stored("${USER}")\nfor _ in range(25): source()`;
        const env = { ...home.env, SSL_CERT_FILE: home.caFile };
        const python = new Program(PYTHON, ["-c", text], env);
        assert.deepEqual([await node.ended, await python.ended], [0, 0], node.err + python.err);
        const now = await server.counts();
        assert.equal(now.refreshes - before.refreshes, 50);
        assert.equal(now.refresh_tokens_used_again, before.refresh_tokens_used_again);
        assert.equal(await home.command("token", USER).ended, 0);
    });

    it("is left out where another one has made it", async () => {
        await loggedIn();
        const { refreshes } = await server.counts();
        const source = stored(USER, trusting());
        const other = stored(USER, trusting());
        const first = (await source({ forceRefresh: false, signal: request.signal })) as { token: string };
        const second = (await other(request)) as { token: string };
        assert.notEqual(second.token, first.token);
        assert.equal(((await source(request)) as { token: string }).token, second.token);
        assert.equal((await server.counts()).refreshes, refreshes + 1);
        // The same, where the token that was refused is known.
        const refused = new AccessToken(first.token);
        assert.equal(((await source({ ...request, refused })) as { token: string }).token, second.token);
        assert.equal((await server.counts()).refreshes, refreshes + 1);
    });

    it("is an outage where the server is out of order or slow, and nobody's stop", async () => {
        await loggedIn();
        const source = stored(USER, trusting());
        for (const [status, said] of [
            [500, /status 500/],
            [503, /status 503/],
            [429, /status 429/],
        ] as const) {
            await server.set({ fail_token_requests: 1, fail_status: status });
            const error = await rejection(TokenSourceFailed, Promise.resolve(source(request)));
            assert.equal(error.permanent, false);
            assert.match(error.message, said);
        }
        await server.set({ next_error: { error: "invalid_client", error_description: "no such client" } });
        const stop = await rejection(TokenSourceFailed, Promise.resolve(source(request)));
        assert.equal(stop.permanent, true);
        assert.match(stop.message, /invalid_client: no such client.*mailbearer login/);
        const strangers = stored(USER);
        const untrusted = await rejection(TokenSourceFailed, Promise.resolve(strangers(request)));
        assert.equal(untrusted.permanent, false);
        assert.match(untrusted.message, /localhost:\d+ cannot be reached: .*certificate/);
        assert.ok(((await source(request)) as { token: string }).token);
    });

    it("keeps what the server gave where no disk takes it, until one does", async () => {
        await loggedIn();
        const source = stored(USER, trusting());
        const path = home.accountFile(USER);
        const text = readFileSync(path, "utf8");
        const before = await server.counts();
        await server.set({ delay_answer_ms: 500 });
        const failed = rejection(TokenSourceFailed, Promise.resolve(source(request)));
        while ((await server.counts()).token_requests === before.token_requests) {
            await sleep(5);
        }
        // A file is not renamed to a folder, even by root.
        rmSync(path);
        mkdirSync(path);
        assert.match((await failed).message, /the new tokens of joe@example\.com cannot be kept/);
        rmdirSync(path);
        writeFileSync(path, text, { mode: 0o600 });
        await server.set({ delay_answer_ms: 0 });
        const { token } = (await source(request)) as { token: string };
        assert.equal(home.read(USER).grant.access_token, token);
        const now = await server.counts();
        assert.equal(now.refreshes, before.refreshes + 1);
        assert.equal(now.refresh_tokens_used_again, before.refresh_tokens_used_again);
    });

    it("shows no secret when it fails", async () => {
        await loggedIn();
        await server.revoke(USER);
        const { grant } = home.read(USER);
        const error = await rejection(TokenSourceFailed, Promise.resolve(stored(USER, trusting())(request)));
        const shown = inspect(error, { depth: 10, showHidden: true }) + JSON.stringify(error) + String(error.stack);
        for (const secret of [grant.refresh_token, grant.access_token]) {
            assert.ok(!shown.includes(secret), shown);
        }
    });
});

describe("the lock of an account", () => {
    it("keeps out whoever else locks its file, in another language, and ends with its process", async () => {
        await server.set({ access_token_seconds: 30 });
        await loggedIn();
        const lock = home.accountFile(USER).replace(/json$/, "lock");
        // As Python's filelock does it.
        const holding = `import fcntl, sys\nfile = open(${JSON.stringify(lock)}, "r+")\nfcntl.flock(file, fcntl.LOCK_EX)\nprint("held", flush=True)\nsys.stdin.read()`;
        const python = spawn("python3", ["-c", holding], { stdio: ["pipe", "pipe", "inherit"] });
        await once(python.stdout, "data");
        const { token_requests: before } = await server.counts();
        const program = home.command("token", USER);
        const given = new AbortController();
        const source = stored(USER, trusting());
        const abandoned = Promise.resolve(source({ forceRefresh: false, signal: given.signal }));
        await sleep(500);
        assert.equal((await server.counts()).token_requests, before);
        assert.equal(program.out, "");
        given.abort(new Error("enough"));
        await assert.rejects(abandoned, /enough|aborted/);
        python.kill("SIGKILL");
        assert.equal(await program.ended, 0, program.err);
        assert.equal((await server.counts()).token_requests, before + 1);

        // And the other way round.
        await server.set({ delay_answer_ms: 5_000 });
        const refreshing = home.command("token", USER);
        while ((await server.counts()).token_requests === before + 1) {
            await sleep(5);
        }
        const trying = `import fcntl\nfcntl.flock(open(${JSON.stringify(lock)}, "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB)`;
        assert.match(spawnSync("python3", ["-c", trying], { encoding: "utf8" }).stderr, /BlockingIOError/);
        refreshing.child.kill("SIGKILL");
        await refreshing.ended;
        assert.equal(spawnSync("python3", ["-c", trying]).status, 0);
    });
});

const ROUNDS = 25;

describe(`two processes that are killed, ${ROUNDS} times at random`, () => {
    it("leave a store that works, or says what to do", async () => {
        await server.set({ access_token_seconds: 30 });
        await loggedIn();
        const before = await server.counts();
        const asked = { forceRefresh: false, signal: new AbortController().signal };
        const text = `
            import { stored } from "mailbearer";
            const source = stored("${USER}");
            await source({ forceRefresh: false });
            console.log("ready");
            for (;;) await source({ forceRefresh: false });
        `;
        let lost = 0;
        for (let times = 0; times < ROUNDS; times += 1) {
            const { refresh_tokens_used_again: used } = await server.counts();
            const programs = [home.program(text), home.program(text)];
            for (const program of programs) {
                await program.said(/ready/);
            }
            for (const program of programs) {
                await sleep(Math.random() * 60);
                program.child.kill("SIGKILL");
                await program.ended;
            }
            assert.equal(home.read(USER).version, 1);
            try {
                await stored(USER, trusting())(asked);
            } catch (error) {
                // The server had answered, and the answer was lost with its process.
                assert.match(String(error), /invalid_grant.*run `mailbearer login joe@example\.com`/);
                assert.ok((await server.counts()).refresh_tokens_used_again > used);
                lost += 1;
                await loggedIn();
            }
        }
        const { refreshes } = await server.counts();
        assert.ok(refreshes - before.refreshes > 2 * ROUNDS, `${refreshes - before.refreshes} refreshes in all`);
        assert.ok(lost < ROUNDS, "no process was killed at another moment");
        const left = readdirSync(join(home.folder, "data/accounts"));
        assert.deepEqual(left.sort(), [`${USER}.json`, `${USER}.lock`]);
    });
});
