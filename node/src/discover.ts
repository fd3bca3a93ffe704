/** From a mail address to its servers: what is looked up, and what came of it. The core decides, this looks up. */
import { Discovered, DiscoveryMachine, type Lookup, type Trouble } from "./core";
import { ConfigError } from "./errors";
import { httpsOpener, LookupFailed, noResolver, type Opener, type Resolver, systemResolver } from "./lookups";
import { numeric } from "./native";
import { known, type OptionsOf, takes } from "./options";
import { hasRoute, refuseOpenSocket, ROUTE_OPTIONS, type RouteOptions, routeOptionsOf, routeTo } from "./route";
import { isToDiscover, type LoginOptions, type TlsOptions } from "./settings";

/**
 * The options of {@link discover}, with the way on which files are got over https. With a `proxy` or a `socket` DNS is not asked, for
 * that would be another way: give a `resolver` where it may be.
 */
export interface DiscoverOptions extends RouteOptions {
    /** Milliseconds for all of it; what has no answer then counts as not answered. Default: 15,000. */
    timeout?: number | undefined;
    /** Whom to trust over https: what `tls.createSecureContext` takes. */
    tlsOptions?: TlsOptions | undefined;
    /** What looks up DNS, in place of the system's resolver. */
    resolver?: Resolver | undefined;
    /** What does a GET, in place of node:https. */
    opener?: Opener | undefined;
    /** Ends it: it rejects with the reason of the signal. */
    signal?: AbortSignal | undefined;
}

const OPTIONS: OptionsOf<DiscoverOptions> = takes("discover", {
    timeout: "number",
    tlsOptions: "object",
    resolver: "object",
    opener: "function",
    signal: "signal",
    ...ROUTE_OPTIONS,
});

/**
 * Finds the servers of a mail address, and where their tokens come from.
 *
 *     const found = await discover("joe@company.example");
 *     console.log(found.sentence, found.service("imap")?.host);
 *
 * A domain that is built in is known at once. Else DNS is asked (MX and SRV), then the domain over https, and only where it
 * says nothing itself, Thunderbird's database, which hears the domain and nothing else. The local part of the address is told
 * to nobody. `docs/discovery.md` says in which order, and what is believed how far.
 *
 * It rejects with {@link ConfigError} where it is no mail address, or its domain has no name that DNS can be asked for. That
 * nothing was found is no error: see {@link Discovered}'s `outcome`.
 */
export async function discover(user: string, options: DiscoverOptions = {}): Promise<Discovered> {
    known(options, OPTIONS, "options of discover");
    const { timeout = 15_000, signal } = options;
    if (!(numeric(timeout, "timeout") > 0)) {
        throw new ConfigError("timeout must be a number of milliseconds above zero");
    }
    refuseOpenSocket(options, "discover");
    signal?.throwIfAborted();
    const search = new Search(new DiscoveryMachine(user), options, performance.now() + timeout);
    return search.run(timeout, signal);
}

/** One discovery. */
class Search {
    readonly #resolver: Resolver;
    readonly #opener: Opener;

    constructor(
        readonly machine: DiscoveryMachine,
        options: DiscoverOptions,
        readonly until: number,
    ) {
        const { proxy, socket, localAddress } = routeTo("stand-in.invalid", options);
        const isLed = proxy !== undefined || socket !== undefined;
        this.#resolver = options.resolver ?? (isLed ? noResolver() : systemResolver(undefined, localAddress));
        this.#opener = options.opener ?? httpsOpener(options.tlsOptions, routeOptionsOf(options));
    }

    run(timeout: number, signal: AbortSignal | undefined): Promise<Discovered> {
        return new Promise((resolve, reject) => {
            const abort = (): void => leave(() => reject(signal?.reason as Error));
            const late = setTimeout(() => {
                this.machine.end();
                look();
            }, timeout);
            const leave = (then: () => void): void => {
                clearTimeout(late);
                signal?.removeEventListener("abort", abort);
                then();
            };
            const look = (): void => {
                const { found } = this.machine;
                if (found !== undefined) {
                    leave(() => resolve(found));
                }
            };
            const begin = (lookups: readonly Lookup[]): void => {
                for (const lookup of lookups) {
                    this.#answer(lookup).then(
                        (more) => {
                            begin(more);
                            look();
                        },
                        (error: unknown) => leave(() => reject(error as Error)),
                    );
                }
            };
            signal?.addEventListener("abort", abort);
            begin(this.machine.start());
            look();
        });
    }

    /** Looks it up, within its time, and tells the machine. */
    async #answer(lookup: Lookup): Promise<Lookup[]> {
        const timeout = Math.max(1, Math.min(lookup.withinMs, this.until - performance.now()));
        try {
            return await inTime(this.#lookUp(lookup, timeout), timeout);
        } catch (error) {
            const trouble: Trouble = error instanceof LookupFailed ? error.trouble : "malformed";
            return this.machine.answerFailed(lookup.id, trouble);
        }
    }

    async #lookUp(lookup: Lookup, timeout: number): Promise<() => Lookup[]> {
        const { id, name } = lookup;
        switch (lookup.kind) {
            case "mx": {
                const records = await this.#resolver.mx(name, timeout);
                return () =>
                    records.length > 0 ? this.machine.answerMx(id, records) : this.machine.answerNoRecord(id);
            }
            case "srv": {
                const records = await this.#resolver.srv(name, timeout);
                return () =>
                    records.length > 0 ? this.machine.answerSrv(id, records) : this.machine.answerNoRecord(id);
            }
            case "get": {
                const { octetsMax, publicOnly } = lookup;
                const { status, location, body } = await this.#opener(name, { timeout, octetsMax, publicOnly });
                return () => this.machine.answerHttp(id, status, location, body);
            }
        }
    }
}

/** The system's own resolver, which https asks for addresses, has no time limit. */
async function inTime<T>(answer: Promise<() => T>, timeout: number): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new LookupFailed("timed_out")), timeout);
    });
    try {
        const tell = await Promise.race([answer, late]);
        return tell();
    } finally {
        clearTimeout(timer);
        answer.catch(() => undefined);
    }
}

/** What was found is true for a while; a program that connects again does not ask again. */
const REMEMBERED_MS = 60 * 60_000;
const REMEMBERED_MAX = 64;
const remembered = new Map<string, { found: Discovered; until: number }>();

/** Looks up what a login was not told, where it is not known: nothing else. @internal */
export async function discoveredFor(options: LoginOptions, signal?: AbortSignal): Promise<Discovered | undefined> {
    if (!isToDiscover(options)) {
        return undefined;
    }
    const { user, tlsOptions } = options;
    // What others than the system have said is not for those who ask it.
    const isShared = tlsOptions === undefined && !hasRoute(options);
    const before = isShared ? remembered.get(user) : undefined;
    if (before !== undefined && before.until > performance.now()) {
        return before.found;
    }
    const found = await discover(user, { ...routeOptionsOf(options), tlsOptions, signal });
    if (isShared && found.outcome === "found") {
        const [oldest] = remembered.keys();
        if (remembered.size >= REMEMBERED_MAX && oldest !== undefined) {
            remembered.delete(oldest);
        }
        remembered.set(user, { found, until: performance.now() + REMEMBERED_MS });
    }
    return found;
}
