/** A clock that goes on while the machine sleeps, and a way to notice that it slept. */
import * as os from "node:os";

/** Milliseconds that the machine was seen to sleep: Node's own clock stops meanwhile on some systems. */
let sleptMs = 0;

/** Milliseconds of a clock that goes on while the machine sleeps, and never runs backwards. */
export function nowMs(): number {
    return Math.floor(performance.now() + sleptMs);
}

/** Longest time between two looks, so that sleep is noticed soon after. */
export const LOOK_MS = 30_000;
const SLEPT_MS = 5_000;
/** Stopped, and not only busy: as with SIGSTOP, or a container that is frozen. */
const STOPPED_MS = 60_000;

/** Notices that the machine slept between two looks. */
export class Sleep {
    // The system's time since its start counts sleep, on every system; but not exactly.
    #bootMs = os.uptime() * 1000;
    #awakeMs = performance.now();
    #sleptMs = sleptMs;

    /** Milliseconds that the machine slept since the last look. */
    look(): number {
        const [bootMs, awakeMs] = [os.uptime() * 1000, performance.now()];
        const awake = awakeMs - this.#awakeMs;
        const asleep = bootMs - this.#bootMs - awake;
        // Another session may have noticed first.
        const noticed = sleptMs - this.#sleptMs;
        if (asleep - noticed > SLEPT_MS) {
            sleptMs += asleep - noticed;
        }
        [this.#bootMs, this.#awakeMs, this.#sleptMs] = [bootMs, awakeMs, sleptMs];
        const stopped = awake > LOOK_MS + STOPPED_MS ? awake - LOOK_MS : 0;
        return Math.floor(Math.max(asleep > SLEPT_MS ? asleep : 0, stopped));
    }
}
