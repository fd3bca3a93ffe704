/**
 * A real authorization server for the tests of every language: oidc-provider on loopback, over HTTPS.
 *
 *     node server.mjs [--access-token-seconds N] [--port N]
 *
 * It prints one line of JSON (see README.md), serves until its standard input ends, and keeps nothing.
 */

import { readFileSync } from "node:fs";
import { createServer as createControl } from "node:http";
import { createServer } from "node:https";
import { parseArgs } from "node:util";

import Provider from "oidc-provider";

import * as pages from "./pages.mjs";
import { Storage, grantsOf } from "./storage.mjs";

const TESTING = new URL("../../../python/src/mailbearer/testing/", import.meta.url);
const { values: options } = parseArgs({
    options: { "access-token-seconds": { type: "string", default: "3600" }, port: { type: "string", default: "0" } },
});

// What a test may change, and what it may ask for, through the control address.
const settings = {
    access_token_seconds: Number(options["access-token-seconds"]),
    device_code_seconds: 300,
    rotate: true,
    // Whether a login gives a refresh token at all.
    refresh_tokens: true,
    // The next so many requests of the token endpoint are answered with the status.
    fail_token_requests: 0,
    fail_status: 500,
    // Milliseconds before a request of the token endpoint is worked on, and before its answer is sent.
    delay_ms: 0,
    delay_answer_ms: 0,
    // The token endpoint says this in place of what it would, once: {"error": ..., "error_description": ...}
    next_error: null,
    // Members of the metadata that are replaced: {"issuer": "https://other.test"}
    metadata: {},
};
const settingsAtFirst = structuredClone(settings);
const counts = {
    logins: 0,
    refreshes: 0,
    token_requests: 0,
    token_errors: [],
    token_requests_at_once: 0,
    refresh_tokens_used_again: 0,
    revocations: 0,
    introspections: 0,
};
const countsAtFirst = structuredClone(counts);
// All that no log, file or process list may show.
const secrets = new Set(["the-secret-of-the-client", "the-secret-of-the-application"]);

let registered = 0;
let working = 0;

const REDIRECTS = ["http://127.0.0.1/", "http://localhost/"];
const GRANTS = ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"];
const NATIVE = { application_type: "native", redirect_uris: REDIRECTS, response_types: ["code"], grant_types: GRANTS };

const server = createServer({
    key: readFileSync(new URL("localhost.pem", TESTING)),
    cert: readFileSync(new URL("localhost.pem", TESTING)),
});
await new Promise((resolve) => server.listen(Number(options.port), "127.0.0.1", resolve));
const issuer = `https://localhost:${server.address().port}`;

const provider = new Provider(issuer, {
    adapter: Storage,
    clients: [
        { ...NATIVE, client_id: "native", token_endpoint_auth_method: "none" },
        {
            ...NATIVE,
            client_id: "native-with-secret",
            client_secret: "the-secret-of-the-client",
            token_endpoint_auth_method: "client_secret_post",
        },
        {
            client_id: "application",
            client_secret: "the-secret-of-the-application",
            grant_types: ["client_credentials"],
            redirect_uris: [],
            response_types: [],
        },
        {
            client_id: "dovecot",
            client_secret: "dovecot",
            token_endpoint_auth_method: "client_secret_basic",
            introspection_endpoint_auth_method: "client_secret_basic",
            redirect_uris: [],
            response_types: [],
            grant_types: [],
        },
    ],
    clientDefaults: { id_token_signed_response_alg: "RS256" },
    cookies: { keys: ["of the tests"] },
    scopes: ["openid", "offline_access", "email", "mail"],
    claims: { openid: ["sub"], email: ["email"] },
    pkce: { methods: ["S256"], required: () => true },
    rotateRefreshToken: () => settings.rotate,
    issueRefreshToken: async (_context, client) => settings.refresh_tokens && client.grantTypeAllowed("refresh_token"),
    features: {
        clientCredentials: { enabled: true },
        devInteractions: { enabled: false },
        deviceFlow: {
            enabled: true,
            userCodeInputSource: (context, form, _out, error) => (context.body = pages.enterCode(form, error)),
            userCodeConfirmSource: (context, form, _client, _device, code) =>
                (context.body = pages.confirmCode(form, code)),
            successSource: (context) => (context.body = pages.connected()),
        },
        introspection: { enabled: true, allowedPolicy: (_context, client) => client.clientId === "dovecot" },
        registration: { enabled: true, idFactory: () => `registered-${++registered}` },
        revocation: { enabled: true },
        rpInitiatedLogout: { enabled: false },
    },
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_context, user) => ({ accountId: user, claims: () => ({ sub: user, email: user }) }),
    renderError: (context, error) => (context.body = pages.failed(error)),
    // A token of the same second lives as long as it says.
    expiresWithSession: () => false,
    ttl: {
        AccessToken: () => settings.access_token_seconds,
        AuthorizationCode: 60,
        DeviceCode: () => settings.device_code_seconds,
        Grant: 86400,
        Interaction: 600,
        RefreshToken: 86400,
        Session: 86400,
    },
});
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Counts what comes to the token endpoint, and is as unwilling as a test wants it. */
async function tokenEndpoint(context, next) {
    counts.token_requests += 1;
    working += 1;
    counts.token_requests_at_once = Math.max(counts.token_requests_at_once, working);
    try {
        await sleep(settings.delay_ms);
        if (settings.fail_token_requests > 0) {
            settings.fail_token_requests -= 1;
            context.status = settings.fail_status;
            context.body = "out of order";
            return;
        }
        if (settings.next_error) {
            context.status = 400;
            context.body = settings.next_error;
            settings.next_error = null;
            return;
        }
        await next();
        if (context.oidc?.body?.code_verifier) secrets.add(context.oidc.body.code_verifier);
        for (const name of ["access_token", "refresh_token", "id_token", "device_code"]) {
            if (context.body?.[name]) secrets.add(context.body[name]);
        }
        if (context.body?.error) counts.token_errors.push(context.body.error);
        await sleep(settings.delay_answer_ms);
    } finally {
        working -= 1;
    }
}

/** The page at which a user says who it is, and allows or denies. */
async function interaction(context) {
    const details = await provider.interactionDetails(context.req, context.res);
    if (context.method === "GET") {
        context.type = "html";
        context.body = pages.consent(details.uid, details.params);
        return;
    }
    const chunks = [];
    for await (const chunk of context.req) chunks.push(chunk);
    const form = new URLSearchParams(Buffer.concat(chunks).toString());
    const answer = form.get("answer") === "allow" ? await allowed(details, form.get("user")) : denied();
    await provider.interactionFinished(context.req, context.res, answer, { mergeWithLastSubmission: false });
    context.respond = false;
}

function denied() {
    return { error: "access_denied", error_description: "the user has denied it" };
}

async function allowed(details, user) {
    counts.logins += 1;
    const grant = new provider.Grant({ accountId: user, clientId: details.params.client_id });
    grant.addOIDCScope(details.params.scope ?? "mail");
    return { login: { accountId: user }, consent: { grantId: await grant.save() } };
}

provider.use(async (context, next) => {
    if (context.path.startsWith("/interaction/")) return interaction(context);
    if (context.path === "/token" && context.method === "POST") return tokenEndpoint(context, next);
    if (context.path === "/token/introspection") counts.introspections += 1;
    if (context.path === "/token/revocation") counts.revocations += 1;
    await next();
    if (context.path.startsWith("/.well-known/")) Object.assign(context.body, settings.metadata);
    if (context.path === "/device/auth" && context.body?.device_code) secrets.add(context.body.device_code);
});
provider.on("grant.success", (context) => {
    if (context.oidc.params.grant_type === "refresh_token") counts.refreshes += 1;
});
provider.on("authorization_code.saved", (code) => secrets.add(code.jti));
// The library takes the grant back when a refresh token comes a second time.
provider.on("grant.revoked", (context) => {
    if (context.oidc.route === "token") counts.refresh_tokens_used_again += 1;
});
const serve = provider.callback();
server.on("request", (request, response) => {
    // RFC 8414: the same metadata as OpenID's, at an address of its own. Some clients want a tenant in the issuer.
    request.url = request.url.replace(/^\/tenant\/\.well-known\//, "/.well-known/");
    request.url = request.url.replace("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration");
    serve(request, response);
});

/** Takes a user's grants back, as the user would in the settings of the account. */
async function revoke(user) {
    const grants = grantsOf(user);
    for (const id of grants) {
        await new Storage("AccessToken").revokeByGrantId(id);
        await new Storage("Grant").destroy(id);
    }
    return grants.length;
}

async function control(request) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = chunks.length ? JSON.parse(Buffer.concat(chunks)) : {};
    switch (request.url) {
        case "/set":
            Object.assign(settings, body);
            return settings;
        case "/reset":
            Object.assign(settings, structuredClone(settingsAtFirst));
            return Object.assign(counts, structuredClone(countsAtFirst));
        case "/counts":
            return counts;
        case "/secrets":
            return [...secrets];
        case "/revoke":
            return { grants: await revoke(body.user) };
        default:
            throw new Error(`there is no ${request.url}`);
    }
}

const controls = createControl(async (request, response) => {
    let [status, answer] = [200, null];
    try {
        answer = await control(request);
    } catch (error) {
        [status, answer] = [400, { error: String(error) }];
    }
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer));
});
await new Promise((resolve) => controls.listen(0, "127.0.0.1", resolve));

process.stdout.write(
    JSON.stringify({
        issuer,
        authorization_endpoint: `${issuer}/auth`,
        token_endpoint: `${issuer}/token`,
        device_authorization_endpoint: `${issuer}/device/auth`,
        revocation_endpoint: `${issuer}/token/revocation`,
        introspection_endpoint: `${issuer}/token/introspection`,
        registration_endpoint: `${issuer}/reg`,
        control: `http://127.0.0.1:${controls.address().port}`,
        clients: {
            public: "native",
            secret: ["native-with-secret", "the-secret-of-the-client"],
            dovecot: ["dovecot", "dovecot"],
        },
        ca_file: new URL("ca.pem", TESTING).pathname,
    }) + "\n",
);
// Whoever started it has gone: so does it.
process.stdin.on("end", () => process.exit(0)).resume();
