/** The parts of a login that no server is needed for: names of files, answers of other servers, what is fetched. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ConfigError } from "mailbearer";
import { certificate } from "./certificates.mjs";
import { canOpenBrowser, dataFolder, fetchWith, fileName, normalAddress, withIssuer } from "./inside.mjs";

describe("the files of an account", () => {
    it("have the name of its address, which any file system takes", () => {
        for (const [user, name] of [
            ["joe@example.com", "joe@example.com"],
            ["Joe/1@Example.COM", "%4Aoe%2F1@example.com"],
            ["j\u00f6e@example.com", "j%C3%B6e@example.com"],
            ["a+b-c_d.e@f", "a+b-c_d.e@f"],
            ["joe", "joe"],
        ] as const) {
            assert.equal(fileName(user), name);
        }
        assert.equal(normalAddress("Joe@EXAMPLE.com"), "Joe@example.com");
        for (const user of ["", "a\nb@c", "a".repeat(255)]) {
            assert.throws(() => normalAddress(user), ConfigError);
        }
    });

    it("are in the system's folder for data, unless another is named", { skip: process.platform !== "linux" }, () => {
        const kept = { ...process.env };
        try {
            process.env["MAILBEARER_HOME"] = "/somewhere";
            assert.equal(dataFolder(), "/somewhere");
            process.env["MAILBEARER_HOME"] = "";
            process.env["XDG_DATA_HOME"] = "/data";
            assert.equal(dataFolder(), "/data/mailbearer");
            delete process.env["XDG_DATA_HOME"];
            assert.equal(dataFolder(), join(homedir(), ".local/share/mailbearer"));
        } finally {
            Object.assign(process.env, { MAILBEARER_HOME: "", XDG_DATA_HOME: "" }, kept);
        }
    });
});

describe("an answer of an authorization server", () => {
    const issuerOf = (said: string | undefined, issuer: string, isIssuerKnown = true) => {
        const address = new URL("http://127.0.0.1:1/?code=1&state=2");
        if (said !== undefined) {
            address.searchParams.set("iss", said);
        }
        const metadata = { issuer } as Parameters<typeof withIssuer>[1]["metadata"];
        return withIssuer(address, { metadata, isIssuerKnown }).searchParams.get("iss");
    };

    it("may be in the name of one of Microsoft's tenants, and of no other", () => {
        const common = "https://login.microsoftonline.com/common/v2.0";
        for (const [said, taken] of [
            ["https://login.microsoftonline.com/7f1c/v2.0", true],
            [common, true],
            ["https://login.microsoftonline.com.evil.test/7f1c/v2.0", false],
            ["https://login.microsoftonline.com/7f1c/evil/v2.0", false],
            ["https://login.microsoftonline.com/v2.0", false],
        ] as const) {
            assert.equal(issuerOf(said, common) === common, taken, said);
        }
        assert.equal(
            issuerOf("https://accounts.google.com.evil.test", "https://a"),
            "https://accounts.google.com.evil.test",
        );
    });

    it("may be in any name where nobody has said what the server is called", () => {
        assert.equal(issuerOf("https://other.test", "https://stand-in.test", false), "https://stand-in.test");
        assert.equal(issuerOf(undefined, "https://stand-in.test", false), null);
    });
});

describe("a browser", () => {
    it("is opened where it would show itself", () => {
        for (const [env, platform, opens] of [
            [{ DISPLAY: ":0" }, "linux", true],
            [{ WAYLAND_DISPLAY: "wayland-0" }, "linux", true],
            [{}, "linux", false],
            [{ DISPLAY: "" }, "linux", false],
            [{ BROWSER: "w3m" }, "linux", true],
            [{}, "darwin", true],
            [{ SSH_CONNECTION: "1" }, "darwin", false],
            [{ SSH_CONNECTION: "1", BROWSER: "w3m" }, "win32", true],
        ] as const) {
            assert.equal(canOpenBrowser(env, platform), opens, JSON.stringify(env));
        }
    });
});

describe("what is fetched from an authorization server", () => {
    const identity = certificate();
    const asked: string[] = [];
    const server = createServer(identity, (request, response) => {
        asked.push(request.url ?? "");
        if (request.url === "/away") {
            response.writeHead(302, { location: "/secret" }).end();
        } else {
            response.end("x".repeat(request.url === "/huge" ? 2 ** 20 + 1 : 2 ** 20));
        }
    });
    const options = { method: "GET", headers: {} };
    let origin: string;
    before(async () => {
        await once(server.listen(0, "127.0.0.1"), "listening");
        origin = `https://localhost:${(server.address() as AddressInfo).port}`;
    });
    after(() => void server.close());

    it("is bounded, and from no other place than was asked", async () => {
        const send = fetchWith({ ca: identity.ca });
        assert.equal((await (await send(`${origin}/`, options)).text()).length, 2 ** 20);
        await assert.rejects(send(`${origin}/huge`, options), /answers with more than 1 MiB/);
        assert.equal((await send(`${origin}/away`, options)).status, 302);
        assert.ok(!asked.includes("/secret"));
    });

    it("is given up when nobody waits for it", async () => {
        const given = new AbortController();
        const silent = fetchWith({ ca: identity.ca })(`${origin}/`, { ...options, signal: given.signal });
        given.abort();
        await assert.rejects(silent, /cannot be reached/);
    });

    it("comes from whom is trusted", async () => {
        await assert.rejects(fetchWith()(`${origin}/`, options), /localhost:\d+ cannot be reached: .*certificate/);
    });
});
