/** Waits for conditions, never for times. */
import assert from "node:assert/strict";
import type { Server } from "mailbearer/testing";
import { setTimeout as sleep } from "node:timers/promises";

/** Generous: it is reached only where something is wrong. */
const DEADLINE_MS = 20_000;

export async function until(what: string, isSo: () => boolean): Promise<void> {
    const deadline = performance.now() + DEADLINE_MS;
    while (!isSo()) {
        assert.ok(performance.now() < deadline, `waited in vain: ${what}`);
        await sleep(5);
    }
}

/** How often something happened at a server, in all. */
export class Counted {
    readonly #server: Server;
    readonly #counts = new Map<string, number>();

    constructor(server: Server) {
        this.#server = server;
    }

    of(what: string): number {
        for (const event of this.#server.events()) {
            this.#counts.set(event.what, (this.#counts.get(event.what) ?? 0) + 1);
        }
        return this.#counts.get(what) ?? 0;
    }
}

/** The error with which something rejects. */
export async function rejection<T extends Error>(
    kind: abstract new (...args: never[]) => T,
    work: Promise<unknown>,
): Promise<T> {
    try {
        await work;
    } catch (error) {
        assert.ok(error instanceof kind, `expected ${kind.name}, came ${String(error)}`);
        return error;
    }
    return assert.fail(`expected ${kind.name}, came nothing`);
}
