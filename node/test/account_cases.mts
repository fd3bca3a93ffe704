/** Plays a case of the kind `account`: facts and time in, orders and deliveries out. */
import { readFileSync } from "node:fs";
import {
    AccountMachine,
    type AccountPlan,
    type AccountSettings,
    type Delivery,
    type Failure,
    type MailProtocol,
    Misuse,
    type Order,
    Provider,
    type SessionSettings,
    type Tls,
} from "mailbearer";
import { failureOfConnect, failureOfHost, failureOfTls } from "./inside.mjs";
import { CaseFailed, type Cut, deal } from "./script.mjs";

/** A step says one of these, when, and what is expected after it. */
export interface AccountStep {
    want?: number;
    no_longer?: number;
    remove?: number;
    let_go?: true;
    close?: true;
    retry?: true;
    tick?: true;
    opened?: true;
    secured?: true;
    answered?: true;
    network?: "lost" | "back";
    slept?: number;
    ended?: true;
    problem?: { stage: string; error?: string; words?: string };
    token?: string;
    lives_ms?: number;
    no_token?: "outage" | "permanent" | "mistake";
    text?: string;
    server?: string;
    sent?: string;
    logs_in?: true;
    restart?: number;

    at?: number | "wake";
    ticket?: number;
    request?: number;

    orders?: string[];
    deliveries?: string[];
    events?: string[];
    says?: string;
    standing?: Record<string, string>;
    wake?: [number, number] | null;
    misuse?: true;
}

type SessionOfCase =
    MailProtocol | { protocol: MailProtocol; tls?: Tls; provider?: string; policy?: Record<string, unknown> };

export interface AccountCase {
    kind: "account";
    sessions: SessionOfCase[];
    account?: Record<string, number | boolean | null>;
    seed?: number;
    steps: AccountStep[];
}

/** What a server says to a login that works. */
export const LOGINS: Record<MailProtocol, string[]> = {
    imap: ["* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER] ready\r\n", "A0001 OK in\r\n"],
    pop3: ["+OK ready\r\n", "+OK\r\nSASL XOAUTH2 OAUTHBEARER\r\n.\r\n", "+OK in\r\n"],
    smtp: [
        "220 mail.example.test ESMTP\r\n",
        "250-mail.example.test\r\n250-AUTH XOAUTH2 OAUTHBEARER\r\n250 ENHANCEDSTATUSCODES\r\n",
        "235 ok\r\n",
    ],
};

/** The account of a case, with its sessions added. */
export function accountOf(one: AccountCase, seed: number, nowMs: number, snapshot?: Buffer): AccountMachine {
    const account = Object.entries(one.account ?? {}).map(([key, value]) => [camel(key), value ?? Infinity]);
    const machine = new AccountMachine({
        seed: BigInt(seed),
        // Most cases are not about silence.
        policy: { keepAlive: false, ...(Object.fromEntries(account) as AccountSettings) },
        snapshot,
        nowMs,
        wallMs: nowMs,
    });
    one.sessions.forEach((session) => machine.add(...configured(session)));
    return machine;
}

export function protocolOf(session: SessionOfCase): MailProtocol {
    return typeof session === "string" ? session : session.protocol;
}

function configured(session: SessionOfCase): Parameters<AccountMachine["add"]> {
    const { tls = "implicit", provider: name, policy = {} } = typeof session === "string" ? {} : session;
    const protocol = protocolOf(session);
    const service =
        name === undefined ? undefined : Provider.named(name).services.find((one) => one.protocol === protocol);
    const given = Object.entries(policy).map(([key, value]) => [camel(key), value ?? undefined]);
    return [
        {
            protocol,
            user: "user@example.test",
            host: service?.host ?? "mail.example.test",
            port: service?.port,
            tls: service?.tls ?? tls,
        },
        {
            sessionMs: service?.sessionMs,
            endsWithToken: service?.endsWithToken,
            idleMs: service?.idleMs,
            connections: service?.connections,
            ...(Object.fromEntries(given) as SessionSettings),
        },
    ];
}

/** What a host makes of what its system says. */
export function failureOf(problem: AccountStep["problem"]): Failure | undefined {
    const { stage = "", error = "", words = "" } = problem ?? {};
    switch (stage) {
        case "name":
        case "connect":
            return failureOfConnect(error, words);
        case "tls":
            return failureOfTls(error, words);
        case "read":
        case "write":
            return failureOfHost("connection_lost", words);
        case "late":
            return failureOfHost("timed_out", words);
        default:
            return undefined;
    }
}

/** An order in the words of the case files. */
export function spelledOrder(order: Order): string {
    switch (order.kind) {
        case "fetch_token":
            return `fetch_token${order.force ? " forced" : ""}${order.force && order.refused ? " refused" : ""}`;
        case "open":
            return `open ${order.session} ${order.attempt}`;
        case "start_tls":
            return "start_tls";
        case "send":
            return order.sensitive ? "send token" : "send";
        case "pause":
        case "keep_alive":
        case "probe":
        case "close":
            return `${order.kind} ${order.ticket}`;
    }
}

/** A delivery in the words of the case files; none for an event. */
export function spelledDelivery(delivery: Delivery): string | undefined {
    switch (delivery.kind) {
        case "give":
            return `give ${delivery.session} ${delivery.generation}`;
        case "renew":
            return `renew ${delivery.ticket} ${delivery.why}`;
        case "over":
            return `over ${delivery.ticket} ${delivery.verdict.cause}`;
        case "raise":
            return `raise ${delivery.session} ${delivery.what} ${delivery.failure.cause}`;
        case "end":
            return `end ${delivery.session}`;
        case "event":
            return undefined;
    }
}

export class AccountPlayer {
    readonly #case: AccountCase;
    readonly #owners = new Map<number, number>();
    #account: AccountMachine;
    #seed: number;
    #nowMs = 0;
    #wakeAtMs: number | undefined;
    #ticket = 0;
    #request = 0;
    #given = 0;

    constructor(one: AccountCase) {
        this.#case = one;
        this.#seed = one.seed ?? 1;
        this.#account = accountOf(one, this.#seed, 0);
    }

    play(cut: Cut): void {
        for (const [index, step] of this.#case.steps.entries()) {
            try {
                this.#step(index, step, cut);
            } catch (error) {
                throw error instanceof CaseFailed ? new CaseFailed(`step ${index + 1}: ${error.message}`) : error;
            }
        }
    }

    #step(index: number, step: AccountStep, cut: Cut): void {
        this.#nowMs = step.at === "wake" ? (this.#wakeAtMs ?? this.#nowMs) : (step.at ?? this.#nowMs);
        let plans: AccountPlan[];
        try {
            plans = [...this.#told(index, step, cut)];
        } catch (error) {
            if (error instanceof Misuse && step.misuse === true) {
                return;
            }
            throw error instanceof Misuse ? new CaseFailed(`a misuse: ${error.message}`) : error;
        }
        if (step.misuse === true) {
            throw new CaseFailed("expected a misuse, came none");
        }
        const orders = plans.flatMap((plan) => plan.orders);
        const deliveries = plans.flatMap((plan) => plan.deliveries);
        orders.forEach((order) => this.#note(order));
        expectSame("orders", step.orders ?? [], orders.map(spelledOrder));
        const told = deliveries.map(spelledDelivery).filter((one) => one !== undefined);
        expectSame("deliveries", step.deliveries ?? [], told);
        if (step.events !== undefined) {
            const events = deliveries.filter((one) => one.kind === "event");
            const spelled = events.map(({ what, session, cause }) => [what, session, cause]);
            expectSame("events", step.events, spelled.map(joined));
        }
        this.#given = deliveries.findLast((one) => one.kind === "give")?.ticket ?? this.#given;
        this.#wakeAtMs = plans.length === 0 ? this.#wakeAtMs : plans.at(-1)?.wakeAtMs;
        const sentences = deliveries.flatMap((one) => (one.kind === "raise" ? [one.failure.sentence] : []));
        checkState(step, this.#account, sentences);
        checkWake(step, this.#wakeAtMs, this.#nowMs, plans.length > 0);
    }

    /** Tells the account what the step says; what it planned. */
    *#told(index: number, step: AccountStep, cut: Cut): Iterable<AccountPlan> {
        const [account, now] = [this.#account, this.#nowMs];
        const ticket = step.ticket ?? this.#ticket;
        if (step.server !== undefined) {
            const of = step.ticket ?? Math.max(this.#ticket, this.#given);
            for (const piece of deal(Buffer.from(step.server, "latin1"), step, index, cut)) {
                yield account.receive(now, of, piece);
            }
        } else if (step.sent !== undefined) {
            account.sent(step.ticket ?? this.#given, Buffer.from(step.sent, "latin1"));
        } else if (step.logs_in) {
            yield account.opened(now, ticket);
            for (const line of LOGINS[this.#protocolAt(ticket)]) {
                yield account.receive(now, ticket, Buffer.from(line));
            }
        } else if (step.restart !== undefined) {
            this.#seed += 1;
            const snapshot = account.snapshot(now);
            this.#nowMs += step.restart;
            this.#account = accountOf(this.#case, this.#seed, this.#nowMs, snapshot);
            yield this.#account.tick(this.#nowMs);
        } else {
            yield this.#toldByName(step, ticket);
        }
    }

    #toldByName(step: AccountStep, ticket: number): AccountPlan {
        const [account, now] = [this.#account, this.#nowMs];
        const given = step.ticket ?? this.#given;
        const request = step.request ?? this.#request;
        if (step.want !== undefined) {
            return account.want(now, step.want);
        }
        if (step.no_longer !== undefined) {
            return account.noLonger(now, step.no_longer);
        }
        if (step.remove !== undefined) {
            return account.remove(now, step.remove);
        }
        if (step.network !== undefined) {
            return step.network === "lost" ? account.networkLost(now) : account.networkBack(now);
        }
        if (step.slept !== undefined) {
            return account.slept(now, step.slept);
        }
        if (step.token !== undefined) {
            return account.token(now, request, step.token, step.lives_ms);
        }
        if (step.no_token !== undefined) {
            return account.noToken(now, request, step.no_token, step.text ?? "");
        }
        if (step.ended) {
            return account.ended(now, ticket, failureOf(step.problem));
        }
        if (step.let_go || step.answered) {
            return step.let_go ? account.letGo(now, given) : account.answered(now, given);
        }
        if (step.opened || step.secured) {
            return step.opened ? account.opened(now, ticket) : account.secured(now, ticket);
        }
        const simple = (["close", "retry", "tick"] as const).find((name) => step[name]);
        if (simple === undefined) {
            throw new CaseFailed(`a step that is not known: ${JSON.stringify(step)}`);
        }
        return account[simple](now);
    }

    #protocolAt(ticket: number): MailProtocol {
        return protocolOf(this.#case.sessions[(this.#owners.get(ticket) ?? 0) - 1] as SessionOfCase);
    }

    #note(order: Order): void {
        if (order.kind === "open") {
            this.#ticket = order.ticket;
            this.#owners.set(order.ticket, order.session);
        }
        this.#request = order.kind === "fetch_token" ? order.request : this.#request;
    }
}

/** How sessions stand, and what is said. */
export function checkState(step: AccountStep, account: AccountMachine, sentences: readonly string[]): void {
    for (const [session, expected] of Object.entries(step.standing ?? {})) {
        expectSame(`standing of ${session}`, expected, account.standing(Number(session)) ?? "none");
    }
    const { says } = step;
    if (says !== undefined && !sentences.some((sentence) => sentence.includes(says))) {
        throw new CaseFailed(`expected ${says} to be said, came ${JSON.stringify(sentences)}`);
    }
}

export function checkWake(step: AccountStep, wakeAtMs: number | undefined, nowMs: number, isPlanned: boolean): void {
    const wait = wakeAtMs === undefined ? undefined : wakeAtMs - nowMs;
    if (isPlanned && wait !== undefined && wait <= 0) {
        throw new CaseFailed("a wake that is not in the future");
    }
    const { wake } = step;
    const holds =
        wake === undefined ||
        (wake === null ? wait === undefined : wait !== undefined && wake[0] <= wait && wait <= wake[1]);
    if (!holds) {
        throw new CaseFailed(`expected a wake in ${JSON.stringify(wake)}, came ${wait}`);
    }
}

export function expectSame(what: string, expected: unknown, actual: unknown): void {
    if (JSON.stringify(expected) !== JSON.stringify(actual)) {
        throw new CaseFailed(`expected the ${what} ${JSON.stringify(expected)}, came ${JSON.stringify(actual)}`);
    }
}

/** The words that there are. */
export function joined(words: readonly unknown[]): string {
    return words.filter((word) => word !== undefined).join(" ");
}

function camel(name: string): string {
    return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

export function accountCases(path: string): Array<AccountCase & { id: string }> {
    return JSON.parse(readFileSync(path, "utf8")) as Array<AccountCase & { id: string }>;
}
