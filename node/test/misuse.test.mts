/**
 * Calls in any order, right and wrong: what is refused is a typed error, and leaves a machine as it was.
 *
 * A twin gets only the calls that were taken: it must answer the same, and be in the same state.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
    AccountMachine,
    type AccountPlan,
    type Action,
    MailbearerError,
    type MailProtocol,
    Negotiation,
    Session,
    Watch,
} from "mailbearer";

const PROTOCOLS: MailProtocol[] = ["imap", "pop3", "smtp"];
const LIVES = 80;
const STEPS = 40;
const SETTINGS = { user: "joe@example.test", host: "mail.example.test" };

const SERVER_SAYS = [
    "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n",
    "* CAPABILITY IMAP4rev1 STARTTLS AUTH=XOAUTH2\r\n%TAG% OK\r\n",
    "%TAG% NO [AUTHENTICATIONFAILED] no\r\n",
    "+ \r\n",
    "+ eyJzdGF0dXMiOiI0MDEifQ==\r\n",
    "* BYE Session expired\r\n",
    "* 3 FETCH (BODY[] {6}\r\nabcdef)\r\n",
    "+OK\r\nSASL XOAUTH2\r\nSTLS\r\n.\r\n",
    "-ERR no\r\n",
    "250-hi\r\n250-STARTTLS\r\n250 AUTH XOAUTH2\r\n",
    "334 \r\n",
    "535 5.7.8 no\r\n",
    "421 bye\r\n",
    "",
    "\0\xff\r\n",
];
/** A login that goes well, for implicit TLS. */
const GOES_WELL = {
    imap: ["* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n", "%TAG% OK in\r\n"],
    pop3: ["+OK hi\r\n", "+OK\r\nSASL XOAUTH2\r\n.\r\n", "+OK in\r\n"],
    smtp: ["220 hi\r\n", "250-hi\r\n250 AUTH XOAUTH2\r\n", "235 in\r\n"],
};
const CLIENT_SAYS = [
    "A1 SELECT INBOX\r\n",
    "A2 IDLE\r\n",
    "DONE\r\n",
    "DELE 1\r\n",
    "QUIT\r\n",
    "DATA\r\n",
    ".\r\n",
    "",
];
const NONSENSE = [undefined, null, "text", -1, 2 ** 64, 1.5, Number.NaN, 5n, [], {}, () => 1, Symbol("x"), true];

/** Small, and the same everywhere (mulberry32). */
class Chance {
    #state: number;

    constructor(seed: number) {
        this.#state = seed;
    }

    next(): number {
        this.#state = (this.#state + 0x6d2b79f5) | 0;
        let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
        mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
        return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    }

    is(likely: number): boolean {
        return this.next() < likely;
    }

    of<T>(values: readonly T[]): T {
        return values[Math.floor(this.next() * values.length)] as T;
    }
}

type Call = [name: string, ...given: unknown[]];
type Machine = Record<string, (...given: unknown[]) => unknown>;

/** A machine that gets all calls, and its twin, which gets those that were taken. */
class Twins {
    readonly #machine: Machine;
    readonly #twin: Machine;
    readonly #state: (machine: Machine) => unknown;
    refused = 0;
    taken = 0;

    constructor(make: () => object, state: (machine: never) => unknown) {
        [this.#machine, this.#twin] = [make() as Machine, make() as Machine];
        this.#state = state as (machine: Machine) => unknown;
    }

    /** The answer, or nothing where the call is refused. */
    call([name, ...given]: Call): unknown {
        let answer: unknown;
        try {
            answer = this.#machine[name]?.(...given);
            this.taken += 1;
        } catch (error) {
            assert.ok(error instanceof MailbearerError, `${name}: ${String(error)}`);
            assert.ok(["misuse", "config_error"].includes(error.code), error.code);
            this.refused += 1;
            assert.deepEqual(this.#state(this.#machine), this.#state(this.#twin), name);
            return undefined;
        }
        assert.deepEqual(answer, this.#twin[name]?.(...given), name);
        assert.deepEqual(this.#state(this.#machine), this.#state(this.#twin), name);
        return answer;
    }
}

function spoken(chance: Chance, tag: string): unknown {
    return chance.is(0.1) ? chance.of(NONSENSE) : wire(chance.of(SERVER_SAYS), tag);
}

function wire(text: string, tag = ""): Buffer {
    return Buffer.from(text.replaceAll("%TAG%", tag), "latin1");
}

function tagOf(sent: Buffer, before: string): string {
    return /^(\S+) [A-Z]/.exec(sent.toString("latin1"))?.[1] ?? before;
}

/** Lives of machines of each protocol: how many calls were refused, were taken, and how many logins worked. */
function lives(live: (protocol: MailProtocol, chance: Chance) => { twins: Twins; logins: number }): void {
    for (const [index, protocol] of PROTOCOLS.entries()) {
        let [refused, taken, logins] = [0, 0, 0];
        for (let life = 0; life < LIVES; life += 1) {
            const lived = live(protocol, new Chance(index * 10_000 + life));
            refused += lived.twins.refused;
            taken += lived.twins.taken;
            logins += lived.logins;
        }
        assert.ok(Math.min(refused, taken) > 300, `${protocol}: ${refused} refused, ${taken} taken`);
        assert.ok(logins > 10, `${protocol}: ${logins} logins`);
    }
}

/** Answers the orders of a session, mostly as it should. */
class Host {
    readonly #chance: Chance;
    readonly #twins: Twins;
    readonly #goesWell: string[];
    readonly #right: Call[] = [["start"]];
    #answers: string[] = [];
    #numbers: unknown[] = [0, 1, 2];
    #tag = "A0";
    #now = 1_000;
    online = 0;

    constructor(chance: Chance, twins: Twins, goesWell: string[]) {
        [this.#chance, this.#twins, this.#goesWell] = [chance, twins, goesWell];
    }

    step(): void {
        const chance = this.#chance;
        this.#now += chance.of([0, 1, 50, 50, 1_000, 60_000, 4_000_000]);
        const [name, ...given] = (chance.is(0.6) ? this.#right.shift() : undefined) ?? this.#anyCall();
        // Time that goes backwards does not, inside; nonsense is no time.
        const now = chance.is(0.9) ? this.#now : chance.of<unknown>([0, this.#now - 5_000, ...NONSENSE]);
        const timeless = ["sent", "skipped", "aftermath", "snapshot", "status"].includes(name);
        const plan = this.#twins.call(timeless ? [name, ...given] : [name, now, ...given]);
        for (const action of (plan as { actions?: Action[] } | undefined)?.actions ?? []) {
            this.#obey(action);
        }
    }

    #anyCall(): Call {
        const chance = this.#chance;
        const number = chance.is(0.8) ? chance.of(this.#numbers) : chance.of<unknown>(NONSENSE);
        const text = chance.of<unknown>(["* BYE Session expired", "421 bye", "-ERR", "", "x".repeat(5_000), null, 7]);
        const said = wire(chance.of(CLIENT_SAYS));
        return chance.of<Call>([
            ["start"],
            ["stop"],
            ["tick"],
            ["woke"],
            [
                "token",
                number,
                chance.of<unknown>(["t".repeat(40), "", "two words", null]),
                chance.of([undefined, 0, 9]),
            ],
            ["tokenFailed", number, chance.of<unknown>([true, false, null])],
            ["connected", number],
            ["tlsEstablished", number],
            ["ended", number, chance.of<unknown>([undefined, { lastLine: text }, { cause: "no such cause" }, 5])],
            ["authenticated", number],
            ["refused", number, text],
            ["line", number, text],
            ["drained", number],
            ["receive", number, spoken(chance, this.#tag)],
            ["receive", number, spoken(chance, this.#tag)],
            ["skipped", number, chance.of<unknown>([0, 5, -1, 2 ** 64])],
            ["sent", number, said],
            ["aftermath"],
            ["snapshot"],
            ["status"],
        ]);
    }

    #obey(action: Action): void {
        const [chance, right] = [this.#chance, this.#right];
        const number = "ticket" in action ? action.ticket : "request" in action ? action.request : 0;
        this.#numbers = [...this.#numbers.slice(-6), number];
        switch (action.kind) {
            case "fetch_token":
                right.push(["token", number, `t${number}${"x".repeat(40)}`, chance.of([undefined, 60_000, 3_600_000])]);
                break;
            case "connect":
                right.push(["connected", number], ["receive", number, wire(this.#goesWell[0] ?? "")]);
                this.#answers = this.#goesWell.slice(1);
                break;
            case "send":
                this.#tag = tagOf(action.bytes, this.#tag);
                right.push(["receive", number, wire(this.#answers.shift() ?? chance.of(SERVER_SAYS), this.#tag)]);
                break;
            case "start_tls":
                right.push(["tlsEstablished", number]);
                break;
            case "online":
                this.online += 1;
                right.push(["sent", number, wire(chance.of(CLIENT_SAYS))]);
                break;
            case "renew":
                right.push(["drained", number]);
                break;
            case "close":
            case "needs_user":
            case "give_up":
                break;
        }
    }
}

/** Answers the orders of an account of two sessions of one protocol, mostly as it should. */
class AccountHost {
    readonly #chance: Chance;
    readonly #twins: Twins;
    readonly #goesWell: string[];
    readonly #right: Call[] = [["want", 1]];
    readonly #answers = new Map<number, string[]>();
    #numbers: unknown[] = [0, 1, 2, 3];
    #tag = "A0";
    #now = 1_000;
    online = 0;

    constructor(chance: Chance, twins: Twins, goesWell: string[]) {
        [this.#chance, this.#twins, this.#goesWell] = [chance, twins, goesWell];
    }

    step(): void {
        const chance = this.#chance;
        this.#now += chance.of([0, 1, 50, 50, 1_000, 60_000, 4_000_000]);
        const [name, ...given] = (chance.is(0.6) ? this.#right.shift() : undefined) ?? this.#anyCall();
        const now = chance.is(0.9) ? this.#now : chance.of<unknown>([0, this.#now - 5_000, ...NONSENSE]);
        const timeless = ["sent", "skipped", "snapshot", "status", "isQuiet", "standing", "redact"].includes(name);
        const plan = this.#twins.call(timeless ? [name, ...given] : [name, now, ...given]) as Partial<AccountPlan>;
        this.#obey(plan ?? {});
    }

    #anyCall(): Call {
        const chance = this.#chance;
        const number = chance.is(0.8) ? chance.of(this.#numbers) : chance.of<unknown>(NONSENSE);
        const ofNumber = ["want", "noLonger", "letGo", "opened", "secured", "answered", "slept", "isQuiet", "standing"];
        const failure = chance.of<unknown>([undefined, { cause: "timed_out", detail: "" }, { cause: "none" }, 5]);
        return chance.of<Call>([
            [chance.of(["tick", "networkLost", "networkBack", "retry", "status"])],
            [chance.of(ofNumber), number],
            [chance.of(ofNumber), number],
            chance.is(0.1) ? ["remove", number] : ["want", 1],
            [
                "token",
                number,
                chance.of<unknown>(["t".repeat(40), "", "two words", null]),
                chance.of([undefined, 0, 9]),
            ],
            ["noToken", number, chance.of<unknown>(["outage", "permanent", "mistake", "why", 5]), "words"],
            ["ended", number, failure],
            ["receive", number, spoken(chance, this.#tag)],
            ["skipped", number, chance.of<unknown>([0, 5, -1, 2 ** 64])],
            ["sent", number, wire(chance.of(CLIENT_SAYS))],
            ["snapshot", chance.of<unknown>([0, 5, -1, null])],
            ["redact", chance.of<unknown>(["x", 7])],
        ]);
    }

    #obey({ orders = [], deliveries = [] }: Partial<AccountPlan>): void {
        const right = this.#right;
        for (const order of orders) {
            const number = "ticket" in order ? order.ticket : order.request;
            this.#numbers = [...this.#numbers.slice(-6), number];
            if (order.kind === "fetch_token") {
                right.push(["token", number, `t${number}${"x".repeat(40)}`, 3_600_000]);
            } else if (order.kind === "open") {
                right.push(["opened", number], ["receive", number, wire(this.#goesWell[0] ?? "")]);
                this.#answers.set(number, this.#goesWell.slice(1));
            } else if (order.kind === "send") {
                this.#tag = tagOf(order.bytes, this.#tag);
                const line = this.#answers.get(number)?.shift() ?? this.#chance.of(SERVER_SAYS);
                right.push(["receive", number, wire(line, this.#tag)]);
            }
        }
        for (const delivery of deliveries) {
            if (delivery.kind === "give") {
                this.online += 1;
                right.push(["sent", delivery.ticket, wire(this.#chance.of(CLIENT_SAYS))], ["letGo", delivery.ticket]);
                right.push(["want", this.#chance.of([1, 2])]);
            }
        }
    }
}

describe("calls in any order leave the machine unharmed where they are refused:", () => {
    it("a Negotiation", () =>
        lives((protocol, chance) => {
            const tls = chance.of(["implicit", "starttls"] as const);
            const make = () => new Negotiation({ ...SETTINGS, protocol, tls }, "t".repeat(40));
            const twins = new Twins(make, (one: Negotiation) => one.state);
            const right = [...GOES_WELL[protocol]];
            let [tag, logins] = ["A0", 0];
            for (let step = 0; step < STEPS; step += 1) {
                const wrong: Call[] = [
                    ["tlsEstablished"],
                    ["receive", chance.is(0.1) ? spoken(chance, tag) : chance.of<unknown>([wire(""), ...NONSENSE])],
                    ["redact", chance.of<unknown>(["x", 7])],
                    chance.is(0.1) ? ["closed"] : ["redact", "y"],
                ];
                const said = chance.is(0.4) ? right.shift() : undefined;
                const answer = twins.call(said === undefined ? chance.of(wrong) : ["receive", wire(said, tag)]);
                if (typeof answer === "object" && answer !== null) {
                    const { send, next } = answer as { send: Buffer; next: string };
                    tag = tagOf(send, tag);
                    logins += next === "done" ? 1 : 0;
                }
            }
            return { twins, logins };
        }));

    it("a Watch", () =>
        lives((protocol, chance) => {
            const make = () => new Watch(protocol);
            const twins = new Twins(make, (one: Watch) => [one.aftermath(), one.isQuiet]);
            for (let step = 0; step < STEPS; step += 1) {
                const said = chance.is(0.8) ? wire(chance.of(CLIENT_SAYS)) : chance.of<unknown>(NONSENSE);
                twins.call(
                    chance.of<Call>([
                        ["received", spoken(chance, "A1")],
                        ["received", spoken(chance, "A1")],
                        ["sent", said],
                        ["sent", said],
                        ["skipped", chance.of<unknown>([0, 1, 6, 2 ** 40, 2 ** 64, -1, null])],
                        ["closed"],
                    ]),
                );
            }
            return { twins, logins: 1 };
        }));

    it("a Session", () =>
        lives((protocol, chance) => {
            const [seed, tls] = [
                BigInt(Math.floor(chance.next() * 2 ** 48)),
                chance.of(["implicit", "starttls"] as const),
            ];
            const make = () => new Session({ ...SETTINGS, protocol, tls }, { seed });
            const state = (one: Session) => [one.status(), one.snapshot(), one.aftermath(), one.isQuiet];
            const twins = new Twins(make, state);
            const host = new Host(chance, twins, GOES_WELL[protocol]);
            for (let step = 0; step < STEPS * 2; step += 1) {
                host.step();
            }
            return { twins, logins: host.online };
        }));

    it("an AccountMachine", () =>
        lives((protocol, chance) => {
            const seed = BigInt(Math.floor(chance.next() * 2 ** 48));
            const make = () => {
                const machine = new AccountMachine({ seed });
                [1, 2].forEach(() => machine.add({ ...SETTINGS, protocol, tls: "implicit" }));
                return machine;
            };
            const twins = new Twins(make, (one: AccountMachine) => [one.status(), one.snapshot(0)]);
            const host = new AccountHost(chance, twins, GOES_WELL[protocol]);
            for (let step = 0; step < STEPS * 2; step += 1) {
                host.step();
            }
            return { twins, logins: host.online };
        }));
});
