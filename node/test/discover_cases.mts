/** Plays the cases of the kind `discover`: through the front door, with a resolver and an opener of the case. */
import {
    ConfigError,
    discover,
    type Discovered,
    type Fetched,
    type FetchOptions,
    type FoundService,
    LookupFailed,
    type MailProtocol,
    type MxRecord,
    type Resolver,
    type SrvRecord,
    type Trouble,
} from "mailbearer";

/** What is answered to one lookup. */
export type Answers = Record<string, unknown>;

interface FileAnswer {
    status?: number;
    location?: string;
    body?: string;
    before?: string;
    repeat?: [string, number];
    after?: string;
    failed?: Trouble;
}

export interface DiscoverCase {
    kind: "discover";
    address: string;
    answers: Answers;
    outcome: string;
    services?: string[];
    provider?: string | null;
    hoster?: string | null;
    notes?: string[];
    oauth?: Record<string, unknown> | null;
    asked?: string[][];
    public_only?: string[];
    says?: string[];
    refuses?: Partial<Record<MailProtocol, string>>;
}

/** It has a host, also where it has no entry. */
const DATABASE = "https://autoconfig.thunderbird.net/";

/** A resolver and an opener that answer from a table. */
export class StandIn implements Resolver {
    readonly asked: string[] = [];
    readonly publicOnly: string[] = [];

    constructor(readonly answers: Answers) {}

    async mx(domain: string): Promise<readonly MxRecord[]> {
        const records = (this.#answer(`MX ${domain}`) ?? []) as Array<[number, string]>;
        return records.map(([preference, exchange]) => ({ preference, exchange }));
    }

    async srv(name: string): Promise<readonly SrvRecord[]> {
        const records = (this.#answer(`SRV ${name}`) ?? []) as Array<[number, number, number, string]>;
        return records.map(([priority, weight, port, target]) => ({ priority, weight, port, target }));
    }

    readonly open = async (url: string, { octetsMax, publicOnly }: FetchOptions): Promise<Fetched> => {
        const answer = this.#answer(url) as FileAnswer | undefined;
        if (publicOnly) {
            this.publicOnly.push(url);
        }
        if (answer === undefined && !url.startsWith(DATABASE)) {
            throw new LookupFailed("no_host");
        }
        const { status = 404, location, body = "", before = "", repeat = ["", 0], after = "" } = answer ?? {};
        const octets = Buffer.from(body + before + repeat[0].repeat(repeat[1]) + after, "latin1");
        if (octets.length > octetsMax) {
            throw new LookupFailed("too_large");
        }
        return { status, location, body: octets };
    };

    #answer(what: string): unknown {
        this.asked.push(what);
        const answer = this.answers[what];
        const { failed } = (answer ?? {}) as FileAnswer;
        if (failed !== undefined) {
            throw new LookupFailed(failed);
        }
        return answer;
    }
}

/** Says why a case does not hold; `undefined` when it does. */
export async function runDiscover(one: DiscoverCase): Promise<string | undefined> {
    const standIn = new StandIn(one.answers);
    let found: Discovered;
    try {
        found = await discover(one.address, { resolver: standIn, opener: standIn.open });
    } catch (error) {
        if (!(error instanceof ConfigError)) {
            throw error;
        }
        return one.outcome === "config_error" ? unsaid(one, error.message) : `it cannot be looked up: ${error.message}`;
    }
    const oauth = found.toJSON()["oauth"] as Record<string, unknown> | null;
    const came: Record<string, unknown> = {
        asked: standIn.asked.sort(),
        public_only: standIn.publicOnly.sort(),
        outcome: found.outcome,
        services: found.services.map(line),
        provider: found.provider,
        hoster: found.hoster,
        notes: found.notes,
        oauth: oauth && Object.fromEntries(Object.keys(one.oauth ?? {}).map((name) => [name, oauth[name]])),
    };
    const expected: Record<string, unknown> = {
        ...one,
        ...(one.asked === undefined ? {} : { asked: one.asked.flat().sort() }),
        ...(one.public_only === undefined ? {} : { public_only: [...one.public_only].sort() }),
    };
    const wrong = Object.keys(came).find((name) => name in one && text(came[name]) !== text(expected[name]));
    if (wrong !== undefined) {
        return `${wrong}: expected ${text(expected[wrong])}, came ${text(came[wrong])}`;
    }
    return unsaid(one, String(found)) ?? unrefused(one, found);
}

function text(value: unknown): string {
    return JSON.stringify(value);
}

function unsaid(one: DiscoverCase, sentence: string): string | undefined {
    const word = one.says?.find((word) => !sentence.includes(word));
    return word === undefined ? undefined : `${word} is not in ${sentence}`;
}

function unrefused(one: DiscoverCase, found: Discovered): string | undefined {
    for (const [protocol, word] of Object.entries(one.refuses ?? {})) {
        try {
            found.login(protocol as MailProtocol);
            return `the login over ${protocol} is not refused`;
        } catch (error) {
            if (!(error instanceof ConfigError) || !error.message.includes(word)) {
                return `${word} is not in ${String(error)}`;
            }
        }
    }
    return undefined;
}

/** Protocol, place, TLS, user, offer, source, sureness, and where else it leads. */
function line(one: FoundService): string {
    const words = [one.protocol, `${one.host}:${one.port}`, one.tls, one.user, one.offer, one.source, one.sureness];
    return [...words, ...(one.leadsTo === null ? [] : [one.leadsTo])].join(" ");
}
