/** The command as a person or a script meets it: real processes, terminals that are none, and outputs that fail. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, it } from "node:test";
import { connect } from "mailbearer";
import { caFile, Server } from "mailbearer/testing";
import { APP } from "./places.mjs";

const USER = "joe@gmail.com";
const SECRET = "ya29.a-secret-that-nobody-may-see";
const COMMAND = join(APP, "node_modules/mailbearer/dist/command.js");
const TESTING = join(APP, "node_modules/mailbearer/dist/testing_command.js");

interface Given {
    input?: string;
    env?: Record<string, string>;
    stdout?: number;
}

interface Done {
    status: number | null;
    out: string;
    err: string;
}

function plain(): NodeJS.ProcessEnv {
    const { MAILBEARER_TOKEN: _token, COLUMNS: _columns, NO_COLOR: _colour, ...others } = process.env;
    return others;
}

async function run(words: string[], { input = "", env = {}, stdout }: Given = {}): Promise<Done> {
    const stdio = ["pipe", stdout ?? "pipe", "pipe"] as const;
    const child = spawn(process.execPath, [COMMAND, ...words], { env: { ...plain(), ...env }, stdio: [...stdio] });
    const [out, err] = [text(child.stdout), text(child.stderr)];
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
    const [status] = (await once(child, "close")) as [number | null];
    return { status, out: await out, err: await err };
}

async function text(stream: NodeJS.ReadableStream | null): Promise<string> {
    let all = "";
    for await (const chunk of stream ?? []) {
        all += String(chunk);
    }
    return all;
}

describe("the command's arguments", () => {
    for (const [words, said] of [
        [["check", "--tok", SECRET, USER], "there is no option --tok"],
        [["check", "--token", SECRET, USER], "there is no --token"],
        [["check", `--tokens=${SECRET}`, USER], "there is no option --tokens"],
        [["check", "--timeout", "soon", USER], "--timeout takes a number of seconds"],
        [["check"], "give one USER"],
        [["nothing"], "there is no command nothing"],
        [["completion", "tcsh"], "give one SHELL"],
        [[], "usage: mailbearer"],
    ] as const) {
        it(`ends with 2 and says once: ${said}`, async () => {
            const done = await run([...words], { input: "x\n" });
            assert.equal(done.status, 2, done.err);
            assert.equal(done.out, "");
            assert.ok(!done.err.includes(SECRET));
            assert.equal(done.err.split(said).length, 2, done.err);
            assert.ok(!/^ {4}at /m.test(done.err));
        });
    }

    for (const [command, words, said] of [
        [COMMAND, ["chek", USER], "there is no command chek, did you mean check?; see mailbearer --help"],
        [COMMAND, ["demo"], "it is in pip's package of the same name (pip install mailbearer); see mailbearer --help"],
        [COMMAND, ["check", "--jsno", USER], "there is no option --jsno, did you mean --json?; see mailbearer check"],
        [COMMAND, ["check", USER, "--mechanism", "PLAIN"], "--mechanism is XOAUTH2 or OAUTHBEARER; see mailbearer"],
        [TESTING, ["--ports", "1"], "there is no option --ports, did you mean --port?; see mailbearer-testing --help"],
        [TESTING, ["--flavour", "x"], "--flavour is one of gmail, outlook, dovecot; see mailbearer-testing --help"],
    ] as const) {
        it(`is short where it is used wrongly: ${words.join(" ")}`, () => {
            const { status, stderr } = spawnSync(process.execPath, [command, ...words], { encoding: "utf8" });
            assert.equal(status, 2);
            assert.ok(stderr.includes(said), stderr);
            assert.ok(stderr.trim().split("\n").length <= 2, stderr);
        });
    }

    it("has its commands in columns", async () => {
        const { out } = await run(["--help"], { env: { COLUMNS: "200" } });
        const rows = out.split("\n").filter((line) => /^ {2}[a-z]/.test(line));
        assert.ok(rows.length >= 7, out);
        assert.equal(new Set(rows.map((row) => /^ {2}[a-z]+( [A-Z]+)? +/.exec(row)?.[0].length)).size, 1, out);
    });

    it("takes the ports of STARTTLS for STARTTLS", async () => {
        for (const [protocol, port, tls] of [
            ["smtp", 587, "starttls"],
            ["imap", 143, "starttls"],
            ["smtp", 465, "implicit"],
        ] as const) {
            const others = ["imap", "pop3", "smtp"].filter((one) => one !== protocol).map((one) => `--no-${one}`);
            const words = ["check", `--${protocol}=127.0.0.1:${port}`, ...others, "--timeout=5", "--json", USER];
            const done = await run(words, { input: "x\n" });
            const [result] = JSON.parse(done.out).results;
            assert.deepEqual([result.port, result.tls], [port, tls]);
        }
    });
});

describe("the command's output", () => {
    let server: Server;
    before(async () => {
        server = await Server.start();
    });
    after(() => server.stop());

    function places(of: Server = server): string[] {
        const where = (["imap", "pop3", "smtp"] as const).map((one) => `--${one}=localhost:${of.port(one)}`);
        return ["check", ...where, "--unusual-port", `--ca-file=${caFile}`, USER];
    }

    it("has JSON alone, and the trace beside it", async () => {
        const token = server.issueToken(USER);
        const done = await run([...places(), "--json", "--trace"], { input: `${token}\n` });
        assert.equal(done.status, 0, done.err);
        assert.equal(JSON.parse(done.out).results.length, 3);
        assert.match(done.err, /^IMAP S: \* OK Gimap/m);
        assert.ok(!(done.out + done.err).includes(token));
    });

    for (const [columns, widest] of [
        [undefined, 80],
        ["60", 60],
        ["200", 200],
    ] as const) {
        it(`is wrapped at ${widest} columns`, async () => {
            const env: Record<string, string> = columns === undefined ? {} : { COLUMNS: columns };
            const refusing = await Server.start({ refuse: "protocol_disabled" });
            const done = await run(places(refusing), { input: `${refusing.issueToken(USER)}\n`, env });
            await refusing.stop();
            const lines = done.out.split("\n").filter((line) => !line.includes("https://"));
            const longest = Math.max(...lines.map((line) => line.length));
            assert.ok(longest <= widest && longest > widest - 40, `${longest}\n${done.out}`);
            const help = await run(["check", "--help"], { env });
            assert.ok(Math.max(...help.out.split("\n").map((line) => line.length)) <= widest, help.out);
            assert.match(help.out, /^ {2}--imap HOST\[:PORT\] {7}where IMAP is/m);
        });
    }

    it("tells of a full disk", { skip: !existsSync("/dev/full") }, async () => {
        for (const words of [["--help"], ["check", "--help"], ["completion", "bash"]]) {
            const full = openSync("/dev/full", "w");
            const done = await run(words, { stdout: full });
            closeSync(full);
            assert.deepEqual(
                [done.status, done.err],
                [1, "mailbearer: the output cannot be written: No space left on device\n"],
            );
        }
    });

    it("ends where nobody reads it", async () => {
        const child = spawn(process.execPath, [COMMAND, "check", "--help"], { stdio: ["ignore", "pipe", "pipe"] });
        child.stdout.destroy();
        const err = text(child.stderr);
        const [status] = await once(child, "close");
        assert.ok(status === 141 || status === 0, String(status));
        assert.equal(await err, "");
    });

    const hasScript = spawnSync("script", ["--version"]).status === 0;

    /** The command at a terminal, which util-linux's script makes. */
    function atTerminal(words: string[], env: Record<string, string>): ChildProcess {
        const command = [process.execPath, COMMAND, ...words].map((word) => `'${word}'`).join(" ");
        return spawn("script", ["-qec", command, "/dev/null"], { env: { ...plain(), ...env } });
    }

    it("does not show a token that is pasted", { skip: !hasScript }, async () => {
        const token = server.issueToken(USER);
        const child = atTerminal(places(), { TERM: "xterm" });
        let shown = "";
        child.stdout?.on("data", (data) => {
            shown += String(data);
            if (String(data).includes("Enter: ")) {
                child.stdin?.write(`${token}X\u007f\r`);
            }
        });
        const [status] = await once(child, "close");
        assert.equal(status, 0, shown);
        assert.ok(!shown.includes(token));
        assert.match(shown, /\x1b\[32mok/);
        assert.match(shown, /3 of 3 worked\./);
    });

    const without: Array<Record<string, string>> = [{ NO_COLOR: "1", TERM: "xterm" }, { TERM: "dumb" }];
    for (const env of without) {
        it(`has no colours with ${JSON.stringify(env)}`, { skip: !hasScript }, async () => {
            const child = atTerminal(places(), { ...env, MAILBEARER_TOKEN: server.issueToken(USER) });
            const shown = await text(child.stdout);
            assert.match(shown, /3 of 3 worked\./);
            assert.ok(!shown.includes("\x1b["));
        });
    }
});

describe("completion", () => {
    function completed(script: string, ...words: string[]): string[] {
        const given = ["mailbearer", ...words].map((word) => `'${word}'`).join(" ");
        const end = `COMP_WORDS=(${given}); COMP_CWORD=${words.length}; _mailbearer; printf "%s\\n" "\${COMPREPLY[@]}"`;
        return spawnSync("bash", ["--norc", "-c", `${script}\n${end}`], { encoding: "utf8" })
            .stdout.split(/\s+/)
            .filter(Boolean);
    }

    it("completes commands, options and values in bash", async () => {
        const { out: script } = await run(["completion", "bash"]);
        assert.deepEqual(completed(script, "che"), ["check"]);
        assert.deepEqual(completed(script, "log").sort(), ["login", "logout"]);
        assert.ok(completed(script, "check", "--to").includes("--token-command"));
        assert.ok(!completed(script, "check", "--to").includes("--token"));
        assert.deepEqual(completed(script, "check", "--provider", "ya"), ["yahoo", "yandex"]);
        assert.deepEqual(completed(script, "login", "--store", ""), ["keyring", "file"]);
        assert.deepEqual(completed(script, "completion", "z"), ["zsh"]);
    });

    for (const shell of ["bash", "zsh", "fish"]) {
        it(`is a script of ${shell}`, async () => {
            const { out: script } = await run(["completion", shell]);
            assert.match(script, /ca-file/);
            // A file: what Node gives as standard input is a socket, which fish does not read.
            const folder = mkdtempSync(join(tmpdir(), "mailbearer-completion-"));
            writeFileSync(join(folder, "script"), script);
            const checked = spawnSync(shell, ["-n", join(folder, "script")], { encoding: "utf8" });
            rmSync(folder, { recursive: true });
            assert.ok(checked.error !== undefined || checked.status === 0, checked.stderr);
        });
    }
});

describe("mailbearer-testing", () => {
    function started(...words: string[]): ChildProcess {
        return spawn(process.execPath, [TESTING, ...words], { stdio: ["pipe", "pipe", "pipe"] });
    }

    async function firstLine(child: ChildProcess): Promise<string> {
        assert.ok(child.stdout);
        const [line] = await once(createInterface({ input: child.stdout }), "line");
        return String(line);
    }

    for (const signal of ["SIGINT", "SIGTERM"] as const) {
        it(`says where it is, and ends at ${signal}`, async () => {
            const child = started("--json", "--user=a@b.org", "--user=c@d.org", "--flavour=dovecot");
            const said = JSON.parse(await firstLine(child));
            for (const { user, token } of said.users) {
                const tlsOptions = { ca: readFileSync(said.ca_file) };
                const place = { host: said.host, port: said.ports.imap.implicit, unusualPort: true, discover: false };
                const connection = await connect({ protocol: "imap", user, token, tlsOptions, ...place });
                connection.socket.destroy();
            }
            child.kill(signal);
            assert.deepEqual(await once(child, "close"), [0, null]);
        });
    }

    it("ends when its input ends", async () => {
        const child = started("--stdin", "--refuse=account_disabled:imap");
        assert.match(await firstLine(child), /words of gmail listens on 127\.0\.0\.1/);
        child.stdin?.end();
        assert.deepEqual(await once(child, "close"), [0, null]);
    });

    it("says what it cannot do", async () => {
        for (const [word, said] of [
            ["--port=x", "give PORT, or NAME=PORT"],
            ["--port=65533", "no six ports"],
            ["--port=nntp=119", "smtp+starttls"],
            ["--refuse=nothing", "cause is none of"],
            ["--refuse=mailbox_locked", "refuse it over pop3 alone"],
            ["--flavour=mine", "--flavour is one of"],
            ["--messages=x", "--messages takes a number"],
        ] as const) {
            const child = started(word);
            const err = text(child.stderr);
            assert.deepEqual(await once(child, "close"), [2, null]);
            assert.ok((await err).includes(said), await err);
        }
        const server = await Server.start();
        const child = started(`--port=imap=${server.port("imap")}`);
        const err = text(child.stderr);
        assert.deepEqual(await once(child, "close"), [1, null]);
        assert.match(await err, /EADDRINUSE/);
        await server.stop();
    });
});
