/**
 * Plays a case of the kind `account` through the driver that programs use, on connections, a clock and a token source that are
 * made up: what it is ordered to do is what it does, and what the program sees is what the case says.
 */
import {
    AccessToken,
    type AccountMachine,
    type Aftermath,
    LoginFailed,
    NeedsUser,
    Misuse,
    type Verdict,
} from "mailbearer";
import {
    type AccountCase,
    accountOf,
    type AccountStep,
    checkState,
    checkWake,
    expectSame,
    failureOf,
    joined,
    LOGINS,
    protocolOf,
} from "./account_cases.mjs";
import { Driver, type Given, type Held, NoToken, type Reports, type Wire, type World } from "./inside.mjs";
import { CaseFailed } from "./script.mjs";

type Settings = Parameters<World<Wire>["open"]>[0];
type Source = ReturnType<ConstructorParameters<typeof Driver>[0]["source"]>;
type Answer = Awaited<ReturnType<Source["get"]>>;

/** A token request that the source has not answered. */
interface Call {
    resolve(answer: Answer): void;
    reject(error: unknown): void;
}

/** What happened in a step, in the words of the case files. */
class Seen {
    orders: string[] = [];
    deliveries: string[] = [];
    events: string[] = [];
    sentences: string[] = [];
}

/** A connection that is made up. */
class Played {
    constructor(
        readonly session: number,
        readonly reports: Reports,
    ) {}
}

export class DriverPlayer {
    readonly #case: AccountCase;
    #seen = new Seen();
    #machine!: AccountMachine;
    #driver!: InstanceType<typeof Driver<Wire>>;
    #nowMs = 0;
    #wakeAtMs: number | undefined;
    #ring = (): void => undefined;
    #sleptMs = 0;
    #connections: Played[] = [];
    #calls: Call[] = [];
    readonly #cancels = new Map<number, AbortController>();
    readonly #wasGiven = new Set<number>();
    #given = 0;

    constructor(one: AccountCase) {
        this.#case = one;
        this.#begin(undefined, one.seed ?? 1);
    }

    /** Steps that a program of this driver cannot take, for it is checked before, are left out; how many were played. */
    async play(): Promise<number> {
        let played = 0;
        for (const [index, step] of this.#case.steps.entries()) {
            if (step.misuse === true) {
                continue;
            }
            try {
                await this.#step(step);
                played += 1;
            } catch (error) {
                throw error instanceof CaseFailed ? new CaseFailed(`step ${index + 1}: ${error.message}`) : error;
            }
        }
        return played;
    }

    #begin(snapshot: Buffer | undefined, seed: number): void {
        [this.#connections, this.#calls, this.#wakeAtMs] = [[], [], undefined];
        this.#wasGiven.clear();
        this.#machine = accountOf(this.#case, seed, this.#nowMs, snapshot);
        this.#driver = new Driver<Wire>({
            world: this.#world(),
            machine: this.#machine,
            user: "user@example.test",
            source: () => this.#source(),
            watch: {
                onEvent: ({ kind, session, cause }) => void this.#seen.events.push(joined([kind, session, cause])),
            },
        });
        this.#case.sessions.forEach((session, at) => {
            const endpoint = { protocol: protocolOf(session) };
            // Its name is all that this world needs to know.
            const settings = { user: String(at + 1), endpoint } as Settings;
            this.#driver.add(at + 1, { settings, watch: {} });
        });
    }

    #world(): World<Wire> {
        return {
            nowMs: () => this.#nowMs,
            wallMs: () => this.#nowMs,
            slept: () => {
                const sleptMs = this.#sleptMs;
                this.#sleptMs = 0;
                return sleptMs;
            },
            wakeAt: (atMs, _, call) => {
                [this.#wakeAtMs, this.#ring] = [atMs, call];
                return () => undefined;
            },
            open: (settings, reports) => this.#open(Number(settings.user), reports),
        };
    }

    #open(session: number, reports: Reports): Wire {
        const ticket = this.#connections.push(new Played(session, reports));
        const order = (words: string): void => void this.#seen.orders.push(words);
        order(`open ${session}`);
        return {
            startTls: () => order("start_tls"),
            send: (_, sensitive) => order(sensitive ? "send token" : "send"),
            pause: () => order(`pause ${ticket}`),
            close: () => order(`close ${ticket}`),
        };
    }

    #source(): Source {
        return {
            canRefresh: true,
            get: (force, _, refused) => {
                this.#seen.orders.push(`fetch_token${force ? " forced" : ""}${force && refused ? " refused" : ""}`);
                return new Promise((resolve, reject) => this.#calls.push({ resolve, reject }));
            },
        };
    }

    async #step(step: AccountStep): Promise<void> {
        this.#seen = new Seen();
        this.#nowMs = step.at === "wake" ? (this.#wakeAtMs ?? this.#nowMs) : (step.at ?? this.#nowMs);
        this.#do(step);
        // What was promised is kept.
        await new Promise((resolve) => setImmediate(resolve));
        const { orders, deliveries, events, sentences } = this.#seen;
        expectSame(
            "orders",
            (step.orders ?? []).map(seenOrder).filter((one) => !this.#isOfProgram(one)),
            orders,
        );
        expectSame("deliveries", [...(step.deliveries ?? [])].map(seenDelivery).sort(), deliveries.sort());
        if (step.events !== undefined) {
            expectSame("events", step.events, events);
        }
        checkState(step, this.#machine, sentences);
        checkWake(step, this.#wakeAtMs, this.#nowMs, true);
    }

    /** A connection that was given is closed by whoever has it: with the word that it is over, or before it is let go. */
    #isOfProgram(order: string): boolean {
        const [what, ticket] = order.split(" ");
        return what === "close" && this.#wasGiven.has(Number(ticket));
    }

    #do(step: AccountStep): void {
        const driver = this.#driver;
        const ticket = step.ticket ?? this.#connections.length;
        const given = step.ticket ?? this.#given;
        const { reports, session } = this.#connections[ticket - 1] ?? new Played(0, {} as Reports);
        if (step.want !== undefined) {
            this.#want(step.want);
        } else if (step.no_longer !== undefined) {
            this.#cancels.get(step.no_longer)?.abort(new Error("no longer"));
        } else if (step.remove !== undefined) {
            driver.remove(step.remove);
        } else if (step.let_go) {
            driver.letGo(given);
        } else if (step.close) {
            driver.close();
        } else if (step.retry) {
            driver.tell((now) => this.#machine.retry(now));
        } else if (step.network !== undefined) {
            const word = step.network === "lost" ? "networkLost" : "networkBack";
            driver.tell((now) => this.#machine[word](now));
        } else if (step.slept !== undefined || step.tick) {
            this.#sleptMs = step.slept ?? 0;
            this.#ring();
        } else if (step.opened) {
            reports.opened();
        } else if (step.secured) {
            reports.secured();
        } else if (step.answered) {
            driver.tell((now) => this.#machine.answered(now, given));
        } else if (step.ended) {
            const seen = failureOf(step.problem);
            reports.ended(seen && new LoginFailed(seen));
        } else if (step.token !== undefined || step.no_token !== undefined) {
            this.#answer(step);
        } else if (step.server !== undefined) {
            const { reports: heard } = this.#connections[(step.ticket ?? Math.max(ticket, given)) - 1] as Played;
            heard.received(Buffer.from(step.server, "latin1"));
        } else if (step.sent !== undefined) {
            this.#machine.sent(given, Buffer.from(step.sent, "latin1"));
        } else if (step.logs_in) {
            reports.opened();
            const protocol = protocolOf(this.#case.sessions[session - 1] ?? "imap");
            LOGINS[protocol].forEach((line) => reports.received(Buffer.from(line)));
        } else if (step.restart !== undefined) {
            const snapshot = this.#machine.snapshot(this.#nowMs);
            this.#nowMs += step.restart;
            this.#begin(snapshot, (this.#case.seed ?? 1) + 1);
            this.#seen = new Seen();
            this.#driver.tell((now) => this.#machine.tick(now));
        } else {
            throw new CaseFailed(`a step that is not known: ${JSON.stringify(step)}`);
        }
    }

    #answer({ token, lives_ms: lives, no_token: why, text = "", request }: AccountStep): void {
        const call = this.#calls[(request ?? this.#calls.length) - 1];
        if (token !== undefined) {
            call?.resolve({ token: new AccessToken(token), expiresInMs: lives });
        } else if (why !== undefined) {
            call?.reject(new NoToken(why, text));
        }
    }

    /** Waits for a connection, as a program does. */
    #want(session: number): void {
        const leaving = new AbortController();
        this.#cancels.set(session, leaving);
        const make = (given: Given): Held => {
            this.#given = given.ticket;
            this.#wasGiven.add(given.ticket);
            this.#seen.deliveries.push(`give ${session} ${given.generation}`);
            return this.#held(given.ticket);
        };
        this.#driver.next(session, make, leaving.signal).then(
            (connection) => connection ?? this.#seen.deliveries.push(`end ${session}`),
            (error: unknown) => this.#raised(session, error, leaving.signal),
        );
    }

    #raised(session: number, error: unknown, signal: AbortSignal): void {
        if (signal.aborted) {
            return;
        }
        const isMistake = error instanceof Misuse;
        if (!isMistake && !(error instanceof LoginFailed)) {
            throw error;
        }
        const kind = isMistake ? "mistake" : error instanceof NeedsUser ? "needs_user" : "gave_up";
        this.#seen.sentences.push(error.message);
        this.#seen.deliveries.push(`raise ${session} ${kind} ${isMistake ? "token_unavailable" : error.code}`);
    }

    #held(ticket: number): Held {
        return {
            renew: () => void this.#seen.deliveries.push(`renew ${ticket}`),
            over: (verdict: Verdict, _: Aftermath | undefined) => {
                this.#seen.deliveries.push(`over ${ticket} ${verdict.cause}`);
            },
            ask: () => void this.#seen.orders.push(`ask ${ticket}`),
        };
    }
}

/** How the world sees an order. */
function seenOrder(order: string): string {
    const [what, one] = order.split(" ");
    switch (what) {
        case "open":
            return `open ${one}`;
        case "keep_alive":
        case "probe":
            return `ask ${one}`;
        default:
            return order;
    }
}

/** How the program sees a delivery: why it is to let go is for the events. */
function seenDelivery(delivery: string): string {
    const [what, one] = delivery.split(" ");
    return what === "renew" ? `renew ${one}` : delivery;
}
