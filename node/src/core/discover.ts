/** Finds the servers of a mail address: lookups come out, answers go in. */
import { enter, native, text } from "../native";
import type { MailProtocol, Tls } from "./login";
import type { Provider } from "./provider";

/** Something to look up. All that come together are looked up at the same time. @internal */
export type Lookup =
    | { readonly kind: "mx" | "srv"; readonly id: number; readonly name: string; readonly withinMs: number }
    | {
          readonly kind: "get";
          readonly id: number;
          readonly name: string;
          readonly withinMs: number;
          readonly publicOnly: boolean;
          readonly octetsMax: number;
      };

/** Why a lookup has no answer. */
export type Trouble =
    "timed_out" | "no_host" | "unreachable" | "refused" | "tls" | "too_large" | "not_public" | "malformed";

/** Where a fact comes from, in the order in which they are believed. */
export type FactSource = "built_in" | "mx" | "autoconfig" | "srv" | "ispdb" | "hoster_autoconfig" | "hoster_ispdb";

/** How sure a fact is. A `guess` is not used unasked: unsigned DNS leads to another domain. */
export type Sureness = "certain" | "likely" | "guess";

/** A server of a protocol. */
export interface FoundService {
    readonly protocol: MailProtocol;
    readonly host: string;
    readonly port: number;
    readonly tls: Tls;
    /** The user name to log in with. */
    readonly user: string;
    /** The same before the address was filled in, as in `%EMAILADDRESS%`. */
    readonly userPattern: string;
    /** Whether it takes tokens. */
    readonly offer: "oauth" | "password_only" | "unknown";
    readonly source: FactSource;
    readonly sureness: Sureness;
    /** The host, where it is not of the address's domain: a person should see it. */
    readonly leadsTo: string | null;
}

/** Where tokens come from. What is not known is null. */
export interface FoundOAuth {
    readonly issuer: string | null;
    readonly authorizationEndpoint: string | null;
    readonly tokenEndpoint: string | null;
    readonly deviceAuthorizationEndpoint: string | null;
    readonly revocationEndpoint: string | null;
    /** Where a program registers itself (RFC 7591), where one is offered. */
    readonly registrationEndpoint: string | null;
    /** Whether the token endpoint asks for a client secret from everybody. */
    readonly needsClientSecret: boolean | null;
    readonly scopes: readonly string[];
    /** A client id that everybody may use, where the provider publishes one. */
    readonly clientId: string | null;
    readonly source: FactSource;
    readonly sureness: Sureness;
    /** Whether the issuer has said it itself (RFC 8414). */
    readonly hasMetadata: boolean;
    /** Its hosts that are not of the address's domain: a person should see them. */
    readonly leadsTo: readonly string[];
}

/** One lookup, and what came of it. Its text is of others in part: untrusted, bounded, without control characters. */
export interface Look {
    readonly what: string;
    readonly seen: "found" | "nothing" | "failed" | "ignored";
    readonly text: string;
}

/** All that was found for a mail address. */
export interface DiscoveredFacts {
    readonly address: string;
    /** Its domain, as DNS has it. */
    readonly domain: string;
    /**
     * `found`; `to_confirm`: unsigned DNS leads to another domain, a person must say that it is right; `no_oauth`: the servers
     * take no tokens; `nothing`; `unreachable`: there seems to be no network.
     */
    readonly outcome: "found" | "to_confirm" | "no_oauth" | "nothing" | "unreachable";
    /** What was found, and what to do where that does not suffice. */
    readonly sentence: string;
    /** Who hosts the domain, as people call it. */
    readonly hoster: string | null;
    /** The name of the built-in profile, where the servers are of one. */
    readonly provider: string | null;
    /** What the users of a provider do that takes no tokens. */
    readonly instead: string | null;
    /** At most one of each protocol. */
    readonly services: readonly FoundService[];
    readonly oauth: FoundOAuth | null;
    /** What contradicts what was chosen. */
    readonly notes: readonly string[];
    /** All that was looked at, also what had nothing. */
    readonly looks: readonly Look[];
}

/** What came of a {@link DiscoveryMachine}. */
export interface Discovered extends DiscoveredFacts {}
export class Discovered {
    readonly #native: native.NativeDiscovered;

    /** @internal */
    constructor(found: native.NativeDiscovered) {
        this.#native = found;
        Object.assign(this, camelCased(this.toJSON()));
    }

    /** What was found of a protocol. */
    service(protocol: MailProtocol): FoundService | undefined {
        return this.services.find((one) => one.protocol === protocol);
    }

    /** The profile, for the option `provider` of the other functions: the built-in one, or one made of what was found. */
    get profile(): Provider {
        return enter(() => this.#native.provider()) as Provider;
    }

    /**
     * Profile and user name for a login that asks nobody. It throws a {@link ConfigError} with a sentence where nothing was found
     * that a program may use unasked.
     */
    login(protocol: MailProtocol): { provider: Provider; user: string } {
        const given = text(protocol, "protocol");
        return enter(() => this.#native.login(given)) as { provider: Provider; user: string };
    }

    /** All of it, for a terminal. */
    lines(): string[] {
        return enter(() => this.#native.lines());
    }

    /** All of it, with the names that the commands print. */
    toJSON(): Record<string, unknown> {
        return JSON.parse(enter(() => this.#native.toJson())) as Record<string, unknown>;
    }

    /** One sentence: which servers, and who says so. */
    toString(): string {
        return this.sentence;
    }
}

/** `snake_case` to camelCase, in the names of members alone. */
function camelCased(value: unknown): unknown {
    if (Array.isArray(value)) {
        return value.map(camelCased);
    }
    if (typeof value !== "object" || value === null) {
        return value;
    }
    const name = (snake: string) => snake.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [name(key), camelCased(one)]));
}

/** An MX record. */
export interface MxRecord {
    readonly preference: number;
    readonly exchange: string;
}

/** An SRV record. */
export interface SrvRecord {
    readonly priority: number;
    readonly weight: number;
    readonly port: number;
    readonly target: string;
}

/** The machine. @internal */
export class DiscoveryMachine {
    readonly #native: native.NativeDiscovery;

    constructor(address: string) {
        const given = text(address, "user");
        this.#native = enter(() => new native.NativeDiscovery(given));
    }

    start(): Lookup[] {
        return enter(() => this.#native.start()) as Lookup[];
    }

    answerMx(id: number, records: readonly MxRecord[]): Lookup[] {
        return enter(() => this.#native.answerMx(id, [...records])) as Lookup[];
    }

    answerSrv(id: number, records: readonly SrvRecord[]): Lookup[] {
        return enter(() => this.#native.answerSrv(id, [...records])) as Lookup[];
    }

    answerNoRecord(id: number): Lookup[] {
        return enter(() => this.#native.answerNoRecord(id)) as Lookup[];
    }

    answerHttp(id: number, status: number, location: string | undefined, body: Uint8Array): Lookup[] {
        return enter(() => this.#native.answerHttp(id, status, location, body)) as Lookup[];
    }

    answerFailed(id: number, trouble: Trouble): Lookup[] {
        return enter(() => this.#native.answerFailed(id, trouble)) as Lookup[];
    }

    /** The time is over. */
    end(): void {
        enter(() => this.#native.end());
    }

    /** What came of it; nothing as long as something is looked up. */
    get found(): Discovered | undefined {
        const found = enter(() => this.#native.found);
        return found === null ? undefined : new Discovered(found);
    }
}
