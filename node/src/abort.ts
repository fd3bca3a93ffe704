/** AbortSignals with many who listen. */

/** Who listens to a signal: to it, that is one, or Node would warn of a leak where a thousand accounts share a signal. */
const listening = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls once the signal is aborted; what it gives takes that back. */
export function onAbort(signal: AbortSignal | undefined, call: () => void): () => void {
    if (signal === undefined) {
        return () => undefined;
    }
    const calls = listening.get(signal) ?? listenedTo(signal);
    calls.add(call);
    return () => void calls.delete(call);
}

function listenedTo(signal: AbortSignal): Set<() => void> {
    const calls = new Set<() => void>();
    listening.set(signal, calls);
    signal.addEventListener("abort", () => [...calls].forEach((call) => call()), { once: true });
    return calls;
}
