/** The command, as a user runs it: `npx mailbearer check`. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import type { Tls } from "mailbearer";
import { caFile, Server, type ServerOptions } from "mailbearer/testing";
import { APP } from "./places.mjs";
import { RealServers, realToken } from "./real_servers.mjs";

const USER = "joe@gmail.com";

interface Done {
    status: number;
    out: string;
    err: string;
}

function run(words: string[], given: { token?: string; input?: string } = {}): Promise<Done> {
    const { MAILBEARER_TOKEN: _, ...others } = process.env;
    const env = given.token === undefined ? others : { ...others, MAILBEARER_TOKEN: given.token };
    return new Promise((resolve) => {
        const command = join(APP, "node_modules/.bin/mailbearer");
        const child = execFile(command, words, { env, timeout: 60_000 }, (error, out, err) => {
            resolve({ status: error === null ? 0 : Number(error.code), out, err });
        });
        child.stdin?.on("error", () => undefined);
        child.stdin?.end(given.input ?? "");
    });
}

describe("mailbearer check", () => {
    let server: Server | undefined;
    afterEach(() => server?.stop());

    async function started(options: ServerOptions = {}): Promise<Server> {
        server = await Server.start(options);
        return server;
    }

    function places(of: Server, tls: Tls = "implicit"): string[] {
        const chosen = (["imap", "pop3", "smtp"] as const).map((one) => `--${one}=localhost:${of.port(one, tls)}`);
        return [...chosen, "--ca-file", caFile, ...(tls === "starttls" ? ["--starttls"] : [])];
    }

    for (const tls of ["implicit", "starttls"] as const) {
        it(`says that all three work (${tls})`, async () => {
            const running = await started();
            const done = await run(["check", USER, ...places(running, tls)], { token: running.issueToken(USER) });
            assert.equal(done.status, 0, done.out + done.err);
            assert.equal(done.out.match(/^ok {3}/gm)?.length, 3);
            assert.match(done.out, /TLSv1\.3, (XOAUTH2|OAUTHBEARER), \d+ round trips?, \d+ ms/);
            assert.match(done.out, /3 of 3 worked\.\n$/);
            assert.ok(!done.out.includes("\x1b"));
        });
    }

    it("says cause and advice of a failure, and the exit status tells", async () => {
        const running = await started();
        const token = running.issueToken(USER, { lifetime: 0 });
        const done = await run(["check", USER, "--no-pop3", ...places(running)], { token });
        assert.equal(done.status, 1);
        assert.match(done.out, /cause {4}token_rejected \(/);
        assert.match(done.out, /advice {3}refresh_token/);
        assert.match(done.out, /0 of 2 worked/);
        assert.ok(!(done.out + done.err).includes(token));
    });

    it("prints JSON for programs, with the names of every language", async () => {
        const running = await started({ refuse: "protocol_disabled" });
        const words = ["check", USER, "--json", "--no-pop3", "--no-smtp", ...places(running)];
        const done = await run(words, { token: running.issueToken(USER) });
        const { user, results } = JSON.parse(done.out) as { user: string; results: Array<Record<string, unknown>> };
        assert.equal(user, USER);
        assert.equal(results.length, 1);
        const [result] = results;
        assert.deepEqual(Object.keys(result ?? {}), [
            "protocol",
            "ok",
            "host",
            "port",
            "tls",
            "tls_version",
            "mechanism",
            "round_trips",
            "seconds",
            "failure",
            "problem",
        ]);
        assert.equal((result?.["failure"] as { cause: string }).cause, "protocol_disabled");
        assert.deepEqual(Object.keys(result?.["failure"] as object), [
            "cause",
            "advice",
            "certainty",
            "server_text",
            "code",
            "rejection",
            "wait_ms",
            "url",
            "sentence",
        ]);
    });

    it("shows the dialogue, and masks the token", async () => {
        const running = await started();
        const token = running.issueToken(USER);
        const done = await run(["check", USER, "--trace", ...places(running)], { token });
        assert.match(done.out, /C: A000\d AUTHENTICATE (XOAUTH2|OAUTHBEARER) <token, \d+ octets>/);
        assert.ok(!done.out.includes(token));
    });

    it("takes the token from a command or from standard input", async () => {
        const running = await started();
        const token = running.issueToken(USER);
        const words = ["check", USER, "--no-pop3", "--no-smtp", ...places(running)];
        assert.equal((await run(words, { input: `${token}\n` })).status, 0);
        assert.equal((await run([...words, "--token-command", `printf "%s" '${token}'`])).status, 0);
        const failed = await run(["check", USER, "--token-command", "false"]);
        assert.equal(failed.status, 2);
        assert.match(failed.err, /status 1/);
        assert.equal((await run(["check", USER], { input: "\n" })).status, 2);
    });

    it("says what is wrong with its arguments", async () => {
        const unknown = await run(["check", "joe@example.org"], { token: "abc" });
        assert.equal(unknown.status, 1);
        assert.match(unknown.out, /give host or provider/);
        for (const words of [
            ["check"],
            ["check", "a", "b"],
            ["check", "a", "--no-such"],
            ["chekc"],
            [],
            ["check", "a", "--mechanism", "PLAIN"],
        ]) {
            const done = await run(words, { token: "abc" });
            assert.equal(done.status, 2, words.join(" "));
            assert.match(done.err, /usage: mailbearer/);
        }
        assert.match(
            (await run(["check", USER, "--imap", "host:port"], { token: "abc" })).out,
            /is not HOST or HOST:PORT/,
        );
        assert.match(
            (await run(["check", USER, "--ca-file", "/no/such/file"], { token: "abc" })).out,
            /problem {2}ENOENT/,
        );
        assert.match((await run(["--version"])).out, /^mailbearer \d+\.\d+\.\d+\n$/);
        assert.equal((await run(["check", "--help"])).status, 0);
    });
});

describe("mailbearer check against real servers", () => {
    let servers: RealServers;
    before(async () => {
        servers = await RealServers.start();
    });
    after(() => servers.stop());

    it("logs in, and only where the certificate is trusted", async () => {
        const chosen = (["imap", "pop3", "smtp"] as const).map((one) => `--${one}=localhost:${servers.port(one)}`);
        const token = realToken("joe@example.com");
        const done = await run(["check", "joe@example.com", ...chosen, "--ca-file", servers.caFile], { token });
        assert.equal(done.status, 0, done.out);
        const untrusted = await run(["check", "joe@example.com", ...chosen], { token });
        assert.equal(untrusted.status, 1);
        assert.equal(untrusted.out.match(/tls_failed/g)?.length, 3);
    });
});
