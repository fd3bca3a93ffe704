/** What a driver needs of the system, and what it gives to the program: Node's own, or another one in tests. */
import type { WatchOptions } from "./audience";
import type { AccountMachine, AccountPlan, Aftermath, Delivery, Verdict } from "./core";
import type { LoginFailed } from "./errors";
import type { Settings } from "./settings";
import type { Source } from "./tokens";
import type { Tracer } from "./trace";

/** What a connection tells of itself. */
export interface Reports {
    opened(): void;
    secured(): void;
    /** Octets that one read brought: gives the number of octets of message content that come next, and need not be told. */
    received(data: Uint8Array): number;
    /** The end, with what the host itself saw of it. */
    ended(problem?: LoginFailed): void;
}

/** A connection on its way. */
export interface Wire {
    startTls(): void;
    send(bytes: Uint8Array, sensitive: boolean): void;
    /** Reads no more: what comes next is the mail client's. */
    pause(): void;
    close(): void;
}

/** Sockets and clocks. */
export interface World<W extends Wire> {
    /** Milliseconds of a clock that goes on while the machine sleeps. */
    nowMs(): number;
    /** Milliseconds since 1970. */
    wallMs(): number;
    /** Milliseconds that the machine slept since the last call. */
    slept(): number;
    /** Calls back at this time, or earlier; what it gives takes that back. Only what is `busy` keeps the process alive. */
    wakeAt(atMs: number | undefined, busy: boolean, call: () => void): () => void;
    open(settings: Settings, reports: Reports, tracer?: Tracer): W;
}

/** What a driver is made of. */
export interface DriverOptions<W extends Wire> {
    readonly world: World<W>;
    readonly machine: AccountMachine;
    readonly user: string;
    readonly source: () => Source;
    readonly watch: WatchOptions;
}

/** A session, as its driver knows it. */
export interface Member {
    readonly settings: Settings;
    readonly watch: WatchOptions;
}

/** A connection for the program. */
export type Given = Extract<Delivery, { kind: "give" }>;

/** A connection that the program has, as its driver sees it. */
export interface Held {
    /** It is to be let go by then. */
    renew(byMs: number): void;
    /** It has ended; with what the system threw, where it did. */
    over(verdict: Verdict, aftermath: Aftermath | undefined, error: unknown): void;
    /** Lets the mail client say something harmless, if it can. */
    ask(): void;
}

/** Somebody who waits for a connection. */
export interface Waiter<W> {
    make(given: Given, wire: W): Held;
    resolve(connection: Held | undefined): void;
    reject(error: unknown): void;
}

/** Rings when the machine wants to be woken, with the milliseconds that the computer slept. */
export class Alarm {
    readonly #world: Pick<World<Wire>, "wakeAt" | "slept">;
    readonly #ring: (sleptMs: number) => void;
    #stop = (): void => undefined;
    #atMs: number | undefined;
    #isBusy = false;

    constructor(world: Pick<World<Wire>, "wakeAt" | "slept">, ring: (sleptMs: number) => void) {
        this.#world = world;
        this.#ring = ring;
    }

    /** As the newest plan says. Most reads of a connection change nothing: a timer costs more than they do. */
    set(plan: AccountPlan | undefined, isBusy: boolean): void {
        const atMs = plan === undefined ? this.#atMs : plan.wakeAtMs;
        if (atMs !== this.#atMs || isBusy !== this.#isBusy) {
            [this.#atMs, this.#isBusy] = [atMs, isBusy];
            this.#start();
        }
    }

    #start(): void {
        this.#stop();
        this.#stop = this.#world.wakeAt(this.#atMs, this.#isBusy, () => {
            // It may come early: then it is set again, whatever the machine says.
            this.#start();
            this.#ring(this.#world.slept());
        });
    }
}
