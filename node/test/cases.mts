/**
 * Runs the language-neutral cases of `tests/cases/` (or of the folder in `MAILBEARER_CASES`) against the package.
 *
 * It prints a line for each failure and one for each kind, and ends with status 0 only when all cases passed. The format is
 * described in `tests/cases/README.md`.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import {
    classify,
    type Mechanism,
    type InitialResponse,
    LoginFailed,
    MailbearerError,
    type MailProtocol,
    Negotiation,
    type Phase,
    type Step as Order,
    type Tls,
    type Verdict,
    Watch,
} from "mailbearer";
import { type AccountCase, AccountPlayer } from "./account_cases.mjs";
import { type DiscoverCase, runDiscover } from "./discover_cases.mjs";
import { ROOT } from "./places.mjs";
import { CaseFailed, type Cut, deal, type ServerStep } from "./script.mjs";
import { type SessionCase, SessionPlayer } from "./session_cases.mjs";

const OURS = join(ROOT, "tests", "cases");
const CUT_OCTETS_MAX = 4096;
const UPGRADES = { imap: "STARTTLS", pop3: "STLS", smtp: "STARTTLS" };

/** A step of a case: one of these. */
interface Step extends ServerStep {
    client?: string;
    expect?: string;
    sent?: string;
    tls?: "established";
    closed?: true;
}

interface DialogueCase {
    kind: "negotiation" | "watch" | "config";
    protocol: MailProtocol;
    tls?: Tls;
    user?: string;
    token?: string;
    host?: string;
    port?: number | string;
    ehlo_name?: string;
    mechanisms?: Mechanism[];
    initial_response?: InitialResponse;
    steps: Step[];
    outcome: string | string[];
    token_on_wire?: string;
}

interface ClassifyCase {
    kind: "classify";
    protocol: MailProtocol;
    lines: string[];
    phase: Phase;
    advice: string;
}

export type Case = { id: string } & (DialogueCase | ClassifyCase | SessionCase | AccountCase | DiscoverCase);

export function load(): Case[] {
    const folder = process.env["MAILBEARER_CASES"] || OURS;
    const all = readdirSync(folder, { recursive: true }) as string[];
    const files = all.filter((file) => file.endsWith(".json") && file !== "exceptions.json");
    return files.sort().flatMap((file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as Case[]);
}

export function exceptions(): Map<string, string> {
    const argued = JSON.parse(readFileSync(join(OURS, "exceptions.json"), "utf8")) as Array<{
        id: string;
        reading: string;
    }>;
    return new Map(argued.map(({ id, reading }) => [id, reading]));
}

/** Says why a case does not hold; `undefined` when it does. */
export async function run(one: Case): Promise<string | undefined> {
    switch (one.kind) {
        case "classify": {
            const verdict = classify(one.protocol, one.phase, one.lines);
            return verdict.advice === one.advice
                ? undefined
                : `expected ${one.advice}, came ${verdict.advice} (${verdict.cause}, rule ${verdict.rule})`;
        }
        case "negotiation":
        case "watch":
        case "config":
            return played(one, () => new Player(one));
        case "session":
            return played(one, () => new SessionPlayer(one));
        case "account":
            return played(one, () => new AccountPlayer(one));
        case "discover":
            return runDiscover(one);
        default:
            return `the kind ${(one as Case).kind} is not known`;
    }
}

/** Cases with a script. */
type Played = DialogueCase | SessionCase | AccountCase;

function played(one: Played, player: () => { play(cut: Cut): void }): string | undefined {
    for (const cut of cuts(one)) {
        try {
            player().play(cut);
        } catch (error) {
            if (!(error instanceof CaseFailed)) {
                throw error;
            }
            return `${error.message} (${typeof cut === "string" ? cut : `step ${cut.step + 1} cut at ${cut.at}`})`;
        }
    }
    return undefined;
}

/** Whole, octet by octet, and once at every position of every server message. */
function* cuts(one: Played): Iterable<Cut> {
    yield "whole";
    const sizes = one.steps.map((step: ServerStep) => (step.server?.length ?? 0) * (step.repeat ?? 1));
    if (sizes.reduce((sum, size) => sum + size, 0) > CUT_OCTETS_MAX) {
        return;
    }
    yield "every octet";
    for (const [step, size] of sizes.entries()) {
        for (let at = 1; at < size; at += 1) {
            yield { step, at };
        }
    }
}

/** Plays the script of a case: the server's octets in, the machine's lines out. */
class Player {
    readonly #case: DialogueCase;
    readonly #token: string;
    #negotiation: Negotiation | undefined;
    #watch: Watch | undefined;
    #secure: boolean;
    #next = "read";
    #cause: string | undefined;
    #isAuthenticated = false;
    #isOver = false;
    #lines: string[] = [];
    #tag = "";
    #greeting = "";
    #inTls = 0;
    #inTheClear = 0;

    constructor(one: DialogueCase) {
        this.#case = one;
        this.#token = one.token === undefined ? aToken(600) : one.token === "short" ? aToken(16) : one.token;
        this.#secure = (one.tls ?? "implicit") === "implicit";
    }

    play(cut: Cut): void {
        try {
            this.#negotiation = this.#configured();
        } catch (error) {
            if (!(error instanceof MailbearerError || error instanceof TypeError)) {
                throw error;
            }
            checkLeak(String(error), this.#token);
            this.#judge("config_error");
            return;
        }
        for (const [index, step] of this.#case.steps.entries()) {
            if (this.#isOver) {
                break;
            }
            try {
                this.#step(index, step, cut);
            } catch (error) {
                throw error instanceof CaseFailed ? new CaseFailed(`step ${index + 1}: ${error.message}`) : error;
            }
        }
        this.#judge(this.#cause ?? (this.#isAuthenticated ? "authenticated" : "open"));
    }

    #configured(): Negotiation {
        const one = this.#case;
        const settings = {
            protocol: one.protocol,
            user: utf8(one.user ?? "user@example.test"),
            host: utf8(one.host ?? "mail.example.test"),
            port: one.port === undefined ? undefined : Number(one.port),
            tls: one.tls ?? "implicit",
            ehloName: utf8(one.ehlo_name ?? "client.example.test"),
            mechanisms: one.mechanisms,
            initialResponse: one.initial_response,
        };
        return new Negotiation(settings, utf8(this.#token));
    }

    #step(index: number, step: Step, cut: Cut): void {
        if (step.server !== undefined) {
            this.#server(index, step, step.server, cut);
        } else if (step.client !== undefined) {
            this.#client(step.client);
        } else if (step.expect !== undefined) {
            if (this.#next !== step.expect && !(step.expect === "read" && this.#isAuthenticated)) {
                throw new CaseFailed(`expected ${step.expect}, came ${this.#next}`);
            }
        } else if (step.sent !== undefined) {
            this.#noteTag(step.sent);
            if (this.#watch === undefined) {
                throw new CaseFailed("not logged in");
            }
            this.#watch.sent(Buffer.from(step.sent, "latin1"));
        } else if (step.tls === "established") {
            this.#secure = true;
            this.#take(this.#machine().tlsEstablished());
        } else if (step.closed === true) {
            this.#closed();
        } else {
            throw new CaseFailed(`a step that is not known: ${JSON.stringify(step)}`);
        }
    }

    #machine(): Negotiation {
        if (this.#negotiation === undefined) {
            throw new CaseFailed("there is no machine");
        }
        return this.#negotiation;
    }

    #server(index: number, step: Step, text: string, cut: Cut): void {
        // A line without a secret may come where the file does not foresee it: the runner follows the machine.
        this.#lines = [];
        this.#greeting ||= text;
        const data = Buffer.from(text.replaceAll("%TAG%", this.#tag), "latin1");
        for (const piece of deal(data, step, index, cut)) {
            if (this.#isOver) {
                return;
            }
            this.#receive(piece);
        }
    }

    #receive(piece: Buffer): void {
        if (this.#watch !== undefined) {
            this.#sight(this.#watch.received(piece).ending);
            return;
        }
        const negotiation = this.#machine();
        const step = negotiation.receive(piece);
        if (step.sensitive) {
            checkLeak(inspect(step, { depth: 9 }) + inspect(negotiation) + JSON.stringify(step), this.#token);
        }
        this.#take(step);
    }

    #closed(): void {
        if (this.#watch === undefined) {
            this.#take(this.#machine().closed());
        } else {
            this.#sight(this.#watch.closed());
        }
    }

    #sight(ending: Verdict | undefined): void {
        if (ending !== undefined) {
            this.#end(ending.cause);
        }
    }

    #end(cause: string): void {
        this.#cause = cause;
        this.#isOver = true;
    }

    #take(step: Order): void {
        for (const line of step.send.toString("latin1").split("\r\n").slice(0, -1)) {
            this.#noteTag(line);
            const tokens = tokensIn(line, this.#token);
            this.#secure ? (this.#inTls += tokens) : (this.#inTheClear += tokens);
            if (tokens > 0 !== step.sensitive) {
                throw new CaseFailed(`the mark for sensitive octets is wrong: ${step.sensitive}`);
            }
            this.#lines.push(line);
        }
        this.#next = step.next;
        if (step.next === "done") {
            this.#isAuthenticated = true;
            this.#watch = new Watch(this.#case.protocol);
            this.#sight(this.#watch.received(step.authenticated.leftover).ending);
        }
        if (step.next === "failed") {
            const error = new LoginFailed(step.failure);
            checkLeak(`${error.stack} ${inspect(error, { depth: 9 })} ${JSON.stringify(step.failure)}`, this.#token);
            this.#end(step.failure.cause);
        }
    }

    #client(pattern: string): void {
        const line = this.#lines.shift();
        if (line === undefined) {
            throw new CaseFailed(`expected a line like ${pattern}, came none`);
        }
        if (regex(pattern).test(line)) {
            return;
        }
        const listed = /\[CAPABILITY ([^\]]*)\]/.exec(this.#greeting);
        const upgrade = `${this.#tag} ${UPGRADES[this.#case.protocol]}`.trim();
        if (!line.endsWith(" CAPABILITY") || listed === null || !regex(pattern).test(upgrade)) {
            throw new CaseFailed(`expected a line like ${pattern}, came ${line}`);
        }
        // A machine that asks for capabilities where the file expects the upgrade gets the greeting's list again.
        this.#receive(Buffer.from(`* CAPABILITY ${listed[1]}\r\n${this.#tag} OK\r\n`));
        this.#client(pattern);
    }

    #noteTag(line: string): void {
        if (this.#case.protocol === "imap" && line.includes(" ")) {
            this.#tag = line.slice(0, line.indexOf(" "));
        }
    }

    #judge(actual: string): void {
        const expected = [this.#case.outcome].flat();
        const goesOn = actual === "authenticated" && this.#case.kind === "watch" && expected.includes("open");
        const anyFailure = expected.includes("*") && this.#cause !== undefined;
        if (!expected.includes(actual) && !goesOn && !anyFailure) {
            throw new CaseFailed(`expected ${expected.join(" or ")}, came ${actual}`);
        }
        const allowed = this.#case.token_on_wire ?? "tls-only";
        if (this.#inTheClear > 0 || !allowed.split("|").some((rule) => holds(rule, this.#inTls))) {
            throw new CaseFailed(
                `the token must be on the wire ${allowed}, and was: ${this.#inTls} in TLS, ${this.#inTheClear} in the clear`,
            );
        }
    }
}

/** A pattern of a case, which may begin with Python's way to ignore case. */
function regex(pattern: string): RegExp {
    return pattern.startsWith("(?i)") ? new RegExp(pattern.slice(4), "i") : new RegExp(pattern);
}

function holds(rule: string, count: number): boolean {
    const most = /^at-most-(\d+)$/.exec(rule);
    switch (rule) {
        case "never":
            return count === 0;
        case "once":
            return count === 1;
        case "at-most-once":
            return count <= 1;
        case "tls-only":
            return true;
        default:
            return most !== null && count <= Number(most[1]);
    }
}

function aToken(length: number): string {
    const alphabet = "Canary0Token1Must2Never3Be4Seen5Anywhere6Outside7Tls8-9._~+/xyz";
    return alphabet.repeat(Math.ceil(length / alphabet.length)).slice(0, length);
}

/** A string that holds octets, as the text that they are; what is no UTF-8 is no text. */
function utf8(octets: string): string {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.from(octets, "latin1"));
}

/** How often the token stands in a line, plain or in base64. */
function tokensIn(line: string, token: string): number {
    if (token === "") {
        return 0;
    }
    const inBase64 = (word: string) =>
        /^[A-Za-z0-9+/]+={0,2}$/.test(word) && Buffer.from(word, "base64").toString("latin1").includes(token);
    return line.split(token).length - 1 + line.split(" ").filter(inBase64).length;
}

/** The token must not be readable: not plain, and not in base64 at any of the three alignments. */
function checkLeak(shown: string, token: string): void {
    if (token.length < 12) {
        return;
    }
    const aligned = [0, 1, 2].map((skip) =>
        Buffer.from(token, "latin1")
            .subarray(skip, skip + 12)
            .toString("base64"),
    );
    const hex = Buffer.from(token, "latin1")
        .subarray(0, 12)
        .toString("hex")
        .replace(/..(?!$)/g, "$& ");
    for (const form of [...aligned, token.slice(0, 12), hex]) {
        if (shown.includes(form)) {
            throw new CaseFailed(`the token is readable in: ${shown}`);
        }
    }
}

/** Runs them all, prints what came, and tells whether all hold. */
export async function main(): Promise<boolean> {
    const argued = exceptions();
    const counts = new Map<string, { passed: number; total: number }>();
    let [passed, failed] = [0, 0];
    for (const one of load()) {
        const problem = await run(one);
        const reading = argued.get(one.id);
        if (reading !== undefined) {
            console.log(
                `EXCEPTION node ${one.id}: ${problem === undefined ? "no longer needed: remove it" : "as argued"}: ${reading}`,
            );
            failed += problem === undefined ? 1 : 0;
            continue;
        }
        const count = counts.get(one.kind) ?? { passed: 0, total: 0 };
        counts.set(one.kind, count);
        count.total += 1;
        if (problem === undefined) {
            count.passed += 1;
            passed += 1;
        } else {
            failed += 1;
            console.log(`FAIL node ${one.id}: ${problem}`);
        }
    }
    for (const [kind, count] of [...counts].sort()) {
        console.log(`node ${kind} ${count.passed}/${count.total}`);
    }
    console.log(`cases: ${passed} passed, ${failed} failed`);
    return failed === 0 && passed > 0;
}

if (process.argv[1] === import.meta.filename) {
    process.exitCode = (await main()) ? 0 : 1;
}
