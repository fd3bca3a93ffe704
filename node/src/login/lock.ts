/** One at a time, whatever processes, and whatever languages: the system's own lock of a file. */
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { TokenSourceFailed } from "../errors";
import { native } from "../native";
import { makeFolder } from "./folder";

/** How long it is slept between two looks, at random up to this: the system has no lock that can be given up while one waits. */
const LOOK_MS = 40;
/** A refresh may take half a minute, and another before it. */
const PATIENCE_MS = 90_000;

/** The last who waits in this process, by file: here nobody has to look. */
const lines = new Map<string, Promise<void>>();

/** Does some work while no other process and nobody else in this one holds the lock. It ends with the process, if that is killed. */
export async function withLock<T>(path: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const before = lines.get(path);
    const mine = (async () => {
        await before;
        return holding(path, signal, work);
    })();
    const over = mine.then(
        () => undefined,
        () => undefined,
    );
    lines.set(path, over);
    void over.then(() => (lines.get(path) === over ? lines.delete(path) : undefined));
    return mine;
}

async function holding<T>(path: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    signal?.throwIfAborted();
    await makeFolder(dirname(path));
    const lock = await acquired(path, signal);
    try {
        signal?.throwIfAborted();
        return await work();
    } finally {
        lock.release();
    }
}

async function acquired(path: string, signal: AbortSignal | undefined): Promise<native.NativeFileLock> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
        const lock = await attempt(path);
        if (lock !== null) {
            return lock;
        }
        if (performance.now() > deadline) {
            throw new TokenSourceFailed(`another program has held ${path} for ${PATIENCE_MS / 1000} seconds`);
        }
        await delay(Math.random() * LOOK_MS, undefined, signal === undefined ? {} : { signal });
    }
}

async function attempt(path: string): Promise<native.NativeFileLock | null> {
    try {
        return (await native.NativeFileLock.tryLock(path)) as native.NativeFileLock | null;
    } catch (error) {
        throw new TokenSourceFailed(`${path} cannot be locked: ${(error as Error).message}`, { cause: error });
    }
}
