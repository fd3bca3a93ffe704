/** Plays a case of the kind `session`: facts and time in, orders out. */
import {
    type Action,
    type Aftermath,
    type Cause,
    type MailProtocol,
    Misuse,
    type Plan,
    Provider,
    Session,
    type SessionSettings,
    type Tls,
} from "mailbearer";
import { CaseFailed, type Cut, deal } from "./script.mjs";

/** A step says one of these, when, and what is expected after it. */
interface SessionStep {
    start?: true;
    stop?: true;
    tick?: true;
    woke?: true;
    connected?: true;
    authenticated?: true;
    drained?: true;
    token?: string;
    lives_ms?: number;
    token_failed?: boolean;
    tls?: "established";
    server?: string;
    sent?: string;
    closed?: true;
    cause?: Cause;
    last_line?: string;
    refused?: string;
    line?: string;
    restart?: true;

    at?: number | "wake";
    ticket?: number;
    request?: number;

    orders?: string[];
    phase?: string;
    wake?: [number, number] | null;
    resumed?: object | null;
    misuse?: true;
}

export interface SessionCase {
    kind: "session";
    protocol: MailProtocol;
    tls?: Tls;
    provider?: string;
    policy?: Record<string, unknown>;
    seed?: number;
    steps: SessionStep[];
}

export class SessionPlayer {
    readonly #case: SessionCase;
    #session: Session;
    #seed: number;
    #nowMs = 0;
    #wakeAtMs: number | undefined;
    #ticket = 0;
    #request = 0;

    constructor(one: SessionCase) {
        this.#case = one;
        this.#seed = one.seed ?? 1;
        this.#session = this.#configured(undefined);
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

    #configured(snapshot: Buffer | undefined): Session {
        const { protocol, provider: name, tls, policy = {} } = this.#case;
        const provider = name === undefined ? undefined : Provider.named(name);
        const service = provider?.services.find((one) => one.protocol === protocol);
        const given = Object.entries(policy).map(([key, value]) => [camel(key), value ?? undefined]);
        const settings = {
            sessionMs: service?.sessionMs,
            endsWithToken: service?.endsWithToken,
            idleMs: service?.idleMs,
            connections: service?.connections,
            tokenLifetimeMs: provider?.tokenLifetimeMs,
            ...(Object.fromEntries(given) as SessionSettings),
        };
        return new Session(
            {
                protocol,
                user: "user@example.test",
                host: service?.host ?? "mail.example.test",
                port: service?.port,
                tls: service?.tls ?? tls,
                mechanisms: service?.mechanisms,
                initialResponse: service?.initialResponse,
                assumedCapabilities: service?.assumedCapabilities,
            },
            { seed: BigInt(this.#seed), policy: settings, snapshot, nowMs: this.#nowMs },
        );
    }

    #step(index: number, step: SessionStep, cut: Cut): void {
        this.#nowMs = step.at === "wake" ? (this.#wakeAtMs ?? this.#nowMs) : (step.at ?? this.#nowMs);
        let plans: Plan[];
        try {
            plans = [...this.#told(index, step, cut)];
        } catch (error) {
            if (!(error instanceof Misuse)) {
                throw error;
            }
            if (step.misuse !== true) {
                throw new CaseFailed(`a misuse: ${error.message}`);
            }
            return;
        }
        if (step.misuse === true) {
            throw new CaseFailed("expected a misuse, came none");
        }
        const actions = plans.flatMap((plan) => plan.actions);
        expectSame("the orders", step.orders ?? [], actions.map(spelled));
        for (const action of actions) {
            this.#ticket = action.kind === "connect" ? action.ticket : this.#ticket;
            this.#request = action.kind === "fetch_token" ? action.request : this.#request;
        }
        const last = plans.at(-1);
        if (last !== undefined) {
            this.#wakeAtMs = last.wakeAtMs;
            this.#checkWake(step);
        }
        if (step.phase !== undefined) {
            expectSame("the phase", step.phase, this.#session.status().phase);
        }
        if (step.resumed !== undefined) {
            const online = actions.find((action) => action.kind === "online");
            expectSame("to resume", step.resumed, online === undefined ? "no session" : asJson(online.resumed));
        }
    }

    #checkWake(step: SessionStep): void {
        const wait = this.#wakeAtMs === undefined ? undefined : this.#wakeAtMs - this.#nowMs;
        if (wait !== undefined && wait <= 0) {
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

    /** Tells the session what the step says; what it planned. */
    *#told(index: number, step: SessionStep, cut: Cut): Iterable<Plan> {
        const [session, now] = [this.#session, this.#nowMs];
        const [ticket, request] = [step.ticket ?? this.#ticket, step.request ?? this.#request];
        if (step.server !== undefined) {
            for (const piece of deal(Buffer.from(step.server, "latin1"), step, index, cut)) {
                yield session.receive(now, ticket, piece);
            }
        } else if (step.sent !== undefined) {
            session.sent(ticket, Buffer.from(step.sent, "latin1"));
        } else if (step.restart) {
            this.#seed += 1;
            this.#session = this.#configured(session.snapshot());
            yield this.#session.tick(now);
        } else if (step.token !== undefined) {
            yield session.token(now, request, step.token, step.lives_ms);
        } else if (step.token_failed !== undefined) {
            yield session.tokenFailed(now, request, step.token_failed);
        } else if (step.tls === "established") {
            yield session.tlsEstablished(now, ticket);
        } else if (step.closed) {
            yield session.ended(now, ticket, { lastLine: step.last_line, cause: step.cause });
        } else if (step.refused !== undefined) {
            yield session.refused(now, ticket, step.refused);
        } else if (step.line !== undefined) {
            yield session.line(now, ticket, step.line);
        } else {
            yield this.#toldByName(step, ticket);
        }
    }

    #toldByName(step: SessionStep, ticket: number): Plan {
        const simple = (["start", "stop", "tick", "woke"] as const).find((name) => step[name]);
        if (simple !== undefined) {
            return this.#session[simple](this.#nowMs);
        }
        const ofTicket = (["connected", "authenticated", "drained"] as const).find((name) => step[name]);
        if (ofTicket === undefined) {
            throw new CaseFailed(`a step that is not known: ${JSON.stringify(step)}`);
        }
        return this.#session[ofTicket](this.#nowMs, ticket);
    }
}

/** An order in the words of the case files. */
function spelled(action: Action): string {
    switch (action.kind) {
        case "fetch_token":
            return `fetch_token ${action.why}${action.forceRefresh ? " forced" : ""}`;
        case "connect":
            return `connect ${action.attempt}`;
        case "send":
            return action.sensitive ? "send token" : "send";
        case "start_tls":
            return "start_tls";
        case "online":
            return `online ${action.generation}`;
        case "renew":
            return `renew ${action.why}`;
        case "close":
            return `close ${action.cause}`;
        case "needs_user":
        case "give_up":
            return `${action.kind} ${action.failure.cause}`;
    }
}

function asJson(resumed: Aftermath | undefined): object | null {
    switch (resumed?.protocol) {
        case undefined:
            return null;
        case "imap":
            return { selected: resumed.selected?.name ?? null, idling: resumed.idling, unanswered: resumed.unanswered };
        case "pop3":
            return { uncommitted_deletes: resumed.uncommittedDeletes };
        case "smtp":
            return { submission: resumed.submission };
    }
}

/** Compares values of JSON, whatever the order of their keys. */
function expectSame(what: string, expected: unknown, actual: unknown): void {
    if (canonical(expected) !== canonical(actual)) {
        throw new CaseFailed(`expected ${what} ${JSON.stringify(expected)}, came ${JSON.stringify(actual)}`);
    }
}

function canonical(value: unknown): string {
    const sorted = (_: string, one: unknown) =>
        typeof one === "object" && one !== null && !Array.isArray(one)
            ? Object.fromEntries(Object.entries(one).sort())
            : one;
    return JSON.stringify(value, sorted);
}

function camel(name: string): string {
    return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
