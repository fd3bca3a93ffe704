/** Servers that are hostile: what is thrown is typed, in bounded time and memory, and nothing is left behind. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, LoginFailed, type MailProtocol, SessionEnded, sessions, type Tls } from "mailbearer";
import { ROOT } from "./places.mjs";
import { rejection } from "./waiting.mjs";

const PROGRAM = join(ROOT, "tests", "servers", "hostile.py");
const USER = "joe@example.test";
const TOKEN = "t".repeat(600);

/** For what nothing but the client's own time ends. */
const DEADLINE_MS = 2_000;
/** For what ends by itself: it is not to be reached. */
const GENEROUS_MS = 30_000;
/** The machine is shared. */
const SLACK_MS = 10_000;
/** How long a flood behind the login is not read, and then is. */
const FLOOD_MS = 700;
const READ_MS = 1_000;
/** A phase of a login is at most 1 MiB, and is read in pieces of 64 KiB; what was read is garbage until V8 collects it. */
const GROWTH_KIB_MAX = 8 * 1024;
/** V8 collects buffers that were read when some tens of MiB of them are there. */
const READING_GROWTH_KIB_MAX = 32 * 1024;

interface Attack {
    name: string;
    protocol: MailProtocol;
    tls: Tls;
    port: number;
    ends: "limit" | "server" | "deadline" | "login" | "answer";
    causes: string[];
}

interface Outcome {
    attack: Attack;
    /** The cause, or `login`. */
    thrown: string;
    ms: number;
    growthKiB: number;
}

let server: ChildProcess;
let hostile: { ca_file: string; control: number; attacks: Attack[] };

before(async () => {
    server = spawn("python3", [PROGRAM], { stdio: ["pipe", "pipe", "inherit"] });
    assert.ok(server.stdout);
    const lines = createInterface(server.stdout);
    const [line] = (await once(lines, "line")) as [string];
    hostile = JSON.parse(line) as typeof hostile;
    await attacked(attack("endless line"));
});
after(() => server.stdin?.end());

function attack(name: string): Attack {
    const found = hostile.attacks.find((one) => one.name === name);
    assert.ok(found);
    return found;
}

/** The greatest growth of this process, from now on. */
class Memory {
    readonly #before: number;

    constructor() {
        assert.ok(globalThis.gc, "run with --expose-gc");
        globalThis.gc();
        // The high-water mark begins anew (proc(5), clear_refs).
        writeFileSync("/proc/self/clear_refs", "5");
        this.#before = Memory.#read("VmRSS");
    }

    growthKiB(): number {
        return Memory.#read("VmHWM") - this.#before;
    }

    static #read(name: string): number {
        const line = readFileSync("/proc/self/status", "utf8")
            .split("\n")
            .find((one) => one.startsWith(name));
        return Number(line?.split(/\s+/)[1]);
    }
}

function options({ protocol, port, tls }: Attack, timeout: number) {
    const ca = readFileSync(hostile.ca_file);
    return { protocol, user: USER, token: TOKEN, host: "localhost", port, tls, tlsOptions: { ca }, timeout };
}

/** Logs in, and lets itself be flooded where that works. */
async function attacked(one: Attack, timeout = GENEROUS_MS): Promise<Outcome> {
    const memory = new Memory();
    const begun = performance.now();
    let thrown = "login";
    try {
        const connection = await connect(options(one, timeout));
        await sleep(FLOOD_MS);
        await connection.close();
    } catch (error) {
        assert.ok(error instanceof LoginFailed, `${one.name}: ${String(error)}`);
        thrown = error.code;
    }
    return { attack: one, thrown, ms: performance.now() - begun, growthKiB: memory.growthKiB() };
}

/** Stays logged in: does not read, then reads as fast as it comes, until the session has seen enough. */
async function flooded(one: Attack): Promise<Outcome & { octets: number }> {
    const memory = new Memory();
    const begun = performance.now();
    let octets = 0;
    const quitting = new AbortController();
    // A session that sees enough before it is given away logs in again, later: that is not waited for.
    const onEvent = ({ kind }: { kind: string }) => kind === "waiting" && quitting.abort(new Error("enough"));
    const made = sessions({ ...options(one, GENEROUS_MS), onEvent, signal: quitting.signal });
    try {
        const { value: connection } = await made.next();
        assert.ok(connection);
        await connection.wait(FLOOD_MS);
        const until = performance.now() + READ_MS;
        for await (const data of connection.socket) {
            octets += (data as Buffer).length;
            if (performance.now() > until) {
                break;
            }
        }
    } catch (error) {
        assert.ok(error instanceof SessionEnded || quitting.signal.aborted, String(error));
    }
    // `no_fault`: what was let go here, and not what the session saw.
    const { lastEnding } = made.status();
    const thrown = lastEnding === undefined || lastEnding.cause === "no_fault" ? "open" : lastEnding.cause;
    await made.close();
    return { attack: one, thrown, ms: performance.now() - begun, growthKiB: memory.growthKiB(), octets };
}

/** Says IDLE, or NOOP, and reads until the session is over. */
async function unanswered(one: Attack): Promise<Outcome> {
    const begun = performance.now();
    const made = sessions({ ...options(one, GENEROUS_MS), answerTimeout: DEADLINE_MS });
    const { value: connection } = await made.next();
    assert.ok(connection);
    await connection.use(async () => {
        if (one.protocol === "imap") {
            for await (const change of connection.idle({ reissue: 100 })) {
                assert.fail(JSON.stringify(change));
            }
        }
        connection.socket.write("NOOP\r\n");
        for await (const data of connection.socket) {
            assert.fail(String(data));
        }
    });
    const thrown = made.status().lastEnding?.cause ?? "open";
    await made.close();
    return { attack: one, thrown, ms: performance.now() - begun, growthKiB: 0 };
}

function nameOf({ name, protocol, tls }: Attack): string {
    return `${name} (${protocol}, ${tls})`;
}

function tell(what: string, outcomes: Outcome[]): void {
    const worst = outcomes.reduce((one, other) => (other.growthKiB > one.growthKiB ? other : one));
    const slowest = outcomes.reduce((one, other) => (other.ms > one.ms ? other : one));
    console.log(
        `${outcomes.length} hostile servers, ${what}: at most ${worst.growthKiB} KiB more memory ` +
            `(${nameOf(worst.attack)}), ${(slowest.ms / 1000).toFixed(2)} s (${nameOf(slowest.attack)})`,
    );
    if (process.env["MAILBEARER_VERBOSE"] !== undefined) {
        for (const { attack: one, thrown, ms, growthKiB } of outcomes) {
            console.log(`    ${growthKiB} KiB ${(ms / 1000).toFixed(2)} s  ${nameOf(one)}: ${thrown}`);
        }
    }
}

/** Sockets and timers of ours, and open files. */
function held(): Record<string, number> {
    const resources = process.getActiveResourcesInfo();
    const of = (kind: string) => resources.filter((one) => one === kind).length;
    return { sockets: of("TCPSocketWrap"), timers: of("Timeout"), files: readdirSync("/proc/self/fd").length };
}

async function nothingIsLeft(heldBefore: Record<string, number>): Promise<void> {
    const deadline = performance.now() + SLACK_MS;
    const isSo = async () => {
        const told = await cameToPass();
        const open = hostile.attacks.filter((one) => told[String(one.port)]?.open !== 0).map(nameOf);
        return { open, ...held() };
    };
    let found = await isSo();
    while (performance.now() < deadline && JSON.stringify(found) !== JSON.stringify({ open: [], ...heldBefore })) {
        await sleep(50);
        found = await isSo();
    }
    assert.deepEqual(found, { open: [], ...heldBefore }, "each connection is ended by us, and nothing is held");
}

async function cameToPass(): Promise<Record<string, { open: number; octets: number }>> {
    const socket = connectTcp(hostile.control, "127.0.0.1");
    const chunks: Buffer[] = [];
    for await (const chunk of socket) {
        chunks.push(chunk as Buffer);
    }
    return JSON.parse(Buffer.concat(chunks).toString()) as Record<string, { open: number; octets: number }>;
}

describe("a hostile server", () => {
    it("that sends too much, or nonsense, is left at once, for its true reason", async () => {
        const attacks = hostile.attacks.filter(({ ends }) => ends === "limit" || ends === "server");
        assert.ok(attacks.length > 60);
        const heldBefore = held();
        const outcomes: Outcome[] = [];
        for (const one of attacks) {
            outcomes.push(await attacked(one));
        }
        tell("one after the other", outcomes);
        for (const { attack: one, thrown, ms, growthKiB } of outcomes) {
            assert.ok(one.causes.includes(thrown), `${nameOf(one)}: ${thrown}`);
            assert.ok(ms < SLACK_MS, `${nameOf(one)}: ${ms} ms`);
            assert.ok(growthKiB < GROWTH_KIB_MAX, `${nameOf(one)}: ${growthKiB} KiB`);
        }
        await nothingIsLeft(heldBefore);
    });

    it("that gives no end is left at the deadline", async () => {
        const attacks = hostile.attacks.filter(({ ends }) => ends === "deadline");
        assert.ok(attacks.length > 20);
        const heldBefore = held();
        const memory = new Memory();
        const outcomes = await Promise.all(attacks.map((one) => attacked(one, DEADLINE_MS)));
        const growthKiB = Math.ceil(memory.growthKiB() / attacks.length);
        tell(
            "at once",
            outcomes.map((outcome) => ({ ...outcome, growthKiB })),
        );
        assert.ok(growthKiB < GROWTH_KIB_MAX, `${growthKiB} KiB each`);
        for (const { attack: one, thrown, ms } of outcomes) {
            assert.ok(one.causes.includes(thrown), `${nameOf(one)}: ${thrown}`);
            // Timers of Node may come a millisecond early.
            assert.ok(ms > DEADLINE_MS - 100 && ms < DEADLINE_MS + SLACK_MS, `${nameOf(one)}: ${ms} ms`);
        }
        await nothingIsLeft(heldBefore);
    });

    it("that has no certificate is refused where the options allow such ciphers", async () => {
        const one = attack("no certificate");
        const given = options(one, GENEROUS_MS);
        const tlsOptions = { ...given.tlsOptions, ciphers: "aNULL:@SECLEVEL=0", maxVersion: "TLSv1.2" as const };
        const octets = async () => (await cameToPass())[String(one.port)]?.octets ?? 0;
        const before = await octets();
        for (const door of [
            () => connect({ ...given, tlsOptions }),
            () => sessions({ ...given, tlsOptions, policy: { first: 100 } }).next(),
        ]) {
            const error = await rejection(LoginFailed, door() as Promise<unknown>);
            assert.equal(error.code, "tls_failed", error.message);
        }
        // The handshake was done, and the greeting said.
        const deadline = performance.now() + SLACK_MS;
        while ((await octets()) <= before) {
            assert.ok(performance.now() < deadline);
            await sleep(50);
        }
    });

    it("that gives no answer is left when it is late", async () => {
        const heldBefore = held();
        const outcomes = await Promise.all(hostile.attacks.filter(({ ends }) => ends === "answer").map(unanswered));
        tell("unanswered, at once", outcomes);
        for (const { attack: one, thrown, ms } of outcomes) {
            assert.ok(one.causes.includes(thrown), `${nameOf(one)}: ${thrown}`);
            assert.ok(ms < DEADLINE_MS + SLACK_MS, `${nameOf(one)}: ${ms} ms`);
        }
        await nothingIsLeft(heldBefore);
    });

    it("that floods behind the login is held back while nobody reads", async () => {
        const heldBefore = held();
        const outcomes: Outcome[] = [];
        for (const one of hostile.attacks.filter(({ ends }) => ends === "login")) {
            outcomes.push(await attacked(one));
        }
        tell("flooded", outcomes);
        for (const { attack: one, thrown, growthKiB } of outcomes) {
            assert.equal(thrown, "login", nameOf(one));
            assert.ok(growthKiB < GROWTH_KIB_MAX, `${nameOf(one)}: ${growthKiB} KiB`);
        }
        await nothingIsLeft(heldBefore);
    });

    it("that floods a session costs no memory, and is found out where it breaks the protocol", async () => {
        const heldBefore = held();
        const outcomes = [];
        for (const one of hostile.attacks.filter(({ ends }) => ends === "login")) {
            outcomes.push(await flooded(one));
        }
        tell("sessions, flooded", outcomes);
        for (const { attack: one, thrown, growthKiB, octets } of outcomes) {
            // In IMAP a server may speak at any time, in POP3 and SMTP when it is asked. A line that does not end says
            // nothing.
            const isFault = one.name === "flood of lines" && one.protocol !== "imap";
            assert.equal(thrown, isFault ? "protocol_violation" : "open", nameOf(one));
            assert.ok(isFault || octets > 1 << 20, `${nameOf(one)}: ${octets} octets`);
            assert.ok(growthKiB < READING_GROWTH_KIB_MAX, `${nameOf(one)}: ${growthKiB} KiB`);
        }
        await nothingIsLeft(heldBefore);
    });
});
