/** `mailbearer login USER`: a person's consent, and what it gives kept for later. */
import { readFileSync } from "node:fs";
import { argumentsOf, type Arguments, CHECK_OPTIONS, logins, placesOf } from "../check";
import { Provider } from "../core";
import { ConfigError } from "../errors";
import { clientOf } from "../login/client";
import { inBrowser, LoginRefused, NoLoopback, onDevice } from "../login/consent";
import { systemWords } from "../login/folder";
import { grantOf, type TokenEndpointAnswer } from "../login/grant";
import { checkKeyring } from "../login/keyring";
import type { RedirectForm } from "../login/loopback";
import {
    authorizationOf,
    type Client,
    configured,
    discovered,
    registered,
    type Server,
    serverOfProvider,
} from "../login/server";
import { stepsTo } from "../login/steps";
import { AccountFile, type Store, type StoredAccount } from "../login/store";
import { providerOf, type TlsOptions } from "../settings";
import { type Command, oneUser, textOf, type Values, WrongUse } from "./arguments";

const { json: _json, "token-command": _command, ...CHECKED } = CHECK_OPTIONS;

const OPTIONS = {
    issuer: { type: "string" },
    "client-id": { type: "string" },
    "client-secret-file": { type: "string" },
    "client-file": { type: "string" },
    "redirect-uri": { type: "string" },
    scope: { type: "string", multiple: true },
    device: { type: "boolean", default: false },
    "no-browser": { type: "boolean", default: false },
    store: { type: "string", default: "keyring" },
    "no-check": { type: "boolean", default: false },
    ...CHECKED,
} as const;

export const LOGIN: Command = {
    usage: "login USER",
    summary: "log in with a browser, and keep the login for programs",
    help: `usage: mailbearer login [options] USER

USER is the mail address.

options:
  --provider NAME            a provider's name, as in gmail; left out: found from the address
  --issuer URL               the authorization server, where the address does not tell it
  --client-id ID             your OAuth client; without one you are told how to make it
  --client-secret-file FILE  a file that holds the client's secret
  --client-file FILE         the client as Google's console gives it, as JSON
  --redirect-uri URL         what is registered for the client, where that is not this machine
  --scope SCOPE              in place of the provider's; may be repeated
  --device                   enter a code in a browser anywhere, where that is allowed
  --no-browser               open no browser: the address is printed
  --store keyring|file       where the login is kept: in the system's keyring (default), or in a file that only you can read
  --no-check                 do not try the login at the mail servers
  --imap, --pop3, --smtp HOST[:PORT], --no-imap, --no-pop3, --no-smtp, --starttls, --unusual-port, --ca-file, --mechanism,
  --ehlo-name, --timeout, --trace
                             as mailbearer check has them; hosts that are named here are kept with the login

A login that was stored before is replaced only when the new one works. Exit status: 0, the login is stored; 1, it did not work;
2, something is missing, as a client id.
`,
    options: OPTIONS,
    run,
};

/** What a login goes by. */
interface Plan {
    readonly values: Values;
    readonly given: Arguments;
    readonly user: string;
    /** Of the mail servers, and of the authorization server unless that is another. */
    readonly profile: Provider | undefined;
    readonly server: Server;
    readonly tls: TlsOptions;
}

async function run(positionals: readonly string[], values: Values): Promise<number> {
    const file = new AccountFile(oneUser(positionals));
    const store = storeOf(values);
    const plan = await planOf(file.user, values);
    const client = await clientFor(plan);
    if (client === undefined) {
        console.error(missingClient(plan));
        return 2;
    }
    if (store === "keyring") {
        await checkKeyring();
    }
    const scopes = scopesOf(plan);
    const answer = await consent(plan, client, scopes);
    const grant = grantOf(answer, client.secret === undefined ? {} : { client_secret: client.secret });
    if (grant.refresh_token === "") {
        throw new LoginRefused(NO_REFRESH_TOKEN);
    }
    console.log(`\n${file.user} is logged in.`);
    const account: StoredAccount = {
        version: 1,
        user: file.user,
        provider: plan.profile?.name ?? null,
        store,
        client_id: client.id,
        authorization: authorizationOf(plan.server),
        scopes,
        services: placesOf(plan.given),
    };
    const works = await worksAtMailServers(plan, answer.access_token);
    return file.locked(undefined, async () => {
        if (works === false && isStored(file)) {
            console.error("No mail server lets it in: the login that was stored before is kept.");
            return 1;
        }
        await file.write(account, grant);
        const place = store === "keyring" ? "the system's keyring" : "a file that only you can read";
        const program = `sessions({ protocol: "imap", user: "${file.user}" })`;
        console.log(`The login is stored in ${place}. In a program: ${program}`);
        if (works === false) {
            console.error(`But no mail server lets it in; see above, and try \`mailbearer check ${file.user}\`.`);
        }
        return works === false ? 1 : 0;
    });
}

const NO_REFRESH_TOKEN =
    "the provider gave no refresh token, and the login would end with the hour: " +
    "its scope for that (as offline_access) may be missing, or the client may not have it";

function storeOf(values: Values): Store {
    const store = textOf(values, "store");
    if (store !== "keyring" && store !== "file") {
        throw new WrongUse("--store is keyring or file");
    }
    return store;
}

function isStored(file: AccountFile): boolean {
    try {
        return file.read() !== undefined;
    } catch (error) {
        if (error instanceof ConfigError) {
            // What cannot be read is no loss.
            return false;
        }
        throw error;
    }
}

// ---- What it goes by -------------------------------------------------------------------------------------------------

async function planOf(user: string, values: Values): Promise<Plan> {
    const given = argumentsOf(user, values);
    const tls = given.caFile === undefined ? {} : { ca: authorities(given.caFile) };
    const profile = providerOf(user, given.provider);
    const issuer = textOf(values, "issuer");
    if (issuer !== undefined) {
        return { values, given, user, profile, tls, server: await discovered(issuer, tls) };
    }
    if (profile?.instead !== undefined) {
        throw new ConfigError(`${profile.name} cannot be logged in to with OAuth. ${profile.instead}.`);
    }
    if (profile !== undefined && profile.oauth === undefined) {
        throw new ConfigError(
            `${profile.name} is not known to give tokens to other programs: give --issuer, if you know better`,
        );
    }
    if (profile?.oauth === undefined) {
        throw new ConfigError(
            `which provider ${user} is at is not known: give --provider, or --issuer with the address of the ` +
                "authorization server",
        );
    }
    return { values, given, user, profile, tls, server: serverOfProvider(profile.oauth) };
}

function authorities(path: string): Buffer {
    try {
        return readFileSync(path);
    } catch (error) {
        throw new ConfigError(`${path} cannot be read: ${systemWords(error)}`);
    }
}

/** The name of the profile whose authorization server it is. */
function nameOf({ profile, values }: Plan): string | undefined {
    return values["issuer"] === undefined ? profile?.name : undefined;
}

async function clientFor(plan: Plan): Promise<Client | undefined> {
    const { values, server, tls, profile } = plan;
    const options = {
        id: textOf(values, "client-id"),
        secretFile: textOf(values, "client-secret-file"),
        file: textOf(values, "client-file"),
    };
    const own = clientOf(options, [profile?.name, textOf(values, "issuer"), server.metadata.issuer]);
    if (own !== undefined || server.metadata.registration_endpoint === undefined) {
        return own;
    }
    const { host, path } = redirectOf(plan);
    const client = await registered(server.metadata, `http://${host}${path}`, tls);
    if (client !== undefined) {
        console.log("mailbearer has registered itself at this provider, as a program that it did not know.\n");
    }
    return client;
}

function missingClient(plan: Plan): string {
    const { user, server } = plan;
    const name = nameOf(plan);
    const issuer = server.isIssuerKnown ? server.metadata.issuer : undefined;
    return `A client id is missing: --client-id. To have one for ${user}:\n\n${stepsTo(user, name, issuer)}`;
}

/** Some consoles take no address with numbers for a native client; Microsoft's takes it without a path. */
function redirectOf(plan: Plan): RedirectForm {
    const name = nameOf(plan) ?? "";
    if (/^microsoft/.test(name)) {
        return { host: "localhost", path: "" };
    }
    return { host: name === "fastmail" ? "localhost" : "127.0.0.1", path: "/" };
}

/** What is asked for: of all protocols, and what a refresh token is given for (OpenID Connect Core section 11). */
function scopesOf({ values, profile, server }: Plan): readonly string[] {
    const given = values["scope"];
    if (Array.isArray(given)) {
        return given.map(String);
    }
    const scopes = new Set(profile?.services.flatMap(({ scopes = [] }) => scopes));
    if (server.metadata.scopes_supported?.includes("offline_access") === true) {
        scopes.add("offline_access");
    }
    return [...scopes];
}

// ---- The ways --------------------------------------------------------------------------------------------------------

async function consent(plan: Plan, client: Client, scopes: readonly string[]): Promise<TokenEndpointAnswer> {
    const { values, user, server, tls } = plan;
    const configuration = await configured(server.metadata, client, tls);
    const say = (text: string): void => console.log(text);
    const request = { server, configuration, user, scopes, parameters: parametersOf(plan, scopes), say };
    if (values["device"] === true) {
        return onDevice(request);
    }
    if (server.metadata.authorization_endpoint === undefined) {
        throw new ConfigError("this authorization server has no page for browsers: try --device");
    }
    const redirect = textOf(values, "redirect-uri") ?? redirectOf(plan);
    try {
        return await inBrowser(request, { redirect, opens: values["no-browser"] !== true, input: process.stdin });
    } catch (error) {
        if (error instanceof NoLoopback && server.metadata.device_authorization_endpoint !== undefined) {
            return onDevice(request);
        }
        throw error;
    }
}

/** What the provider wants in the address besides: from its profile, else as OpenID Connect has it. */
function parametersOf(plan: Plan, scopes: readonly string[]): Readonly<Record<string, string>> {
    const oauth = nameOf(plan) === undefined ? undefined : plan.profile?.oauth;
    const hint: Record<string, string> = oauth?.takesLoginHint === false ? {} : { login_hint: plan.user };
    // OpenID Connect Core section 11: without the prompt, offline_access may be ignored.
    const prompt: Record<string, string> = scopes.includes("offline_access") ? { prompt: "consent" } : {};
    return { ...(oauth === undefined ? prompt : oauth.parameters), ...hint };
}

// ---- After it --------------------------------------------------------------------------------------------------------

/** Whether a mail server lets it in; `undefined` where none was tried. */
async function worksAtMailServers({ values, given, profile }: Plan, token: string): Promise<boolean | undefined> {
    const known = profile?.services.map(({ protocol }) => protocol) ?? [];
    const asked = given.asked.filter((one) => known.includes(one) || given.places[one] !== undefined);
    if (values["no-check"] === true) {
        return undefined;
    }
    if (asked.length === 0) {
        console.log("Where the mail servers are was not said, and no login was tried there: --imap HOST, --smtp HOST.");
        return undefined;
    }
    const { results } = await logins({ ...given, asked, provider: given.provider ?? profile?.name }, token);
    return results.some(({ ok }) => ok);
}
