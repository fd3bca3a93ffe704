/** `mailbearer login USER`: a person's consent, and what it gives kept for later. */
import { CHECK_OPTIONS, logins } from "../check";
import { ConfigError } from "../errors";
import { inBrowser, LoginRefused, NoLoopback, onDevice } from "../login/consent";
import { grantOf, type TokenEndpointAnswer } from "../login/grant";
import { checkKeyring } from "../login/keyring";
import { type Plan, planOf, redirectOf } from "../login/plan";
import { authorizationOf, configured } from "../login/server";
import { AccountFile, type StoredAccount } from "../login/store";
import { type Command, oneUser, textOf, type Values } from "./arguments";

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
    store: { type: "string" },
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
  --imap, --pop3, --smtp HOST[:PORT], --no-imap, --no-pop3, --no-smtp, --starttls, --unusual-port, --no-discover, --ca-file,
  --mechanism, --ehlo-name, --proxy, --timeout, --trace
                             as mailbearer check has them; hosts that are named here are kept with the login; the proxy, which
                             is not kept, leads to the authorization server, too

Servers of a domain that is not known are looked up. To log in again, nothing need be said again. A login that was stored before
is replaced only when the new one works. Exit status: 0, the login is stored; 1, it did not work;
2, something is missing, as a client id.
`,
    options: OPTIONS,
    run,
};

async function run(positionals: readonly string[], values: Values): Promise<number> {
    const file = new AccountFile(oneUser(positionals));
    const plan = await planOf(file, values);
    if (plan.store === "keyring") {
        await checkKeyring();
    }
    const answer = await consent(plan, values);
    const { client, server, scopes, store, services } = plan;
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
        authorization: authorizationOf(server),
        scopes,
        services: Object.keys(services).length === 0 ? null : services,
    };
    const works = values["no-check"] === true ? undefined : await worksAtMailServers(plan, answer.access_token);
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

async function consent(plan: Plan, values: Values): Promise<TokenEndpointAnswer> {
    const { user, server, client, scopes, tls, route } = plan;
    const configuration = await configured(server.metadata, client, tls, route);
    const say = (text: string): void => console.log(text);
    const request = { server, configuration, user, scopes, parameters: parametersOf(plan), say };
    if (values["device"] === true) {
        return onDevice(request);
    }
    if (server.metadata.authorization_endpoint === undefined) {
        throw new ConfigError("this authorization server has no page for browsers: try --device");
    }
    const redirect =
        textOf(values, "redirect-uri") ?? redirectOf(plan.oauth === undefined ? undefined : plan.profile?.name);
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
function parametersOf({ oauth, user, scopes }: Plan): Readonly<Record<string, string>> {
    const hint: Record<string, string> = oauth?.takesLoginHint === false ? {} : { login_hint: user };
    // OpenID Connect Core section 11: without the prompt, offline_access may be ignored.
    const prompt: Record<string, string> = scopes.includes("offline_access") ? { prompt: "consent" } : {};
    return { ...(oauth === undefined ? prompt : oauth.parameters), ...hint };
}

/** Whether a mail server lets it in; `undefined` where none was tried. */
async function worksAtMailServers(plan: Plan, token: string): Promise<boolean | undefined> {
    const { given, profile, services, reachable: asked } = plan;
    if (asked.length === 0) {
        console.log("Where the mail servers are was not said, and no login was tried there: --imap HOST, --smtp HOST.");
        return undefined;
    }
    const { results } = await logins({ ...given, asked, services, provider: given.provider ?? profile?.name }, token);
    return results.some(({ ok }) => ok);
}
