/** Carries out the orders of a {@link Session}: a timer, one call of the token source, and the attempts under way. */
import { randomBytes } from "node:crypto";
import {
    type Action,
    type Aftermath,
    type Cause,
    failureOfHost,
    type MailProtocol,
    type Plan,
    Session,
    type Verdict,
    verdictOfHost,
} from "./core";
import { LOOK_MS, nowMs, Sleep } from "./clock";
import { GaveUp, LoginFailed, MailbearerError, NeedsUser, TokenSourceFailed } from "./errors";
import { failed, Link } from "./link";
import { sessionSettings, type SessionPolicy } from "./policy";
import type { Settings } from "./settings";
import { hinted, type Source } from "./tokens";

type EventKind =
    | "fetching_token"
    | "token_failed"
    | "connecting"
    | "login_failed"
    | "online"
    | "renewing"
    | "ended"
    | "waiting"
    | "needs_user"
    | "gave_up";

/** Something that happened to a session, for logs and metrics. It never carries a token. */
export interface SessionEvent {
    /** What happened. */
    readonly kind: EventKind;
    /** Whose session. */
    readonly protocol: MailProtocol;
    readonly user: string;
    /** The number of the connection attempt. */
    readonly ticket?: number;
    /** The number of the session that is online. */
    readonly generation?: number;
    /** Where something failed or ended. */
    readonly cause?: Cause;
    /** More, in words: why a token is asked for, or a sentence about the failure. */
    readonly text?: string;
    /** How many milliseconds it waits, or until it is to be let go. */
    readonly waitMs?: number;
}

export type OnEvent = (event: SessionEvent) => void;

type Online = Extract<Action, { kind: "online" }>;
type Order = Extract<Action, { kind: "send" | "start_tls" | "online" }>;

/** A connection that a session gave out, as its driver sees it. */
export interface Watched {
    readonly ticket: number;
    readonly isDue: boolean;
    /** Takes notice of the end. */
    end(verdict: Verdict, aftermath: Aftermath | undefined): void;
    /** Takes notice that it is to be let go. */
    renew(byMs: number): void;
    /** Closes its socket at once. */
    destroy(): void;
}

/** A connection on its way, and the orders for it. */
interface Attempt {
    readonly ticket: number;
    readonly link: Link;
    readonly orders: Order[];
    isOver: boolean;
}

export interface DriverOptions {
    settings: Settings;
    source: Source;
    policy: SessionPolicy;
    snapshot: Uint8Array | undefined;
    onEvent: OnEvent | undefined;
}

/** Gives out what the machine has brought online. */
export class Driver<T extends Watched> {
    readonly session: Session;
    readonly settings: Settings;
    readonly #source: Source;
    readonly #onEvent: OnEvent | undefined;
    readonly #make: (order: Online, link: Link) => T;
    readonly #attempts = new Map<number, Attempt>();
    readonly #online = new Map<number, T>();
    readonly #waiters = new Set<() => void>();
    readonly #sleep = new Sleep();
    readonly #letGo: number[] = [];
    #ready: T[] = [];
    #wakeAtMs: number | undefined;
    #timer: NodeJS.Timeout | undefined;
    #tokenCall: AbortController | undefined;
    #tokenProblem: MailbearerError | undefined;
    #hostProblem: LoginFailed | undefined;
    #failure: LoginFailed | undefined;
    #crash: unknown;
    #isRunning = false;
    isClosed = false;

    constructor(options: DriverOptions, make: (order: Online, link: Link) => T) {
        const { settings, snapshot } = options;
        const seed = randomBytes(8).readBigUInt64LE();
        const policy = sessionSettings(options.policy, settings);
        this.session = new Session(settings.login, { seed, policy, snapshot, nowMs: nowMs() });
        this.settings = settings;
        this.#source = options.source;
        this.#onEvent = options.onEvent;
        this.#make = make;
    }

    // ---- For the program --------------------------------------------------------------------------------------------

    /** The next connection; `undefined` once it is closed. */
    async next(): Promise<T | undefined> {
        this.#goOn();
        for (;;) {
            if (this.#crash !== undefined) {
                throw this.#crash;
            }
            if (this.#failure !== undefined) {
                throw this.#failure;
            }
            if (this.isClosed) {
                return undefined;
            }
            const connection = this.#ready.shift();
            if (connection === undefined) {
                await new Promise<void>((resolve) => this.#waiters.add(resolve));
            } else if (this.#online.has(connection.ticket)) {
                return connection;
            }
        }
    }

    /** Works towards a connection: the program waits for one. */
    #goOn(): void {
        if (this.isClosed) {
            return;
        }
        if (!this.#isRunning) {
            this.#isRunning = true;
            this.#failure = undefined;
            this.#tell((now) => this.session.start(now));
        }
        for (const ticket of this.#letGo.splice(0)) {
            this.#tell((now) => this.session.drained(now, ticket));
        }
        this.#setTimer();
    }

    /** The network has changed: the connection is not trusted, and made anew. */
    woke(): void {
        if (this.#isRunning && !this.isClosed) {
            this.#tell((now) => this.session.woke(now));
        }
    }

    /** Ends all, at once. */
    close(): void {
        if (this.isClosed) {
            return;
        }
        this.isClosed = true;
        clearTimeout(this.#timer);
        this.#carryOut(this.session.stop(nowMs()));
        this.#tokenCall?.abort();
        for (const connection of this.#online.values()) {
            connection.destroy();
        }
        this.#online.clear();
        this.#wakeAll();
    }

    // ---- What the connections report --------------------------------------------------------------------------------

    /** Octets from the server: gives the number of octets of content that come next, and need not be shown. */
    received(ticket: number, data: Uint8Array): number {
        try {
            const plan = this.session.receive(nowMs(), ticket, data);
            if (plan.actions.length > 0 || plan.wakeAtMs !== this.#wakeAtMs) {
                this.#carryOut(plan);
            }
            return plan.skip;
        } catch (error) {
            // The caller is the event loop, which nobody can catch from: whoever waits for a connection gets it.
            this.#crashed(error);
            return 0;
        }
    }

    /** Octets that the mail client wrote. */
    sent(ticket: number, data: Uint8Array): void {
        this.session.sent(ticket, data);
    }

    /** A connection that was online is gone. */
    lost(ticket: number, cause?: Cause): void {
        if (this.#online.has(ticket) && !this.isClosed) {
            const plan = this.session.ended(nowMs(), ticket, { cause });
            this.#endOnline(ticket, undefined);
            this.#carryOut(plan);
        }
    }

    /**
     * The program has let a connection go. The machine learns of it when the program asks for the next: one that goes no
     * further needs no other login.
     */
    letGo(ticket: number): void {
        if (this.#online.delete(ticket) && !this.isClosed) {
            this.#note("ended", { ticket, cause: "no_fault" });
            this.#letGo.push(ticket);
            this.#setTimer();
        }
    }

    // ---- Facts in, orders out ---------------------------------------------------------------------------------------

    /** Tells the machine a fact, and carries out what it orders. */
    #tell(answer: (nowMs: number) => Plan): void {
        this.#carryOut(answer(nowMs()));
    }

    #carryOut(plan: Plan): void {
        // Before the actions: an answer that one of them has at once brings a newer plan.
        const changed = plan.wakeAtMs !== this.#wakeAtMs;
        this.#wakeAtMs = plan.wakeAtMs;
        for (const action of plan.actions) {
            this.#obey(action);
        }
        const waits = plan.wakeReason === "back_off" || plan.wakeReason === "token_back_off";
        if (changed && waits && plan.wakeAtMs === this.#wakeAtMs) {
            this.#note("waiting", { text: plan.wakeReason, waitMs: Math.max(0, (plan.wakeAtMs ?? 0) - nowMs()) });
        }
        if (plan.actions.length > 0 || changed) {
            this.#wakeAll();
        }
    }

    #obey(action: Action): void {
        switch (action.kind) {
            case "fetch_token":
                this.#note("fetching_token", { text: action.why });
                void this.#guarded(this.#fetchToken(action.request, action.forceRefresh));
                break;
            case "connect":
                this.#hostProblem = undefined;
                this.#note("connecting", { ticket: action.ticket });
                void this.#guarded(this.#logIn(action.ticket));
                break;
            case "online":
                this.#note("online", { ticket: action.ticket, generation: action.generation });
                this.#attempts.get(action.ticket)?.orders.push(action);
                break;
            case "send":
            case "start_tls":
                this.#attempts.get(action.ticket)?.orders.push(action);
                break;
            case "renew":
                this.#note("renewing", {
                    ticket: action.ticket,
                    text: action.why,
                    waitMs: Math.max(0, action.byMs - nowMs()),
                });
                this.#online.get(action.ticket)?.renew(action.byMs);
                break;
            case "close":
                this.#close(action.ticket, action.cause);
                break;
            case "needs_user":
                this.#stop(new NeedsUser(...this.#why(action)), "needs_user");
                break;
            case "give_up":
                this.#stop(new GaveUp(...this.#why(action)), "gave_up");
                break;
        }
    }

    #close(ticket: number, cause: Cause): void {
        const attempt = this.#attempts.get(ticket);
        if (attempt === undefined) {
            this.#endOnline(ticket, cause);
            return;
        }
        attempt.isOver = true;
        attempt.link.abort(failed("cancelled", ""));
        this.#noteLoginFailed(ticket);
    }

    /** Takes a connection out that was online, and tells it why. */
    #endOnline(ticket: number, cause: Cause | undefined): void {
        const connection = this.#online.get(ticket);
        if (connection === undefined) {
            return;
        }
        this.#online.delete(ticket);
        const seen = this.session.status().lastEnding;
        // It was not let go in time, while its successor is online already.
        const told = cause === "no_fault" && connection.isDue ? "session_limit" : cause;
        const verdict =
            seen !== undefined && (told === undefined || told === seen.cause)
                ? seen
                : verdictOfHost(told ?? "session_ended");
        this.#note("ended", { ticket, cause: verdict.cause });
        connection.end(verdict, this.session.aftermath());
    }

    #noteLoginFailed(ticket: number): void {
        const failure = this.session.status().lastFailure;
        if (failure !== undefined) {
            this.#note("login_failed", { ticket, cause: failure.cause, text: failure.sentence });
        }
    }

    #why(action: Extract<Action, { kind: "needs_user" | "give_up" }>): ConstructorParameters<typeof LoginFailed> {
        const { failure } = action;
        if (failure.cause === "token_unavailable" && this.#tokenProblem !== undefined) {
            const { sentence } = failureOfHost(failure.cause, this.#tokenProblem.message);
            return [{ ...failure, sentence }, { cause: this.#tokenProblem }];
        }
        // What the host itself saw says more: which certificate, which address.
        const problem = this.#hostProblem?.code === failure.cause ? this.#hostProblem : undefined;
        return problem === undefined ? [hinted(failure, this.#source)] : [problem.failure, { cause: problem.cause }];
    }

    #stop(failure: LoginFailed, kind: "needs_user" | "gave_up"): void {
        this.#failure = failure;
        this.#isRunning = false;
        this.#note(kind, { cause: failure.code, text: failure.message });
    }

    #note(kind: EventKind, fields: Omit<Partial<SessionEvent>, "kind"> & { text?: string | undefined }): void {
        try {
            const { text, ...others } = fields;
            const told = text === undefined ? others : { ...others, text };
            this.#onEvent?.({ kind, protocol: this.settings.endpoint.protocol, user: this.settings.user, ...told });
        } catch (error) {
            // What only looks on must not end the session.
            process.emitWarning(`onEvent threw ${error instanceof Error ? error.name : "something"}, at ${kind}`, {
                type: "MailbearerWarning",
                detail: error instanceof Error ? (error.stack ?? "") : "",
            });
        }
    }

    // ---- Tokens -----------------------------------------------------------------------------------------------------

    async #fetchToken(request: number, forceRefresh: boolean): Promise<void> {
        // The machine gave up a call that is under way.
        this.#tokenCall?.abort();
        const call = (this.#tokenCall = new AbortController());
        let token;
        try {
            token = await this.#source.get(forceRefresh, call.signal);
        } catch (error) {
            if (call.signal.aborted) {
                return;
            }
            if (!(error instanceof MailbearerError)) {
                throw error;
            }
            this.#tokenFailed(request, error);
            return;
        }
        if (!call.signal.aborted && !this.isClosed) {
            this.#tell((now) => this.session.token(now, request, token.token, token.expiresInMs));
        }
    }

    #tokenFailed(request: number, error: MailbearerError): void {
        this.#tokenProblem = error;
        this.#note("token_failed", { text: error.message });
        // A token that is none, or a source that cannot be asked, does not get better.
        const permanent = error instanceof TokenSourceFailed ? error.permanent : true;
        this.#tell((now) => this.session.tokenFailed(now, request, permanent));
    }

    // ---- Attempts ---------------------------------------------------------------------------------------------------

    async #logIn(ticket: number): Promise<void> {
        const attempt: Attempt = { ticket, link: new Link(this.settings), orders: [], isOver: false };
        this.#attempts.set(ticket, attempt);
        try {
            await attempt.link.open();
            this.#report(attempt, (now) => this.session.connected(now, ticket));
            while (await this.#perform(attempt)) {
                const data = await attempt.link.read();
                if (data === undefined) {
                    this.#attemptEnded(attempt);
                } else {
                    this.#report(attempt, (now) => this.session.receive(now, ticket, data));
                }
            }
        } catch (error) {
            if (!(error instanceof LoginFailed)) {
                throw error;
            }
            this.#attemptEnded(attempt, error);
        } finally {
            this.#attempts.delete(ticket);
            if (!this.#online.has(ticket)) {
                attempt.link.abort();
            }
        }
    }

    /** Carries out the orders for this attempt; false when its login is over, in one way or the other. */
    async #perform(attempt: Attempt): Promise<boolean> {
        for (
            let order = attempt.orders.shift();
            order !== undefined && !attempt.isOver;
            order = attempt.orders.shift()
        ) {
            switch (order.kind) {
                case "send":
                    attempt.link.write(order.bytes, order.sensitive);
                    break;
                case "start_tls":
                    await this.#startTls(attempt);
                    break;
                case "online":
                    this.#handOver(attempt, order);
                    break;
            }
        }
        return !attempt.isOver;
    }

    async #startTls(attempt: Attempt): Promise<void> {
        const injected = attempt.link.take();
        if (injected !== undefined) {
            this.#report(attempt, (now) => this.session.receive(now, attempt.ticket, injected));
            return;
        }
        await attempt.link.startTls();
        this.#report(attempt, (now) => this.session.tlsEstablished(now, attempt.ticket));
    }

    #handOver(attempt: Attempt, order: Online): void {
        attempt.isOver = true;
        this.#attempts.delete(attempt.ticket);
        const connection = this.#make(order, attempt.link);
        this.#online.set(attempt.ticket, connection);
        this.#ready.push(connection);
        this.#wakeAll();
    }

    #report(attempt: Attempt, answer: (nowMs: number) => Plan): void {
        if (!attempt.isOver && !this.isClosed) {
            this.#tell(answer);
        }
    }

    /** An attempt found the end of its connection, or could not open it. */
    #attemptEnded(attempt: Attempt, problem?: LoginFailed): void {
        if (attempt.isOver || this.isClosed) {
            return;
        }
        attempt.isOver = true;
        const { ticket } = attempt;
        if (problem === undefined) {
            const plan = this.session.ended(nowMs(), ticket);
            this.#noteLoginFailed(ticket);
            this.#carryOut(plan);
            return;
        }
        this.#hostProblem = problem;
        this.#note("login_failed", { ticket, cause: problem.code, text: problem.message });
        this.#tell((now) => this.session.ended(now, ticket, { cause: problem.code }));
    }

    // ---- Time -------------------------------------------------------------------------------------------------------

    #wakeAll(): void {
        const waiting = [...this.#waiters];
        this.#waiters.clear();
        waiting.forEach((wake) => wake());
        this.#setTimer();
    }

    #setTimer(): void {
        clearTimeout(this.#timer);
        if (this.isClosed || !this.#isRunning || this.#letGo.length > 0) {
            return;
        }
        const left = this.#wakeAtMs === undefined ? LOOK_MS : Math.max(0, this.#wakeAtMs - nowMs());
        this.#timer = setTimeout(() => this.#tick(), Math.min(left, LOOK_MS));
    }

    #tick(): void {
        try {
            if (this.#sleep.happened()) {
                this.#tell((now) => this.session.woke(now));
            } else if (this.#wakeAtMs !== undefined && nowMs() >= this.#wakeAtMs) {
                this.#tell((now) => this.session.tick(now));
            }
        } catch (error) {
            this.#crashed(error);
        }
        this.#setTimer();
    }

    /** Nothing is lost that goes wrong in work of ours. */
    async #guarded(work: Promise<void>): Promise<void> {
        try {
            await work;
        } catch (error) {
            this.#crashed(error);
        }
    }

    #crashed(error: unknown): void {
        this.#crash = error;
        this.#wakeAll();
    }
}
