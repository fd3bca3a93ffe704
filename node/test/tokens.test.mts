/** Token sources of every kind, with the real libraries, and no network but loopback. */
import assert from "node:assert/strict";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, it } from "node:test";
import { ConfidentialClientApplication, PublicClientApplication } from "@azure/msal-node";
import { OAuth2Client } from "google-auth-library";
import nodemailer from "nodemailer";
import {
    AccessToken,
    ConfigError,
    connect,
    LoginFailed,
    MailbearerError,
    Misuse,
    NeedsUser,
    Provider,
    sessions,
    TokenSourceFailed,
    type TokenSource,
} from "mailbearer";
import { login } from "mailbearer/nodemailer";
import { Server } from "mailbearer/testing";
import { rejection, until } from "./waiting.mjs";

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

function fail(error: Error): never {
    throw error;
}

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

describe("a fixed token that is over", () => {
    const told = /give a function/;

    it("is told to be one, at every door", async () => {
        const expired = server.issueToken(USER, { lifetime: 0 });
        for (const protocol of ["imap", "pop3", "smtp"] as const) {
            for (const token of [expired, new AccessToken(expired)]) {
                const options = { protocol, user: USER, token, ...server.at(protocol) };
                assert.match((await rejection(LoginFailed, connect(options))).message, told);
            }
        }
        const options = { user: USER, token: expired, ...server.at("smtp") };
        const transporter = nodemailer.createTransport(login(options));
        assert.match((await rejection(LoginFailed, transporter.verify())).message, told);
        const made = sessions({ ...options, protocol: "smtp" });
        const error = await rejection(NeedsUser, made.next());
        assert.match(error.message, told);
        await made.close();
    });

    it("is told once, and nobody is sent to the administrator", async () => {
        const token = server.issueToken(USER, { lifetime: 0 });
        const made = sessions({ protocol: "imap", user: USER, token, ...server.at("imap") });
        const { message } = await rejection(NeedsUser, made.next());
        await made.close();
        assert.equal(message.split("give a function").length, 2, message);
        assert.match(message, /the token is a fixed string/);
        assert.doesNotMatch(message, /administrator|gave back/);
    });

    it("is not the fault of a function, nor of another cause", async () => {
        const refused = await rejection(
            LoginFailed,
            logIn(() => "abc"),
        );
        assert.doesNotMatch(refused.message, told);
        server.refuse("rate_limited");
        assert.doesNotMatch((await rejection(LoginFailed, logIn(server.issueToken(USER)))).message, told);
    });
});

describe("what is no token", () => {
    it("is told by its kind, and how the token is had from it", async () => {
        const answer = { access_token: "ya29.secret", expires_in: 3599 };
        const wrong: Array<[unknown, RegExp]> = [
            [undefined, /is not stored on this machine: run `mailbearer login .*`, or give a token/],
            [null, /not null/],
            [5, /not a number/],
            [Promise.resolve("ya29.secret"), /not a Promise: await it, or give a function/],
            [answer, /an object of class Object: give its access_token/],
            [{ accessToken: "ya29.secret" }, /give its accessToken/],
            [["ya29.secret"], /not an array/],
            [new Map(), /not an object of class Map$/],
        ];
        for (const [token, words] of wrong) {
            const error = await rejection(ConfigError, logIn(token as never));
            assert.match(error.message, words);
            assert.ok(!error.message.includes("secret"));
        }
        const misspelt = await rejection(
            Misuse,
            logIn(() => ({ tokn: "ya29.secret", other: 1 }) as never),
        );
        assert.match(misspelt.message, /with tokn, other: the token is in token, access_token or accessToken/);
        assert.ok(!misspelt.message.includes("secret"));
        const error = await rejection(
            Misuse,
            logIn(() => ({ token: Promise.resolve("ya29.secret") }) as never),
        );
        assert.match(error.message, /Promise: await it/);
        assert.ok(!error.message.includes("secret"));
    });
});

it("what MSAL answers is a token", async () => {
    const expiresOn = new Date(Date.now() + 3_600_000);
    await logIn(() => ({ accessToken: server.issueToken(USER), expiresOn }));
    await logIn(() => ({ accessToken: server.issueToken(USER) }));
});

describe("what a token source throws", () => {
    it("is in the sentence, and is the cause, where a person must act too", async () => {
        const thrown = new RangeError("the vault is sealed");
        const source = () =>
            Promise.reject(new TokenSourceFailed("log in again at the desk", { permanent: true, cause: thrown }));
        const options = { protocol: "imap", user: USER, token: source, ...server.at("imap") } as const;
        const made = sessions(options);
        const error = await rejection(NeedsUser, made.next());
        assert.equal(error.code, "token_unavailable");
        assert.match(error.message, /log in again at the desk/);
        assert.ok(error.cause instanceof TokenSourceFailed && error.cause.cause === thrown);
        await made.close();
        const events: string[] = [];
        const tried = sessions({
            ...options,
            token: () => Promise.reject(thrown),
            onEvent: ({ kind, text }) => void (kind === "token_failed" && events.push(text ?? "")),
        });
        tried.next().catch(() => undefined);
        await until("it is asked", () => events.length > 0);
        await tried.close();
        assert.equal(events[0], "the token source threw RangeError: the vault is sealed");
    });

    it("is shown without its secrets, in one line, and bounded", async () => {
        const [key, jwt] = [
            "GOCSPX-Zm9vYmFyYmF6cXV4MTIz",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        ];
        const texts = [
            `POST https://oauth2.example.test/token?client_secret=${key}&refresh_token=1//0gShort: 400`,
            `Authorization: Bearer short-one was refused`,
            `{"password":"hunter2","id_token":"${jwt}"}`,
            `cannot read ${jwt}`,
            Buffer.from(`Bearer ${jwt}`).toString("base64"),
        ];
        for (const text of texts) {
            const error = await rejection(
                TokenSourceFailed,
                logIn(() => Promise.reject(new Error(text))),
            );
            const pieces = [key, "0gShort", "short-one", "hunter2", ...jwt.split(".")];
            const shown = pieces.filter((piece) => error.message.includes(piece));
            assert.deepEqual(shown, [], error.message);
            assert.match(error.message, /<secret>/);
        }
        const hostile = `invalid_grant:\x1b[2J\r\nAADSTS50076 \u202e\u200b${"very long ".repeat(100)}`;
        const error = await rejection(
            TokenSourceFailed,
            logIn(() => Promise.reject(new Error(hostile))),
        );
        assert.match(error.message, /invalid_grant: \[2J AADSTS50076 very long/);
        assert.ok(error.message.length < 600 && !/\p{C}/u.test(error.message));
        for (const [thrown, words] of [
            ["a text", /threw a text$/],
            [undefined, /threw undefined$/],
            [new Error(), /threw Error$/],
        ] as const) {
            const error = await rejection(
                TokenSourceFailed,
                logIn(() => Promise.reject(thrown as Error)),
            );
            assert.match(error.message, words);
        }
    });

    it("is an outage, a person's business, or a mistake of the program", async () => {
        const unreachable = () => fetch("http://127.0.0.1:1/token") as never;
        const words = "Token has been expired or revoked.";
        const refusal = { error: "invalid_grant", error_description: words };
        const thrown: Array<[() => unknown, "outage" | "permanent" | "mistake", RegExp]> = [
            [unreachable, "outage", /TypeError: fetch failed/],
            [() => fail(new SyntaxError("Unexpected token < in JSON")), "outage", /SyntaxError/],
            [() => fail(Object.assign(new Error("x"), { error: "temporarily_unavailable" })), "outage", /temporarily/],
            [() => fail(Object.assign(new Error("x"), refusal)), "permanent", /invalid_grant: Token has been expired/],
            [
                () => fail(Object.assign(new Error("x"), { response: { data: refusal } })),
                "permanent",
                /invalid_grant: T/,
            ],
            [
                () => fail(Object.assign(new Error("x"), { data: { payload: refusal } })),
                "permanent",
                /invalid_grant: T/,
            ],
            [() => refusal, "permanent", /invalid_grant: Token has been expired or revoked/],
            [() => ({ error: "slow_down" }), "outage", /slow_down/],
            [() => fail(new TypeError("x is not a function")), "mistake", /TypeError: x is not a function/],
            [() => fail(new ReferenceError("y is not defined")), "mistake", /ReferenceError: y/],
            [() => new AccessToken("two words"), "mistake", /ConfigError/],
        ];
        for (const [source, why, said] of thrown) {
            const error = await rejection(MailbearerError, logIn(source as never));
            const came = error instanceof TokenSourceFailed ? (error.permanent ? "permanent" : "outage") : error.name;
            assert.equal(came, why === "mistake" ? "Misuse" : why, error.message);
            assert.match(error.message, said);
        }
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
                Misuse,
                logIn(() => answer as never),
            );
            assert.match(error.message, /^the token source gave/);
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

describe("the answer of a token endpoint", () => {
    it("is taken as it came, with what it says of its end", async () => {
        const token = server.issueToken(USER);
        const at = (ms: number) => new Date(Date.now() + ms);
        const hour = 3_600_000;
        const forms: object[] = [
            { access_token: token, expires_in: 3_600, token_type: "Bearer", scope: "mail", refresh_token: "1//x" },
            { access_token: token, expires_in: "3600", ext_expires_in: "9999" },
            { access_token: token, expires_at: Math.floor(at(hour).getTime() / 1_000) },
            { access_token: token, expires_at: at(hour) },
            { access_token: token, expires_at: at(hour).toISOString() },
            { access_token: token, expires_on: String(Math.floor(at(hour).getTime() / 1_000)) },
            { access_token: token, expiry_date: at(hour).getTime() },
            { accessToken: token, expiresOn: at(hour), extExpiresOn: at(2 * hour) },
            { token, expiresOnTimestamp: at(hour).getTime() },
            { token, res: null, expiresInMs: hour },
            { token: { access_token: token, expires_at: at(hour) } },
            new (class TokenSet {
                access_token = token;
                get expires_in() {
                    return 3_600;
                }
            })(),
        ];
        for (const form of forms) {
            const made = sessions({ protocol: "imap", user: USER, token: () => form as never, ...server.at("imap") });
            assert.ok((await made.next()).value);
            const { endsAtMs = 0, onlineSinceMs = 0 } = made.status();
            assert.ok(Math.abs(endsAtMs - onlineSinceMs - hour) < 5_000, JSON.stringify(Object.keys(form)));
            await made.close();
        }
        const unknown = await rejection(
            Misuse,
            logIn(() => ({ access_token: token, expires_in: "soon" })),
        );
        assert.match(unknown.message, /gave a string as expires_in/);
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
        assert.match(error.message, /could not refresh: invalid_grant/);
        assert.equal((error.cause as { response?: { status?: number } }).response?.status, 400, "its own error");
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
