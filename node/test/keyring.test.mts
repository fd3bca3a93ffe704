/** Logins in the system's keyring: here GNOME's, over a bus of its own, which Node and Python share. */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, it } from "node:test";
import { AuthorizationServer, Visitor } from "./authserver.mjs";
import { ROOT } from "./places.mjs";
import { Home, Program } from "./programs.mjs";
import { until } from "./waiting.mjs";

const USER = "joe@example.com";
const PYTHON = join(ROOT, ".cache/venv/bin/python");

let server: AuthorizationServer;
let home: Home;
let bus: ChildProcess;
let keyring: ChildProcess;

before(async () => {
    execFileSync(join(ROOT, "tests/servers/install-browser.sh"), { stdio: "ignore" });
    // Every token is too short to be given again.
    server = await AuthorizationServer.start(30);
    home = new Home(server.description.ca_file);
    bus = spawn("dbus-daemon", ["--session", "--nofork", "--print-address"], { stdio: ["ignore", "pipe", "ignore"] });
    const [address] = (await once(createInterface({ input: bus.stdout as NodeJS.ReadableStream }), "line")) as [string];
    home.bus = address;
    const env = { ...home.env, HOME: home.folder, XDG_RUNTIME_DIR: home.folder };
    const words = ["--foreground", "--unlock", "--components=secrets"];
    keyring = spawn("gnome-keyring-daemon", words, { env, stdio: ["pipe", "ignore", "ignore"] });
    keyring.stdin?.end("the user's password");
    // It says nothing; the bus starts what is asked for, and waits for this one, which has the password.
    await until("the keyring listens", () => existsSync(join(home.folder, "keyring/control")));
});
after(async () => {
    keyring.kill();
    bus.kill();
    await server.stop();
    home.remove();
});

async function token(): Promise<string> {
    const program = home.command("token", USER);
    assert.equal(await program.ended, 0, program.err);
    return program.out.trim();
}

describe("the system's keyring", () => {
    it("keeps the grant, and the account's file does not", async () => {
        const client = ["--issuer", server.description.issuer, "--client-id", server.description.clients.public];
        const program = home.command(
            "login",
            USER,
            ...client,
            "--scope",
            "mail",
            "--no-check",
            "--no-discover",
            "--ca-file",
            home.caFile,
        );
        const address = await program.consentAddress();
        await fetch(await new Visitor(USER, server.description.ca_file).redirectOf(address));
        assert.equal(await program.ended, 0, program.err);
        assert.match(program.out, /is stored in the system's keyring/);
        const account = home.read(USER);
        assert.deepEqual([account.store, account.grant], ["keyring", undefined]);
        assert.notEqual(await token(), await token());
        const { refreshes, refresh_tokens_used_again: again } = await server.counts();
        assert.deepEqual([refreshes, again], [2, 0]);
        const shown = home.command("accounts");
        assert.equal(await shown.ended, 0, shown.err);
        assert.match(shown.out, /another provider, keyring; its access token lives/);
    });

    it("is one for Node and Python", { skip: !existsSync(PYTHON) }, async () => {
        const { refreshes: before } = await server.counts();
        for (let times = 0; times < 2; times += 1) {
            const text = `import mailbearer\nfor _ in range(2): mailbearer.stored("${USER}")()`;
            const python = new Program(PYTHON, ["-c", text], { ...home.env, SSL_CERT_FILE: home.caFile });
            assert.equal(await python.ended, 0, python.err);
            await token();
        }
        const { refreshes, refresh_tokens_used_again: again } = await server.counts();
        assert.deepEqual([refreshes, again], [before + 6, 0]);
    });

    it("forgets it", async () => {
        const program = home.command("logout", USER);
        assert.equal(await program.ended, 0, program.err);
        assert.equal((await server.counts()).revocations, 1);
        const found = home.program(`
            import { createRequire } from "node:module";
            const { AsyncEntry } = createRequire(import.meta.url)("@napi-rs/keyring");
            console.log((await new AsyncEntry("mailbearer", "${USER}").getPassword()) ?? "nothing");
        `);
        assert.equal(await found.ended, 0, found.err);
        assert.equal(found.out, "nothing\n");
    });
});
