/**
 * Turns what becomes of connections and tokens into facts for an {@link AccountMachine}, carries out its orders, and shows
 * its deliveries to the program. It decides nothing.
 */
import { onAbort } from "./abort";
import { noTokenOf } from "./answers";
import { tellEvent, tracerFor, type WatchOptions } from "./audience";
import type { AccessToken, AccountMachine, AccountPlan, Delivery, Order } from "./core";
import { GaveUp, type LoginFailed, Misuse, NeedsUser } from "./errors";
import { eventOf, happened, OwnErrors, type SessionEvent } from "./events";
import { hinted } from "./tokens";
import { Alarm, type DriverOptions, type Given, type Held, type Member, type Waiter, type Wire } from "./world";

/** Tells the machine; gives nothing where there was nothing to tell any more. */
type Fact = (nowMs: number) => AccountPlan | undefined;
type Ordered<Kind> = Extract<Order, { kind: Kind }>;
type Delivered<Kind> = Extract<Delivery, { kind: Kind }>;

const RAISED = { needs_user: NeedsUser, gave_up: GaveUp };

export class Driver<W extends Wire> {
    readonly machine: AccountMachine;
    readonly #options: DriverOptions<W>;
    readonly #sessions = new Map<number, Member>();
    readonly #wires = new Map<number, W>();
    readonly #held = new Map<number, Held>();
    readonly #waiters = new Map<number, Waiter<W>>();
    readonly #errors = new OwnErrors();
    readonly #facts: Array<{ fact: Fact; failed: (error: unknown) => void }> = [];
    readonly #alarm: Alarm;
    #isTelling = false;
    #crash: { error: unknown } | undefined;
    #tokenCall: AbortController | undefined;
    /** The newest one, for who looks on at a login. */
    #token: AccessToken | undefined;

    constructor(options: DriverOptions<W>) {
        this.machine = options.machine;
        this.#options = options;
        this.#alarm = new Alarm(options.world, (sleptMs) =>
            this.tell((now) => (sleptMs > 0 ? this.machine.slept(now, sleptMs) : this.machine.tick(now))),
        );
    }

    // ---- For the program --------------------------------------------------------------------------------------------

    /** A session that was added to the machine. */
    add(session: number, member: Member): void {
        this.#sessions.set(session, member);
        const { discovered, endpoint } = member.settings;
        if (discovered !== undefined) {
            const { user } = this.#options;
            const { protocol } = endpoint;
            this.#show(happened({ kind: "discovered", user, protocol, session, text: discovered.sentence }), member);
        }
    }

    /** The next connection of a session; nothing once that is closed. The signal ends the wait, and nothing else. */
    async next<T extends Held>(session: number, make: (given: Given, wire: W) => T, signal?: AbortSignal) {
        if (this.#crash !== undefined) {
            throw this.#crash.error;
        }
        let stay = (): void => undefined;
        try {
            return (await new Promise<Held | undefined>((resolve, reject) => {
                const waiter = { make, resolve, reject };
                const leave = (now: number) => this.#noLonger(now, session, waiter, signal?.reason);
                stay = onAbort(signal, () => this.tell(leave));
                this.tell((now) => {
                    const plan = this.machine.want(now, session);
                    this.#waiters.set(session, waiter);
                    return plan;
                }, reject);
            })) as T | undefined;
        } finally {
            stay();
        }
    }

    #noLonger(now: number, session: number, waiter: Waiter<W>, reason: unknown): AccountPlan | undefined {
        if (this.#waiters.get(session) !== waiter) {
            return undefined;
        }
        this.#answered(session)?.reject(reason);
        return this.machine.noLonger(now, session);
    }

    /** The program is done with a connection, and its socket is closed. */
    letGo(ticket: number): void {
        this.tell((now) => (this.#held.delete(ticket) ? this.machine.letGo(now, ticket) : undefined));
    }

    /** Ends one session. */
    remove(session: number): void {
        this.tell((now) => (this.#sessions.delete(session) ? this.machine.remove(now, session) : undefined));
    }

    /** Ends all. */
    close(): void {
        this.tell((now) => this.machine.close(now));
        this.#tokenCall?.abort();
    }

    // ---- Facts in, orders and deliveries out ------------------------------------------------------------------------

    /** Tells the machine a fact. What comes of it is carried out and shown before the next one is told. */
    tell(fact: Fact, failed = this.#broke): void {
        this.#facts.push({ fact, failed });
        if (this.#isTelling) {
            return;
        }
        this.#isTelling = true;
        for (let next = this.#facts.shift(); next !== undefined; next = this.#facts.shift()) {
            try {
                const plan = next.fact(this.#options.world.nowMs());
                plan?.orders.forEach((order) => this.carryOut(order));
                plan?.deliveries.forEach((delivery) => this.deliver(delivery));
                this.#alarm.set(plan, this.#waiters.size + this.#held.size + this.#wires.size > 0);
            } catch (error) {
                next.failed(error);
            }
        }
        this.#isTelling = false;
    }

    carryOut(order: Order): void {
        switch (order.kind) {
            case "fetch_token":
                return void this.fetchToken(order);
            case "open":
                return this.open(order);
            case "start_tls":
                return this.#wires.get(order.ticket)?.startTls();
            case "send":
                return this.#wires.get(order.ticket)?.send(order.bytes, order.sensitive);
            case "pause":
                return this.#wires.get(order.ticket)?.pause();
            case "keep_alive":
            case "probe":
                return this.#held.get(order.ticket)?.ask();
            case "close":
                return this.#drop(order.ticket);
        }
    }

    deliver(delivery: Delivery): void {
        switch (delivery.kind) {
            case "give":
                return this.give(delivery);
            case "raise":
                return this.raise(delivery);
            case "end":
                return this.#answered(delivery.session)?.resolve(undefined);
            case "renew":
                return this.#held.get(delivery.ticket)?.renew(delivery.byMs);
            case "over":
                return this.over(delivery);
            case "event":
                return this.event(delivery);
        }
    }

    /** A bug of ours: whoever waits for a connection gets it, for from the event loop nobody could catch it. */
    readonly #broke = (error: unknown): void => {
        this.#crash = { error };
        [...this.#waiters.keys()].forEach((session) => this.#answered(session)?.reject(error));
    };

    // ---- Orders -----------------------------------------------------------------------------------------------------

    async fetchToken({ request, force, refused }: Ordered<"fetch_token">): Promise<void> {
        // A newer request takes the place of an older one.
        this.#tokenCall?.abort();
        const { signal } = (this.#tokenCall = new AbortController());
        const { machine } = this;
        let answer: Fact;
        try {
            const { token, expiresInMs } = await this.#options.source().get(force, signal, refused);
            answer = (now) => {
                this.#token = token;
                return machine.token(now, request, token, expiresInMs);
            };
        } catch (error) {
            const { why, text, own } = noTokenOf(error);
            this.#errors.noteSource(request, own);
            answer = (now) => machine.noToken(now, request, why, machine.redact(text));
        }
        this.tell((now) => (signal.aborted ? undefined : answer(now)));
    }

    open({ ticket, session }: Ordered<"open">): void {
        const member = this.#sessions.get(session) as Member;
        const { protocol, host } = member.settings.endpoint;
        const dialogue = { user: this.#options.user, protocol, host, session, ticket };
        const tracer = tracerFor(this.#watchers(member), dialogue, this.#token, this.#redact);
        const reports = {
            opened: () => this.tell((now) => this.machine.opened(now, ticket)),
            secured: () => this.tell((now) => this.machine.secured(now, ticket)),
            received: (data: Uint8Array) => this.received(ticket, data),
            ended: (problem?: LoginFailed) => this.ended(ticket, problem),
        };
        this.#wires.set(ticket, this.#options.world.open(member.settings, reports, tracer));
    }

    /** One that the program has is closed by its `over`, which says why. */
    #drop(ticket: number): void {
        this.#wires.get(ticket)?.close();
        this.#wires.delete(ticket);
    }

    /** Gives the number of octets of message content that come next, and need not be shown. */
    received(ticket: number, data: Uint8Array): number {
        let plan: AccountPlan | undefined;
        this.tell((now) => (plan = this.machine.receive(now, ticket, data)));
        return plan?.skip ?? 0;
    }

    ended(ticket: number, problem?: LoginFailed): void {
        this.#errors.note(ticket, problem?.cause);
        this.tell((now) => this.machine.ended(now, ticket, problem?.failure));
        this.#wires.delete(ticket);
    }

    // ---- Deliveries -------------------------------------------------------------------------------------------------

    give(given: Given): void {
        const wire = this.#wires.get(given.ticket) as W;
        this.#wires.delete(given.ticket);
        const waiter = this.#answered(given.session) as Waiter<W>;
        const connection = waiter.make(given, wire);
        this.#held.set(given.ticket, connection);
        waiter.resolve(connection);
    }

    raise({ session, what, failure, ticket, request }: Delivered<"raise">): void {
        const cause = this.#errors.of(ticket, request);
        const told = hinted(failure, this.#options.source());
        const error = what === "mistake" ? new Misuse(told.sentence, { cause }) : new RAISED[what](told, { cause });
        this.#answered(session)?.reject(error);
    }

    over({ ticket, verdict, aftermath }: Delivered<"over">): void {
        const connection = this.#held.get(ticket);
        this.#held.delete(ticket);
        connection?.over(verdict, aftermath, this.#errors.of(ticket, undefined));
    }

    event(event: Delivered<"event">): void {
        const member = this.#sessions.get(event.session ?? 0);
        const { protocol } = member?.settings.endpoint ?? {};
        this.#show(eventOf(event, this.#options.user, protocol, this.#errors), member);
    }

    #show(event: SessionEvent, member: Member | undefined): void {
        tellEvent(this.#watchers(member), event, this.#redact);
    }

    /** Who looks on at the account, and at this session of it. */
    #watchers(member: Member | undefined): WatchOptions[] {
        return [this.#options.watch, ...(member === undefined ? [] : [member.watch])];
    }

    readonly #redact = (text: string): string => this.machine.redact(text);

    #answered(session: number): Waiter<W> | undefined {
        const waiter = this.#waiters.get(session);
        this.#waiters.delete(session);
        return waiter;
    }
}
