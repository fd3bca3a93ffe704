/** A person's consent, in a browser (authorization code with PKCE, RFC 7636 and 8252) or on another device (RFC 8628). */
import { createInterface, type Interface } from "node:readline";
import type { Configuration, DeviceAuthorizationResponse } from "openid-client";
import { ConfigError } from "../errors";
import { shown } from "../foreign";
import { canOpenBrowser, openBrowser } from "./browser";
import type { TokenEndpointAnswer } from "./grant";
import { type Arrival, Loopback, type RedirectForm } from "./loopback";
import { isUnreachable, openid, type Server, sendingRedirect, wordsOf } from "./server";

/** A login without an end that one can use: its text says why. */
export class LoginRefused extends Error {}

/** No browser can come back to this machine. */
export class NoLoopback extends LoginRefused {}

/** What is asked for. */
export interface ConsentRequest {
    readonly server: Server;
    readonly configuration: Configuration;
    readonly user: string;
    readonly scopes: readonly string[];
    /** What this provider wants besides. */
    readonly parameters: Readonly<Record<string, string>>;
    /** Tells the person something. */
    readonly say: (text: string) => void;
}

/** How a browser comes into it. */
export interface BrowserOptions {
    /** Where it comes back to: to this machine, or to what is registered for the client. */
    readonly redirect: RedirectForm | string;
    /** Whether a browser may be opened. */
    readonly opens: boolean;
    /** Where a redirect address may be pasted. */
    readonly input: NodeJS.ReadStream;
}

/** As long as a person may take. */
const PATIENCE_MS = 15 * 60_000;

/** Consent in a browser, which comes back to this machine; or the address at which it ended is pasted. */
export async function inBrowser(request: ConsentRequest, options: BrowserOptions): Promise<TokenEndpointAnswer> {
    const { redirect, input } = options;
    const answer = deferred<TokenEndpointAnswer>();
    const login = new CodeLogin(request, answer);
    const loopback = typeof redirect === "string" ? undefined : await opened(redirect, login.arrival);
    const address = await login.addressFor(loopback?.redirect ?? String(redirect));
    const opens = options.opens && canOpenBrowser();
    const isPasted = loopback === undefined || !opens || input.isTTY;
    show(request, address, login.redirect, { opens, isPasted });
    if (opens) {
        openBrowser(address);
    }
    const pasted = isPasted ? pastedInto(input, login, request.say) : undefined;
    if (loopback === undefined) {
        // Nobody can come any more.
        pasted?.once("close", () => login.isAnswered || answer.reject(new LoginRefused("no address was pasted")));
    }
    const late = setTimeout(() => answer.reject(new LoginRefused("nobody gave consent in time")), PATIENCE_MS);
    try {
        return await answer.promise;
    } finally {
        clearTimeout(late);
        pasted?.close();
        await loopback?.close();
    }
}

async function opened(form: RedirectForm, arrival: Arrival): Promise<Loopback> {
    try {
        return await Loopback.open(form, arrival);
    } catch (error) {
        throw new NoLoopback(`no port of this machine can be listened at: ${(error as NodeJS.ErrnoException).code}`);
    }
}

/** One login: the address for the browser, and what to make of the address at which that ends. */
class CodeLogin {
    redirect = "";
    readonly #request: ConsentRequest;
    readonly #answer: Deferred<TokenEndpointAnswer>;
    #state = "";
    #verifier = "";
    #exchange: Promise<TokenEndpointAnswer> | undefined;

    constructor(request: ConsentRequest, answer: Deferred<TokenEndpointAnswer>) {
        this.#request = request;
        this.#answer = answer;
    }

    /** Whether its answer has come, whatever becomes of that. */
    get isAnswered(): boolean {
        return this.#exchange !== undefined;
    }

    async addressFor(redirect: string): Promise<string> {
        const { configuration, parameters, scopes } = this.#request;
        const library = await openid();
        this.redirect = redirect;
        this.#state = library.randomState();
        this.#verifier = library.randomPKCECodeVerifier();
        const address = library.buildAuthorizationUrl(configuration, {
            ...parameters,
            ...scopeOf(scopes),
            redirect_uri: redirect,
            code_challenge: await library.calculatePKCECodeChallenge(this.#verifier),
            code_challenge_method: "S256",
            state: this.#state,
        });
        return address.href;
    }

    /** Takes an answer to this login, and gives its code for tokens; that works once. */
    readonly arrival: Arrival = async (address) => {
        if (!this.#isAnswer(address)) {
            return "stranger";
        }
        this.#exchange ??= this.#exchanged(address);
        try {
            this.#answer.resolve(await this.#exchange);
            return "done";
        } catch (error) {
            this.#answer.reject(error);
            return "failed";
        }
    };

    /** Whatever else is sent to this place: of another login, of a mistake, or of an attacker. This login goes on. */
    #isAnswer(address: URL): boolean {
        const wanted = new URL(this.redirect);
        const isHere = address.origin === wanted.origin && address.pathname === wanted.pathname;
        return isHere && address.searchParams.get("state") === this.#state;
    }

    async #exchanged(address: URL): Promise<TokenEndpointAnswer> {
        const { configuration, server } = this.#request;
        const library = await openid();
        const checks = { expectedState: this.#state, pkceCodeVerifier: this.#verifier };
        sendingRedirect(library, configuration, this.redirect);
        try {
            return await library.authorizationCodeGrant(configuration, withIssuer(address, server), checks);
        } catch (error) {
            throw refusal(error);
        }
    }
}

/**
 * Of an answer whose issuer is the right one: openid-client compares the whole name (RFC 9207 section 2.4), and Microsoft's common
 * endpoint answers in the name of each tenant. Where nobody has said what it is called, there is nothing to compare.
 */
export function withIssuer(address: URL, { metadata, isIssuerKnown }: Server): URL {
    const answer = new URL(address);
    const said = answer.searchParams.get("iss");
    if (said !== null && (!isIssuerKnown || isTenantOf(said, metadata.issuer))) {
        answer.searchParams.set("iss", metadata.issuer);
    }
    return answer;
}

/** Whether an issuer is the common one, with a tenant's name in place of `common`. */
function isTenantOf(said: string, issuer: string): boolean {
    const [found, common] = [said.split("/"), issuer.split("/")];
    const isSame = common.every((part, at) => part === found[at] || (at === TENANT_AT && part === "common"));
    return isSame && found.length === common.length;
}

/** As in https://login.microsoftonline.com/TENANT/v2.0. */
const TENANT_AT = 3;

/** Consent on another device, with a code that is shown here. */
export async function onDevice(request: Omit<ConsentRequest, "parameters">): Promise<TokenEndpointAnswer> {
    const { configuration, server, scopes, user, say } = request;
    if (server.metadata.device_authorization_endpoint === undefined) {
        throw new ConfigError("this provider does not allow --device for mail: leave it out");
    }
    const library = await openid();
    try {
        const device = await library.initiateDeviceAuthorization(configuration, scopeOf(scopes));
        const place = printable(device.verification_uri);
        say(`Open ${place} in a browser, on any machine, log in as ${user}, and enter the code\n`);
        say(`    ${printable(device.user_code)}\n`);
        if (device.verification_uri_complete !== undefined) {
            say(`or open ${printable(device.verification_uri_complete)}\n`);
        }
        return await polled(configuration, device);
    } catch (error) {
        throw isExpired(error) ? new LoginRefused("nobody entered the code in time") : refusal(error);
    }
}

/**
 * Asks until there is an answer, or the code has expired; slower, where the server says so, or cannot be reached (RFC 8628 section
 * 3.5).
 */
async function polled(configuration: Configuration, device: DeviceAuthorizationResponse): Promise<TokenEndpointAnswer> {
    const library = await openid();
    const signal = AbortSignal.timeout(device.expires_in * 1000);
    for (let interval = device.interval ?? 5; ; interval *= 2) {
        try {
            return await library.pollDeviceAuthorizationGrant(configuration, { ...device, interval }, {}, { signal });
        } catch (error) {
            if (!isUnreachable(error)) {
                throw error;
            }
        }
    }
}

/** A text of the server's for a terminal, which would obey what controls it. */
function printable(text: string): string {
    if (!/^[\P{C}]*$/u.test(text)) {
        throw new LoginRefused("the authorization server's answer cannot be shown");
    }
    return text;
}

/** What went wrong, in the server's words where it has some. openid-client's own error holds code and verifier. */
export function refusal(error: unknown): LoginRefused | ConfigError {
    if (error instanceof LoginRefused || error instanceof ConfigError) {
        return error;
    }
    const { error: code, error_description: words } = error as { error?: unknown; error_description?: unknown };
    if (typeof code === "string") {
        const said = typeof words === "string" && words !== "" ? `${code}: ${words}` : code;
        return new LoginRefused(`the authorization server says ${shown(said)}`);
    }
    const said = wordsOf(error);
    const isStranger = /"iss"/.test(said);
    return new LoginRefused(
        isStranger ? "the answer is of another authorization server than the one that was asked" : said,
    );
}

/** Whether the code that was shown has expired, by our clock or the server's. */
function isExpired(error: unknown): boolean {
    const { code, error: said } = error as { code?: unknown; error?: unknown };
    return code === "OAUTH_TIMEOUT" || said === "expired_token";
}

function scopeOf(scopes: readonly string[]): Record<string, string> {
    return scopes.length === 0 ? {} : { scope: scopes.join(" ") };
}

interface Shown {
    readonly opens: boolean;
    readonly isPasted: boolean;
}

function show({ user, say }: ConsentRequest, address: string, redirect: string, { opens, isPasted }: Shown): void {
    say(
        opens
            ? `A browser is opened for ${user}. If none comes, open this address in one:\n`
            : `Open this address in a browser, and log in as ${user}:\n`,
    );
    say(`    ${address}\n`);
    if (isPasted) {
        say("If the browser is on another machine, it ends at an address that it cannot open, which begins with");
        say(`${redirect} Paste that address here, and press Enter:`);
    }
}

/** Takes the address at which a browser ended that is on another machine. */
function pastedInto(input: NodeJS.ReadStream, login: CodeLogin, say: (text: string) => void): Interface {
    const lines = createInterface({ input, terminal: false });
    lines.on("line", (line) => {
        const text = line.trim();
        if (text === "") {
            return;
        }
        const arrived = URL.canParse(text) ? login.arrival(new URL(text)) : Promise.resolve("stranger");
        void arrived.then((outcome) => {
            if (outcome === "stranger") {
                say(
                    `No: that is no answer to this login, which begins with ${login.redirect} Paste the whole address:`,
                );
            }
        });
    });
    return lines;
}

interface Deferred<T> {
    readonly promise: Promise<T>;
    readonly resolve: (value: T) => void;
    readonly reject: (error: unknown) => void;
}

function deferred<T>(): Deferred<T> {
    let [resolve, reject] = [(_: T): void => undefined, (_: unknown): void => undefined];
    const promise = new Promise<T>((yes, no) => ([resolve, reject] = [yes, no]));
    return { promise, resolve, reject };
}
