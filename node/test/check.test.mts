/** The command, as a user runs it: `npx mailbearer check`. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import * as tls from "node:tls";
import { connect, type MailProtocol, type Tls } from "mailbearer";
import { caFile, Server, type ServerOptions } from "mailbearer/testing";
import { certificate } from "./certificates.mjs";
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
    // Sentences stay whole.
    const wide = { ...others, COLUMNS: "1000" };
    const env = given.token === undefined ? wide : { ...wide, MAILBEARER_TOKEN: given.token };
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
        // Who sits at a shell has no function to give.
        assert.match(done.out.replace(/\s+/g, " "), /Get a new access token for this user/);
        assert.doesNotMatch(done.out, /function/);
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
            "logged_in",
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

    it("asks the mailbox after the login: a POP3 that is off is found, and told as such", async () => {
        const running = await started({ refuse: "protocol_disabled" });
        const token = running.issueToken(USER);
        // Gmail lets the login in, and refuses the first command.
        const login = connect({ protocol: "pop3", user: USER, token, ...running.at("pop3") });
        await (await login).close();
        const words = ["check", USER, "--no-imap", "--no-smtp", ...places(running)];
        const done = await run([...words, "--trace"], { token });
        assert.equal(done.status, 1, done.out);
        assert.match(done.out, /cause {4}protocol_disabled \(/);
        assert.match(done.out, /The login works, but the mailbox cannot be used\.\n +cause/);
        assert.match(done.out, /C: STAT\n +S: -ERR \[SYS\/PERM\]/);
        const { results } = JSON.parse((await run([...words, "--json"], { token })).out);
        const [{ ok, logged_in, failure }] = results;
        assert.deepEqual([ok, logged_in, failure.cause], [false, true, "protocol_disabled"]);
        assert.match(results[0].mechanism, /XOAUTH2|OAUTHBEARER/);
    });

    it("asks the mailbox: who is authenticated but not connected, cut off, or not answered, is told so", async () => {
        const answers: Array<[string, string | null | undefined, RegExp, string]> = [
            ["imap", "BAD User is authenticated but not connected.", /not_connected/, "NOOP"],
            ["imap", "* BYE [UNAVAILABLE] Temporary System Problem\r\n", /unavailable/, "NOOP"],
            ["imap", undefined, /connection_lost|session_ended/, "NOOP"],
            ["imap", null, /timed_out/, "NOOP"],
            ["pop3", "-ERR [SYS/TEMP] mailbox is locked\r\n", /unavailable|mailbox_locked/, "STAT"],
            ["smtp", "421 4.7.0 Too many connections\r\n", /too_many_connections|rate_limited/, "NOOP"],
            ["smtp", "250-fine\r\n250 2.0.0 OK\r\n", /1 of 1 worked/, ""],
        ];
        const results = answers.map(async ([protocol, answer, words, command]) => {
            const { port, ca, close } = await afterLogin(protocol as MailProtocol, answer);
            const others = ["imap", "pop3", "smtp"].filter((one) => one !== protocol).map((one) => `--no-${one}`);
            const place = [
                `--${protocol}=localhost:${port}`,
                "--ca-file",
                ca,
                "--timeout",
                answer === null ? "1" : "20",
            ];
            const done = await run(["check", USER, "--trace", ...others, ...place], { token: "abc" });
            close();
            assert.match(done.out, words);
            assert.equal(
                done.out.includes("The login works, but the mailbox cannot be used."),
                command !== "",
                done.out,
            );
            assert.equal(new RegExp(`C: (m1 )?${command}`).test(done.out), true, done.out);
        });
        await Promise.all(results);
    });

    it("says why there is no login within six seconds: no host, nobody there, the wrong way of TLS, a stranger", async () => {
        const running = await started();
        const [imap, starttls] = [running.port("imap"), running.port("imap", "starttls")];
        const shield = certificate();
        const stranger = tls.createServer(shield, (socket) => socket.on("error", () => undefined));
        stranger.on("tlsClientError", () => undefined);
        await once(stranger.listen(0, "127.0.0.1"), "listening");
        const { port } = stranger.address() as AddressInfo;
        const begun = performance.now();
        const wrong: Array<[string[], RegExp, RegExp]> = [
            [["--imap=no-such-host.invalid"], /host_not_found/, /ENOTFOUND/],
            [["--imap=127.0.0.1:1"], /connection_refused/, /ECONNREFUSED/],
            [[`--imap=localhost:${starttls}`], /wrong_tls_mode/, /plain text/],
            [[`--imap=localhost:${imap}`, "--starttls"], /wrong_tls_mode/, /before TLS/],
            [[`--imap=localhost:${port}`], /tls_failed/, /Example Shield/],
            [["--imap=localhost:993", "--starttls"], /problem {2}port/, /unusualPort/],
            [["--imap=127.0.0.1:465"], /problem {2}port/, /another mail protocol/],
            [["--imap=127.0.0.1:465", "--unusual-port"], /connection_refused/, /ECONNREFUSED/],
        ];
        await Promise.all(
            wrong.map(async ([words, cause, sentence]) => {
                const done = await run(["check", USER, "--no-pop3", "--no-smtp", ...words], { token: "abc" });
                assert.equal(done.status, 1);
                assert.match(done.out, cause);
                assert.match(done.out, sentence);
            }),
        );
        // Eight processes of Node on a machine that is shared.
        assert.ok(performance.now() - begun < 12_000);
        stranger.close();
    });

    it("gives the name that EHLO is to give", async () => {
        const running = await started();
        const words = ["check", USER, "--no-imap", "--no-pop3", "--trace", ...places(running)];
        const token = running.issueToken(USER);
        assert.match(
            (await run([...words, "--ehlo-name", "client.example.org"], { token })).out,
            /C: EHLO client\.example\.org/,
        );
        assert.match((await run([...words, "--ehlo-name", "two words"], { token })).out, /problem {2}ehloName/);
    });

    it("takes no token as an argument, runs none, and repeats none", async () => {
        const secret = "ya29.Secret-0123456789";
        for (const words of [
            ["--token", secret],
            [`--token=${secret}`],
            ["--tok", secret],
            [`--tok=${secret}`],
            [`--token-comman=${secret}`],
            [`--${secret}`],
            ["-t", secret],
            [`-t${secret}`],
            [secret],
            ["--json=" + secret],
        ]) {
            const done = await run(["check", USER, ...words]);
            assert.equal(done.status, 2, words.join(" "));
            assert.match(done.err, /usage: mailbearer|see mailbearer --help/);
            assert.ok(!`${done.out}${done.err}`.includes("Secret"), done.err);
        }
        assert.match((await run(["check", USER, "--token", secret])).err, /Use --token-command, MAILBEARER_TOKEN or/);
        assert.ok(!(await run([secret])).err.includes("Secret"));
    });

    it("shows what a token command says on its standard error, bounded and without the token", async () => {
        const token = "ya29.a0AfH6SMBxZq7";
        const base64 = Buffer.from(`user=joe\x01auth=Bearer ${token}\x01\x01`).toString("base64");
        const script =
            `console.log("${token}");` +
            `console.error("no grant for ${token} or ${base64}\\x1b[2J" + " and so on".repeat(1000));process.exit(3)`;
        const done = await run(["check", USER, "--token-command", `node -e '${script}'`]);
        assert.equal(done.status, 2);
        assert.match(done.err, /failed with status 3: no grant for <token> or /);
        assert.ok(done.err.length < 700 && !/[^\P{C}\n]/u.test(done.err));
        assert.ok(!done.err.includes(token) && !done.err.includes(base64.slice(28, 48)), done.err);
    });

    it("says what is wrong with its arguments", async () => {
        const unknown = await run(["check", "joe@example.org", "--no-discover"], { token: "abc" });
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
            assert.match(done.err, /usage: mailbearer|see mailbearer --help/);
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

/** A server that takes every login, and answers so to the next command; with `undefined` it ends, with `null` it says nothing. */
async function afterLogin(protocol: MailProtocol, answer: string | null | undefined) {
    const identity = certificate();
    const server = tls.createServer(identity, (socket) => {
        socket.on("error", () => undefined);
        socket.on("data", (data) => {
            const [tag = ""] = data.toString().split(" ");
            const said = data.toString();
            if (/AUTH|EHLO|CAPA/.test(said)) {
                socket.write(LOGIN[protocol](said, tag));
            } else if (answer === undefined) {
                socket.end();
            } else if (answer !== null) {
                socket.write(answer.startsWith("BAD") ? `${tag} ${answer}\r\n` : answer);
            }
        });
        socket.write(
            { imap: "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n", pop3: "+OK hi\r\n", smtp: "220 hi\r\n" }[
                protocol
            ],
        );
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const folder = mkdtempSync(join(tmpdir(), "mb-check-"));
    const ca = join(folder, "ca.pem");
    writeFileSync(ca, identity.ca);
    const close = () => {
        server.close();
        rmSync(folder, { recursive: true });
    };
    return { port: (server.address() as AddressInfo).port, ca, close };
}

const LOGIN = {
    imap: (_: string, tag: string) => `${tag} OK [CAPABILITY IMAP4rev1] in\r\n`,
    pop3: (said: string) => (said.startsWith("CAPA") ? "+OK\r\nSASL XOAUTH2\r\n.\r\n" : "+OK in\r\n"),
    smtp: (said: string) => (said.startsWith("EHLO") ? "250-hi\r\n250 AUTH XOAUTH2\r\n" : "235 in\r\n"),
};

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
