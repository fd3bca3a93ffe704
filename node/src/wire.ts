/** Node's sockets and clocks, for a driver. */
import { LOOK_MS, nowMs, Sleep } from "./clock";
import { LoginFailed } from "./errors";
import { Link } from "./link";
import type { Settings } from "./settings";
import { connectFailure } from "./system";
import type { Tracer } from "./trace";
import type { Reports, Wire, World } from "./world";

/** A socket on its way to be logged in. */
export class LinkWire implements Wire {
    readonly link: Link;
    readonly #reports: Reports;
    #isPaused = false;
    #isUpgrading = false;
    #isOver = false;

    constructor(settings: Settings, reports: Reports, tracer?: Tracer) {
        this.link = new Link(settings, tracer);
        this.#reports = reports;
        void this.#serve().catch((error: unknown) => this.#ended(error));
    }

    startTls(): void {
        this.#isUpgrading = true;
    }

    send(bytes: Uint8Array, sensitive: boolean): void {
        this.link.write(bytes, sensitive);
    }

    pause(): void {
        this.#isPaused = true;
        this.link.tracer?.flush();
        this.link.pause();
    }

    close(): void {
        this.#isOver = true;
        this.link.abort();
    }

    /** Opens it, reads, and does what it was told meanwhile, until it is paused or ends. */
    async #serve(): Promise<void> {
        await this.link.open();
        this.#tell((reports) => reports.opened());
        while (!this.#isPaused && !this.#isOver) {
            if (this.#isUpgrading) {
                this.#isUpgrading = false;
                await this.#upgrade();
            } else {
                const data = await this.link.read();
                if (data === undefined) {
                    this.#ended(undefined);
                } else {
                    this.#tell((reports) => reports.received(data));
                }
            }
        }
        if (!this.#isOver && (await this.link.gone())) {
            this.#ended(undefined);
        }
    }

    async #upgrade(): Promise<void> {
        // Behind the reply that starts TLS nothing may come in the clear.
        const injected = this.link.take();
        if (injected !== undefined) {
            this.#tell((reports) => reports.received(injected));
            return;
        }
        await this.link.startTls();
        this.#tell((reports) => reports.secured());
    }

    #ended(error: unknown): void {
        const isTold = error === undefined || error instanceof LoginFailed;
        this.link.tracer?.flush();
        const problem = isTold ? error : new LoginFailed(connectFailure(error as Error), { cause: error });
        this.#tell((reports) => reports.ended(problem));
        this.close();
    }

    #tell(tell: (reports: Reports) => void): void {
        if (!this.#isOver) {
            tell(this.#reports);
        }
    }
}

/** Makes what a driver needs of Node. */
export function realWorld(): World<LinkWire> {
    const sleep = new Sleep();
    let isLooking = false;
    return {
        nowMs,
        wallMs: () => Date.now(),
        slept: () => sleep.look(),
        wakeAt(atMs, isBusy, call) {
            if (atMs === undefined && !isBusy) {
                isLooking = false;
                return () => undefined;
            }
            if (!isLooking) {
                // Nobody looked for long, which is no sleep.
                sleep.look();
                isLooking = true;
            }
            // Also where nothing is due: sleep of the machine is to be noticed.
            const timer = setTimeout(call, Math.min(LOOK_MS, Math.max(0, (atMs ?? Infinity) - nowMs())));
            if (!isBusy) {
                timer.unref();
            }
            return () => clearTimeout(timer);
        },
        open: (settings, reports, tracer) => new LinkWire(settings, reports, tracer),
    };
}
