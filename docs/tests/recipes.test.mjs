// Runs each recipe in `examples/node/`, as it stands, against the testing server in place of Gmail. It is copied, with the
// recipes, to where the package is installed: node --test RECIPES.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { caFile, Server } from "mailbearer/testing";

const HERE = import.meta.dirname;
const USER = "joe@gmail.com";
// A machine that is busy makes a recipe slow, and not wrong.
const PATIENCE_MS = 30_000;
const require = createRequire(import.meta.url);

// What `mailbearer-testing --json` would print of a server, in a file: the examples read it where MAIL_SERVER names it.
function described(server) {
    const ports = Object.fromEntries(
        ["imap", "pop3", "smtp"].map((protocol) => [protocol, { implicit: server.port(protocol) }]),
    );
    const { flavour = "gmail" } = server;
    const file = join(folder, `server-${server.port("imap")}.json`);
    const users = [{ user: USER, token: server.issueToken(USER) }];
    writeFileSync(file, JSON.stringify({ host: "localhost", ports, ca_file: caFile, flavour, users }));
    return file;
}

const children = [];
after(() => children.forEach((child) => child.kill("SIGKILL")));

let folder;
before(() => {
    folder = mkdtempSync(join(tmpdir(), "recipes-"));
});

// A recipe as a process. Its tokens are of this server: a file has the one that is good now.
function started(name, server, ...args) {
    const tokens = join(folder, `tokens-${name}`);
    const issue = () => writeFileSync(tokens, server.issueToken(USER));
    issue();
    const timer = setInterval(issue, 300);
    const env = {
        ...process.env,
        NODE_TEST_CONTEXT: undefined,
        MAIL_USER: USER,
        MAIL_TOKEN_COMMAND: `cat ${tokens}`,
        MAIL_SERVER: described(server),
        PORT: "0",
    };
    for (const variable of Object.keys(env).filter((one) => env[one] === undefined)) {
        delete env[variable];
    }
    const child = spawn(process.execPath, [join(HERE, `${name}.mjs`), ...args], { env });
    const run = { out: "", child };
    child.stdout.on("data", (data) => (run.out += data));
    child.stderr.on("data", (data) => (run.out += data));
    children.push(child);
    run.over = new Promise((resolve) => child.once("exit", resolve)).finally(() => clearInterval(timer));
    run.until = async (holds) => {
        for (const end = Date.now() + PATIENCE_MS; !holds(); await pause(20)) {
            assert.ok(Date.now() < end && child.exitCode === null, `${name}: ${run.out}`);
        }
    };
    run.stop = async () => {
        child.kill("SIGTERM");
        return await run.over;
    };
    return run;
}

async function serve(options) {
    const server = await Server.start(options);
    server.flavour = options?.flavour;
    return server;
}

const there = (path, ending = "") =>
    readdirSync(path)
        .filter((name) => name.endsWith(ending))
        .sort();

describe("the recipes", { timeout: 120_000 }, () => {
    let server;
    before(async () => {
        server = await serve({ flavour: "outlook", tokenLifetime: 2_000 });
    });
    after(() => server.stop());

    it("are all tested", () => {
        const tests = readFileSync(import.meta.filename, "utf8");
        for (const name of readdirSync(HERE).filter((one) => one !== "recipes.test.mjs")) {
            const stem = name.replace(".mjs", "");
            assert.ok(stem === "my-account" || tests.includes(`"${stem}"`) || tests.includes(`${stem}.mjs`), name);
        }
    });

    it("archive: it goes on where it stopped", async () => {
        const archive = join(folder, "archive");
        await mkdir(archive);
        const first = started("archive", server, archive);
        await first.until(() => there(archive, ".eml").length === 3);
        await first.stop();
        server.deliver(USER, Buffer.from("Subject: while nobody looked\r\n\r\nhello\r\n"));
        const second = started("archive", server, archive);
        await second.until(() => there(archive, ".eml").length === 4);
        await second.stop();
        assert.match(readFileSync(join(archive, "4.eml"), "utf8"), /^Subject: while nobody looked\r\n/);
    });

    it("new messages are told once", async () => {
        const cursor = join(folder, "cursor");
        const first = started("new-messages", server, cursor);
        await first.until(() => there(folder, "cursor").length === 1);
        const began = readFileSync(cursor, "utf8");
        server.deliver(USER, Buffer.from("Subject: number 1\r\n\r\n"));
        // Who is stopped after it has told a message, and before it has written that down, tells it again.
        await first.until(() => first.out === "number 1\n" && readFileSync(cursor, "utf8") > began);
        await first.stop();
        server.deliver(USER, Buffer.from("Subject: number 2\r\n\r\n"));
        const second = started("new-messages", server, cursor);
        await second.until(() => second.out === "number 2\n");
        await second.stop();
    });

    it("a queue is sent once, and what nobody knows of is left to a person", async () => {
        const steady = await serve();
        const box = join(folder, "outbox");
        await mkdir(join(box, "queued"), { recursive: true });
        for (const number of [0, 1, 2]) {
            const text = `From: ${USER}\r\nTo: ann@example.org\r\nMessage-ID: <${number}@example.org>\r\n\r\nhello\r\n`;
            writeFileSync(join(box, "queued", `${number}.eml`), text);
        }
        steady.setFault("after_dot", "drop");
        const run = started("outbox", steady, box, "100");
        await run.until(() => there(box).length === 5 && there(join(box, "sent")).length === 2);
        await run.stop();
        assert.deepEqual(there(join(box, "unknown")), ["0.eml"]);
        await steady.stop();
    });

    const services = { "of node:http": "web-app", "in Express": "express-app" };
    for (const [where, name] of Object.entries(services)) {
        it(`a service ${where} sends, and tells a stop`, () => serviceSends(name));
    }

    async function serviceSends(name) {
        const steady = await serve();
        const run = started(name, steady);
        // The port is the system's choice: the process is asked where it listens.
        const port = await listening(run.child.pid);
        const headers = { "content-type": "application/json" };
        const post = (path, body) =>
            fetch(`http://127.0.0.1:${port}${path}`, { method: "POST", body: JSON.stringify(body), headers });
        const mail = { to: "ann@example.org", subject: "hello", text: "..." };
        assert.equal((await post("/mails", mail)).status, 202);
        assert.equal(steady.submitted().length, 1);
        const broken = await fetch(`http://127.0.0.1:${port}/mails`, { method: "POST", body: '{"to":', headers });
        assert.equal(broken.status, 400);
        steady.refuseRecipient("nobody@example.org");
        const half = await post("/mails", { ...mail, to: "ann@example.org, nobody@example.org" });
        assert.deepEqual([half.status, (await half.json()).rejected], [207, ["nobody@example.org"]]);
        if (name === "express-app") {
            const none = await post("/mails", { ...mail, to: "nobody@example.org" });
            assert.deepEqual([none.status, (await none.json()).rejected], [422, ["nobody@example.org"]]);
        }
        assert.deepEqual(await (await fetch(`http://127.0.0.1:${port}/health`)).json(), {
            sessions: ["given"],
            needs: [],
        });
        assert.equal(await run.stop(), 0, run.out);
        steady.refuse("account_disabled");
        const stopped = started(name, steady);
        const other = await listening(stopped.child.pid);
        const again = (path) =>
            fetch(`http://127.0.0.1:${other}${path}`, { method: "POST", body: JSON.stringify(mail), headers });
        const answer = await again("/mails");
        assert.equal(answer.status, 503);
        assert.match((await answer.json()).error, /disabled/);
        steady.refuse();
        assert.equal((await again("/retry")).status, 204);
        assert.equal((await again("/mails")).status, 202);
        await stopped.stop();
        await steady.stop();
    }

    it("logs and metrics", async () => {
        const run = started("logging-and-metrics", server);
        await run.over;
        assert.match(run.out, /mail_events_total\{kind="online",protocol="imap",cause=""\} 2/);
        assert.match(run.out, /^info joe@gmail.com imap 1 is online, connection 1/m);
    });

    it("a worker keeps its accounts apart", async () => {
        const steady = await serve();
        process.env.MAIL_SERVER = described(steady);
        const { watch } = await import("./worker.mjs");
        const accounts = join(folder, "worker");
        await mkdir(accounts);
        const told = [];
        const ended = new AbortController();
        const { TokenSourceFailed } = await import("mailbearer");
        const bad = async () => Promise.reject(new TokenSourceFailed("invalid_grant", { permanent: true }));
        const onMail = (user, uid) => told.push([user, uid]);
        const common = { folder: accounts, onMail, signal: ended.signal };
        const good = watch({ user: USER, token: async () => steady.issueToken(USER), ...common });
        await watch({ user: "ann@gmail.com", token: bad, ...common });
        const holds = async (what) => {
            for (const end = Date.now() + PATIENCE_MS; !what(); await pause(20)) {
                assert.ok(Date.now() < end);
            }
        };
        await holds(() => there(accounts, ".cursor").length === 1);
        steady.deliver(USER, Buffer.from("Subject: hello\r\n\r\n"));
        await holds(() => told.length === 1);
        assert.equal(told[0][0], USER);
        ended.abort();
        await good;
        assert.deepEqual(there(accounts, ".account"), ["ann@gmail.com.account", `${USER}.account`]);
        await steady.stop();
    });

    it("a worker that is told to stop ends without an error", async () => {
        const steady = await serve();
        const accounts = join(folder, "one worker");
        const run = started("worker", steady, accounts);
        await run.until(() => there(folder).includes("one worker") && there(accounts, ".cursor").length === 1);
        steady.deliver(USER, Buffer.from("Subject: hello\r\n\r\n"));
        await run.until(() => run.out === `${USER} 4\n`);
        assert.equal(await run.stop(), 0, run.out);
        assert.equal(run.out, `${USER} 4\n`);
        assert.deepEqual(there(accounts), [`${USER}.account`, `${USER}.cursor`]);
        await steady.stop();
    });

    it("POP3 is downloaded and deleted", async () => {
        const steady = await serve();
        steady.deliver(USER, Buffer.from("Subject: one more\r\n\r\n.hidden\r\n"));
        const before = steady.messages(USER).map(String);
        const saved = join(folder, "pop3");
        const run = started("pop3-download", steady, saved);
        assert.equal(await run.over, 0, run.out);
        const found = there(saved).map((name) => readFileSync(join(saved, name), "latin1"));
        assert.deepEqual(found.sort(), before.sort());
        assert.deepEqual(steady.messages(USER), []);
        await steady.stop();
    });

    it("one runs against the command that anybody can start", async () => {
        const command = join(require.resolve("mailbearer"), "../testing_command.js");
        const server = spawn(process.execPath, [command, "--json", "--stdin"], { stdio: ["pipe", "pipe", "inherit"] });
        children.push(server);
        const [printed] = await once(server.stdout, "data");
        const file = join(folder, "server.json");
        writeFileSync(file, printed);
        const { MAIL_USER: _user, MAIL_TOKEN_COMMAND: _command, NODE_TEST_CONTEXT: _context, ...env } = process.env;
        const program = join(HERE, "moving-node-imap.mjs");
        const out = await new Promise((resolve) =>
            execFile(process.execPath, [program], { env: { ...env, MAIL_SERVER: file } }, (_, said) => resolve(said)),
        );
        assert.equal(out, "Message 1\nMessage 2\nMessage 3\n");
        server.stdin.end();
    });

    it("a library of one's own", async () => {
        // Nobody has logged in on this machine.
        process.env.MAIL_TOKEN_COMMAND = "false";
        const { boxes } = await import("./own-library.mjs");
        const steady = await serve();
        const place = { host: "localhost", port: steady.port("imap"), tlsOptions: { ca: readFileSync(caFile) } };
        const box = await boxes({ token: steady.issueToken(USER), ...place });
        assert.equal(box.name, "INBOX");
        const refused = await boxes({ token: steady.issueToken(USER, { lifetime: 0 }), ...place });
        assert.deepEqual([refused.cause, refused.advice], ["token_rejected", "refresh_token"]);
        await steady.stop();
    });

    for (const name of ["moving-node-imap", "moving-nodemailer"]) {
        it(name, async () => {
            const steady = await serve();
            const run = started(name, steady);
            assert.equal(await run.over, 0, run.out);
            assert.match(
                run.out,
                name === "moving-nodemailer" ? /ann@example.org/ : /Message 1\nMessage 2\nMessage 3\n/,
            );
            await steady.stop();
        });
    }

    it("the tests of a program", async () => {
        const env = { ...process.env };
        delete env.NODE_TEST_CONTEXT;
        const out = await new Promise((resolve) => {
            execFile(process.execPath, ["--test", join(HERE, "program.test.mjs")], { env }, (_, stdout) =>
                resolve(stdout),
            );
        });
        assert.match(out, /pass 3/);
    });
});

// Where a process listens, as Linux tells it.
async function listening(pid) {
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await pause(20)) {
        const inodes = new Set();
        const { readlinkSync } = await import("node:fs");
        for (const fd of readdirSync(`/proc/${pid}/fd`)) {
            try {
                const [, inode] = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`)) ?? [];
                inodes.add(inode);
            } catch {
                // It was closed in this moment.
            }
        }
        for (const table of ["tcp", "tcp6"]) {
            for (const line of readFileSync(`/proc/${pid}/net/${table}`, "utf8").split("\n")) {
                const [, local, , state, , , , , , inode] = line.trim().split(/ +/);
                if (state === "0A" && inodes.has(inode)) {
                    return Number.parseInt(local.split(":")[1], 16);
                }
            }
        }
    }
    throw new Error("it does not listen");
}
