/** Token sources of every kind, with the real libraries, and no network but loopback. */
import assert from "node:assert/strict";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, it } from "node:test";
import { ConfidentialClientApplication, PublicClientApplication } from "@azure/msal-node";
import { OAuth2Client } from "google-auth-library";
import {
    AccessToken,
    connect,
    LoginFailed,
    NeedsUser,
    Provider,
    sessions,
    TokenSourceFailed,
    type TokenSource,
} from "mailbearer";
import { Server } from "mailbearer/testing";
import { rejection } from "./waiting.mjs";

const USER = "joe@gmail.com";

let server: Server;
/** A token endpoint that answers with these, one after the other. */
let endpoint: HttpServer;
let answers: Array<{ status: number; body: object }>;
let asked: URLSearchParams[];

beforeEach(async () => {
    [answers, asked] = [[], []];
    server = await Server.start();
    endpoint = createServer((request, response) => {
        let body = "";
        request.on("data", (data) => (body += String(data)));
        request.on("end", () => {
            asked.push(new URLSearchParams(body));
            const answer = answers.shift() ?? { status: 500, body: {} };
            response.writeHead(answer.status, { "content-type": "application/json" }).end(JSON.stringify(answer.body));
        });
    });
    await new Promise<void>((resolve) => endpoint.listen(0, "127.0.0.1", resolve));
});
afterEach(async () => {
    endpoint.close();
    endpoint.closeAllConnections();
    await server.stop();
});

function logIn(token: TokenSource): Promise<unknown> {
    return connect({ protocol: "imap", user: USER, token, ...server.at("imap") }).then((connection) =>
        connection.close(),
    );
}

describe("a text", () => {
    it("or an AccessToken is the token", async () => {
        await logIn(server.issueToken(USER));
        await logIn(new AccessToken(server.issueToken(USER)));
    });
});

describe("a function", () => {
    it("may answer in every way, and is told when to refresh", async () => {
        const token = server.issueToken(USER);
        for (const answer of [
            token,
            new AccessToken(token),
            { token },
            { token, expiresInMs: null },
            { token, expiresInMs: 5.5 },
        ]) {
            await logIn(() => answer);
            await logIn(() => Promise.resolve(answer));
        }
    });

    it("that answers with nonsense is said to do so", async () => {
        for (const answer of [
            undefined,
            null,
            5,
            {},
            { token: 5 },
            { token: server.issueToken(USER), expiresInMs: "soon" },
        ]) {
            const error = await rejection(
                TokenSourceFailed,
                logIn(() => answer as never),
            );
            assert.equal(error.permanent, true);
        }
    });
});

describe("a function that hangs", () => {
    const hangsOnce = (calls: AbortSignal[]) => {
        return ({ signal }: { signal: AbortSignal }): string | Promise<string> => {
            calls.push(signal);
            return calls.length === 1 ? new Promise(() => undefined) : server.issueToken(USER);
        };
    };

    it("ends a login in its time", async () => {
        const calls: AbortSignal[] = [];
        const options = { protocol: "imap", user: USER, token: hangsOnce(calls), ...server.at("imap") } as const;
        const error = await rejection(TokenSourceFailed, connect({ ...options, timeout: 100 }));
        assert.match(error.message, /in time/);
        assert.equal(calls[0]?.aborted, true);
        await (await connect(options)).close();
    });

    it("holds up nobody who comes later, also where somebody waits for it at every moment", async () => {
        const calls: AbortSignal[] = [];
        const options = { protocol: "imap", user: USER, token: hangsOnce(calls), ...server.at("imap") } as const;
        const leaving = new AbortController();
        const waitsOn = connect({ ...options, signal: leaving.signal });
        await rejection(TokenSourceFailed, connect({ ...options, timeout: 100 }));
        assert.equal(calls.length, 1, "they were joined");
        await (await connect(options)).close();
        assert.deepEqual([calls.length, calls[0]?.aborted], [2, false]);
        leaving.abort(new Error("enough"));
        await assert.rejects(waitsOn, /enough/);
        assert.equal(calls[0]?.aborted, true);
    });

    it("is one call for those who wait together, and whoever leaves takes it from nobody else", async () => {
        const gates: Array<(token: string) => void> = [];
        const slow = () => new Promise<string>((resolve) => gates.push(resolve));
        const options = { protocol: "imap", user: USER, token: slow, ...server.at("imap") } as const;
        const leaving = new AbortController();
        const waiters = [leaving.signal, undefined, leaving.signal].map((signal) => connect({ ...options, signal }));
        leaving.abort(new Error("enough"));
        await assert.rejects(Promise.any([waiters[0], waiters[2]]));
        assert.equal(gates.length, 1);
        gates[0]?.(server.issueToken(USER));
        await (await waiters[1])?.close();
    });
});

describe("google-auth-library", () => {
    function client(): OAuth2Client {
        const { port } = endpoint.address() as AddressInfo;
        const made = new OAuth2Client({
            clientId: "id",
            clientSecret: "secret",
            endpoints: { oauth2TokenUrl: `http://127.0.0.1:${port}/token` },
        });
        made.setCredentials({ refresh_token: "refresh" });
        return made;
    }

    const good = (lifetime?: number) => ({
        status: 200,
        body: {
            access_token: server.issueToken(USER, lifetime === undefined ? {} : { lifetime }),
            expires_in: 3600,
            token_type: "Bearer",
        },
    });

    it("refreshes when it must, and when the server refuses", async () => {
        const google = client();
        answers = [good(0), good()];
        await logIn(google);
        assert.equal(asked.length, 2);
        await logIn(google);
        assert.equal(asked.length, 2, "a token that is still good is taken from its cache");
        assert.equal(asked[0]?.get("refresh_token"), "refresh");
    });

    it("that is refused for good needs the user", async () => {
        answers = [{ status: 400, body: { error: "invalid_grant" } }];
        const made = sessions({ protocol: "imap", user: USER, token: client(), ...server.at("imap") });
        const error = await rejection(NeedsUser, made.next());
        assert.equal(error.code, "token_unavailable");
        assert.ok(error.cause instanceof TokenSourceFailed && error.cause.permanent);
        await made.close();
    });

    it("is asked once by those who need it together", async () => {
        const google = client();
        answers = [good()];
        await Promise.all([logIn(google), logIn(google), logIn(google)]);
        assert.equal(asked.length, 1);
    });
});

describe("@azure/msal-node", () => {
    it("is asked for the scopes of the protocol, and past its cache when the server refuses", async () => {
        const requests: Array<{ scopes: string[]; forceRefresh: boolean }> = [];
        class Application extends PublicClientApplication {
            override getTokenCache() {
                return { getAllAccounts: async () => [{ username: USER.toUpperCase() }] } as never;
            }
            override async acquireTokenSilent(request: never) {
                requests.push(request);
                const lifetime = requests.length === 1 ? 0 : 3_600_000;
                const accessToken = server.issueToken(USER, { lifetime });
                return { accessToken, expiresOn: new Date(Date.now() + 3_600_000) } as never;
            }
        }
        const application = new Application({ auth: { clientId: "id" } });
        const provider = Provider.named("microsoft");
        const options = { protocol: "imap", user: USER, token: application, ...server.at("imap"), provider } as const;
        await (await connect(options)).close();
        const scope = "https://outlook.office.com/IMAP.AccessAsUser.All";
        assert.deepEqual(
            requests.map(({ scopes, forceRefresh }) => [scopes, forceRefresh]),
            [
                [[scope], false],
                [[scope], true],
            ],
        );
    });

    it("without an account needs the user", async () => {
        const application = new PublicClientApplication({ auth: { clientId: "id" } });
        const options = {
            protocol: "imap",
            user: USER,
            token: application,
            ...server.at("imap"),
            provider: "microsoft",
        } as const;
        const error = await rejection(TokenSourceFailed, connect(options));
        assert.match(error.message, /has not logged in/);
        assert.equal(error.permanent, true);
    });

    it("that is confidential is asked for the client's own token", async () => {
        class Application extends ConfidentialClientApplication {
            override async acquireTokenByClientCredential(request: { scopes: string[] }) {
                assert.deepEqual(request.scopes, ["https://outlook.office365.com/.default"]);
                return { accessToken: server.issueToken(USER), expiresOn: null } as never;
            }
        }
        const application = new Application({ auth: { clientId: "id", clientSecret: "secret" } });
        await (
            await connect({
                protocol: "imap",
                user: USER,
                token: application,
                ...server.at("imap"),
                provider: "microsoft",
            })
        ).close();
    });

    it("of which the scopes are not known is a wrong setting", async () => {
        const application = new PublicClientApplication({ auth: { clientId: "id" } });
        const place = { ...server.at("imap"), provider: undefined };
        await assert.rejects(connect({ protocol: "imap", user: USER, token: application, ...place }), /scopes/);
    });
});

it("a refusal is told, whatever the source", async () => {
    assert.equal((await rejection(LoginFailed, logIn("abc"))).code, "token_rejected");
});
