/** The authorization server of the tests as a process, and somebody at its pages, without a browser. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ROOT } from "./places.mjs";

const SERVERS = join(ROOT, "tests", "servers");

/** What it says of itself. */
export interface Description {
    readonly issuer: string;
    readonly authorization_endpoint: string;
    readonly token_endpoint: string;
    readonly device_authorization_endpoint: string;
    readonly revocation_endpoint: string;
    readonly control: string;
    readonly clients: { public: string; secret: [string, string] };
    readonly ca_file: string;
}

export interface Counts {
    readonly logins: number;
    readonly refreshes: number;
    readonly token_requests: number;
    readonly token_requests_at_once: number;
    readonly refresh_tokens_used_again: number;
    readonly token_errors: string[];
    readonly revocations: number;
}

/** oidc-provider on loopback, over HTTPS: see `tests/servers/oidc/README.md`. */
export class AuthorizationServer {
    readonly description: Description;
    readonly #child: ChildProcess;

    private constructor(child: ChildProcess, description: Description) {
        this.#child = child;
        this.description = description;
    }

    static async start(accessTokenSeconds = 3600): Promise<AuthorizationServer> {
        execFileSync(join(SERVERS, "install.sh"), { stdio: "ignore" });
        const words = [join(SERVERS, "oidc/server.mjs"), `--access-token-seconds=${accessTokenSeconds}`];
        const child = spawn(process.execPath, words, { stdio: ["pipe", "pipe", "ignore"] });
        const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
        return new AuthorizationServer(child, JSON.parse(line) as Description);
    }

    async stop(): Promise<void> {
        const ended = once(this.#child, "exit");
        this.#child.stdin?.end();
        await ended;
    }

    /** Changes what it does: the names are in `server.mjs`. */
    async set(settings: object): Promise<void> {
        await this.#control("set", settings);
    }

    counts(): Promise<Counts> {
        return this.#control("counts", {}) as Promise<Counts>;
    }

    /** Every code, token and secret that it gave to somebody. */
    secrets(): Promise<string[]> {
        return this.#control("secrets", {}) as Promise<string[]>;
    }

    /** Takes back what a user has granted, as the user would. */
    async revoke(user: string): Promise<void> {
        await this.#control("revoke", { user });
    }

    async #control(what: string, body: object): Promise<unknown> {
        const answer = await fetch(`${this.description.control}/${what}`, {
            method: "POST",
            body: JSON.stringify(body),
        });
        return answer.json();
    }
}

interface Page {
    readonly address: URL;
    readonly status: number;
    readonly text: string;
    readonly location: string | undefined;
}

/** A person with a browser, as far as pages without scripts need one: cookies, redirects, buttons. */
export class Visitor {
    readonly #user: string;
    readonly #ca: Buffer;
    readonly #cookies = new Map<string, string>();

    constructor(user: string, caFile: string) {
        this.#user = user;
        this.#ca = readFileSync(caFile);
    }

    /** Presses the button of each page, and gives the address on this machine to which the server leads the browser. */
    async redirectOf(address: string, answer: "allow" | "deny" = "allow"): Promise<URL> {
        const end = await this.#walk(address, answer);
        if (end.protocol !== "http:") {
            throw new Error(`the pages end at ${end.href}`);
        }
        return end;
    }

    /** The same for a code of a device, which is entered in the first page. */
    async enter(address: string, code: string, answer: "allow" | "deny" = "allow"): Promise<void> {
        await this.#walk(address, answer, code);
    }

    async #walk(start: string, answer: string, code = ""): Promise<URL> {
        let page = await this.#ask(new URL(start));
        for (let steps = 0; steps < 20; steps += 1) {
            if (page.location !== undefined) {
                const next = new URL(page.location, page.address);
                if (next.protocol === "http:") {
                    return next;
                }
                page = await this.#ask(next);
                continue;
            }
            const action = /<form[^>]*action="([^"]+)"/.exec(page.text)?.[1];
            if (action === undefined) {
                return page.address;
            }
            page = await this.#ask(new URL(action, page.address), this.#filled(page.text, answer, code));
        }
        throw new Error(`the pages do not end: ${page.text}`);
    }

    #filled(page: string, answer: string, code: string): URLSearchParams {
        const form = new URLSearchParams();
        for (const [tag] of page.matchAll(/<input[^>]*>/g)) {
            const [, name] = /name="([^"]*)"/.exec(tag) ?? [];
            const [, value = ""] = /value="([^"]*)"/.exec(tag) ?? [];
            if (name !== undefined) {
                form.set(name, name === "user_code" && value === "" ? code : value);
            }
        }
        if (page.includes('name="answer"')) {
            form.set("user", this.#user);
            form.set("answer", answer);
        }
        return form;
    }

    #ask(address: URL, form?: URLSearchParams): Promise<Page> {
        const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
        const content = form === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" };
        const options = { ca: this.#ca, method: form === undefined ? "GET" : "POST", headers: { cookie, ...content } };
        return new Promise((resolve, reject) => {
            const sent = request(address, options, async (answer) => {
                answer.headers["set-cookie"]?.forEach((one) => this.#remember(one));
                const chunks: Buffer[] = [];
                for await (const chunk of answer) {
                    chunks.push(chunk as Buffer);
                }
                const [status, { location }] = [answer.statusCode ?? 0, answer.headers];
                resolve({ address, status, location, text: Buffer.concat(chunks).toString() });
            });
            sent.on("error", reject);
            sent.end(form?.toString());
        });
    }

    #remember(cookie: string): void {
        const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
        if (value === "") {
            this.#cookies.delete(name);
        } else {
            this.#cookies.set(name, value);
        }
    }
}
