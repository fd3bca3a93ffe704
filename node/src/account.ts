/** One mailbox, kept connected: its sessions share one token, one limit of connections and one stop. */
import { randomBytes } from "node:crypto";
import { onAbort } from "./abort";
import { checkedWatch, WATCH_OPTIONS, type WatchOptions } from "./audience";
import {
    AccountMachine,
    type AccountStatus,
    type Discovered,
    type MailProtocol,
    type Provider,
    type SessionSettings,
} from "./core";
import { discoveredFor } from "./discover";
import { Driver } from "./driver";
import { ConfigError, Misuse } from "./errors";
import { kindOf } from "./foreign";
import type { Adapter } from "./kept";
import { octets, text } from "./native";
import { type Kind, known, type OptionsOf, takes } from "./options";
import { accountSettings, inWordsOfPolicy, type SessionPolicy, sessionSettings } from "./policy";
import { hasRoute, refuseOpenSocket, ROUTE_OPTIONS, type RouteOptions, routeOptionsOf, routeTo } from "./route";
import { type Member, Sessions } from "./sessions";
import { isToDiscover, LOGIN_OPTIONS, type LoginOptions, providerOf, resolve, type Settings } from "./settings";
import { placed, sourceFor } from "./sources";
import { checkedSource, type Source, sourceOf, type TokenSource } from "./tokens";
import { type LinkWire, realWorld } from "./wire";

/** The options of an {@link Account}. A session that says nothing of its way goes the account's. */
export interface AccountOptions extends RouteOptions, WatchOptions {
    /** The mailbox, most often a mail address. */
    user: string;
    /**
     * Asked for a token for all sessions, one call at a time; left out: what `mailbearer login` has stored, as `stored(user)`.
     */
    token?: TokenSource | undefined;
    /** A provider's name, as in `gmail`, or a profile; left out: found from the mail address, where that is certain. */
    provider?: string | Provider | undefined;
    /** Limits and times, where the provider's are not right. */
    policy?: SessionPolicy | undefined;
    /** What {@link Account.snapshot} gave: go on where another process was. */
    snapshot?: Uint8Array | undefined;
    /** Ends it all: whoever waits gets the reason of the signal. */
    signal?: AbortSignal | undefined;
}

const ACCOUNT_OPTIONS: OptionsOf<AccountOptions> = takes("new Account", {
    user: "string",
    token: "own",
    provider: "own",
    policy: "object",
    snapshot: "own",
    signal: "signal",
    ...WATCH_OPTIONS,
    ...ROUTE_OPTIONS,
});

/** The options of {@link Account.sessions}, but for the protocol. What is left out is as for the account. */
export interface AccountSessionOptions extends Omit<LoginOptions, "user">, WatchOptions {
    /** Limits and times of this session alone. What is of the whole account cannot be given here. */
    policy?: SessionPolicy | undefined;
    /** Ends this session. */
    signal?: AbortSignal | undefined;
}

const { user: _user, ...PLACE_OPTIONS } = LOGIN_OPTIONS;

const ACCOUNT_SESSION_OPTIONS: OptionsOf<AccountSessionOptions> = {
    ...PLACE_OPTIONS,
    policy: "object",
    signal: "signal",
    ...WATCH_OPTIONS,
};

/** The options of {@link sessions}, but for the protocol: those of an account, and of its one session. */
export interface SessionOptions extends AccountOptions, LoginOptions {}

/** @internal */
export const SESSION_OPTIONS: OptionsOf<SessionOptions> = { ...LOGIN_OPTIONS, ...ACCOUNT_OPTIONS };

const SOCKET_SESSION_OPTIONS = takes("sessions", { protocol: "string", ...SESSION_OPTIONS } as const);
const SOCKETS_OF_ACCOUNT = takes("account.sessions", { protocol: "string", ...ACCOUNT_SESSION_OPTIONS } as const);

/** Without a mail client: the program speaks the protocol itself. */
const NO_CLIENT: Adapter<undefined> = {
    make: () => Promise.resolve(undefined),
    goodbye: () => Promise.resolve(),
    quiet: () => Promise.resolve(() => undefined),
    ask: () => undefined,
    isLost: () => false,
    askAgain: () => Promise.resolve(),
};

/**
 * One mailbox, kept connected.
 *
 *     const account = new Account({ user: "joe@gmail.com", token: getAccessToken });
 *     const inbox = account.sessions({ protocol: "imap" });
 *     const outgoing = account.sessions({ protocol: "smtp" });
 *     for await (const connection of inbox) { ... }
 *     await account.close();
 *
 * Its sessions (IMAP any number, POP3, SMTP) share one token, one refresh, the greatest number of connections that the server
 * allows, and one stop: a refused token costs two logins and not two for each session. Nothing is opened before a connection
 * is waited for. `mailbearer/imapflow` and `mailbearer/nodemailer` take an account too.
 */
export class Account {
    /** @internal */
    readonly driver: Driver<LinkWire>;
    readonly #user: string;
    readonly #token: TokenSource;
    readonly #provider: string | Provider | undefined;
    readonly #route: RouteOptions;
    readonly #policy: SessionPolicy;
    readonly #signal: AbortSignal | undefined;
    readonly #ignore: () => void;
    readonly #isOfOne: boolean;
    readonly #sessions = new Set<Sessions<unknown>>();
    readonly #scopes = new Set<string>();
    #source: Source | undefined;
    #isClosed = false;

    /** What cannot work is a {@link ConfigError}. Nothing is opened. */
    constructor(options: AccountOptions);
    /** An account of one session, whose settings are these. @internal */
    constructor(options: AccountOptions, ofOne: Settings);
    constructor(options: AccountOptions, ofOne?: Settings) {
        known(options, ACCOUNT_OPTIONS, "options of Account");
        this.#user = text(options.user, "user");
        this.#token = checkedSource(sourceFor(options));
        this.#provider = options.provider;
        this.#route = routeOptionsOf(options);
        refuseOpenSocket(options, "an Account");
        // What is wrong with it is told now.
        routeTo("stand-in.invalid", options);
        this.#policy = options.policy ?? {};
        this.#signal = options.signal;
        this.#isOfOne = ofOne !== undefined;
        const world = realWorld();
        const { tokenLifetimeMs } = ofOne ?? providerOf(this.#user, this.#placed({}).provider) ?? {};
        const given = {
            seed: randomBytes(8).readBigUInt64LE(),
            policy: accountSettings(this.#policy, tokenLifetimeMs),
            snapshot: options.snapshot === undefined ? undefined : octets(options.snapshot, "snapshot"),
            nowMs: world.nowMs(),
            wallMs: world.wallMs(),
        };
        const machine = inWordsOfPolicy(() => new AccountMachine(given));
        const [source, watch] = [() => this.#source as Source, checkedWatch(options)];
        this.driver = new Driver({ world, machine, user: this.#user, source, watch });
        this.#ignore = onAbort(this.#signal, () => this.#end());
    }

    /** Adds a session over sockets: iterate over what this gives, and get a connection each time that one is due. */
    sessions(options: AccountSessionOptions & { protocol: MailProtocol }): Sessions<undefined> {
        known(options, SOCKETS_OF_ACCOUNT, "options of account.sessions");
        const { protocol, ...others } = options;
        return this.add(protocol, others, NO_CLIENT);
    }

    /** The same with a mail client, for the adapters. @internal */
    add<Client>(protocol: MailProtocol, options: AccountSessionOptions, adapter: Adapter<Client>): Sessions<Client> {
        if (this.#isClosed) {
            throw new Misuse("the account is closed: make another");
        }
        const { policy = {}, signal, onEvent, trace, logger, ...login } = options;
        const watch = checkedWatch({ onEvent, trace, logger });
        refuseOpenSocket(login, "sessions");
        const known = this.#placed(login, protocol);
        const added = (discovered?: Discovered): Member => {
            const settings = resolve(protocol, known, discovered);
            if (settings.user !== this.#user) {
                throw new ConfigError(
                    `the user name at ${settings.endpoint.host} is not the mail address: ` +
                        "make the account with user and provider as discover() gives them",
                );
            }
            return this.#add(settings, sessionSettings(this.#policy, policy, settings), watch);
        };
        const find = async (): Promise<Member | undefined> => {
            const discovered = await discoveredFor(known, signal ?? this.#signal);
            return this.#isClosed ? undefined : added(discovered);
        };
        if (isToDiscover(known)) {
            // What cannot work with any server is told now.
            sessionSettings(this.#policy, policy, resolve(protocol, { ...known, host: "stand-in.invalid" }));
        }
        const member = isToDiscover(known) ? find : added();
        const sessions = new Sessions(this, member, adapter, [this.#signal, signal]);
        this.#sessions.add(sessions as Sessions<unknown>);
        return sessions;
    }

    #add(settings: Settings, limits: SessionSettings, watch: WatchOptions): Member {
        settings.service.scopes?.forEach((scope) => this.#scopes.add(scope));
        // One token serves all sessions: it is asked for with the scopes of all.
        this.#source = sourceOf(this.#token, this.#user, [...this.#scopes]);
        const key = inWordsOfPolicy(() => this.driver.machine.add(settings.login, limits));
        this.driver.add(key, { settings, watch });
        return { key, settings };
    }

    /** Options of a session, with what holds for all of the account. */
    #placed(login: Omit<LoginOptions, "user">, protocol?: MailProtocol): LoginOptions {
        const way = hasRoute(login) ? {} : this.#route;
        const provider = login.provider ?? this.#provider;
        return placed(protocol, { ...login, ...way, provider, user: this.#user }, this.#token);
    }

    /** How it stands: each session, the token, and what a person must mend. For logs and screens. */
    status(): AccountStatus {
        return this.driver.machine.status();
    }

    /**
     * What must outlive the process: stops, waits, refusals, limits, and what was in flight. It holds no secret. A stop holds in
     * the next process too, until {@link retry}; the time between counts.
     */
    snapshot(): Buffer {
        return this.driver.machine.snapshot(Date.now());
    }

    /** A person, or the program, has acted: every stop is lifted. */
    retry(): void {
        this.driver.tell((now) => this.driver.machine.retry(now));
    }

    /** The system says that there is no network: nothing is tried for a while. */
    networkLost(): void {
        this.driver.tell((now) => this.driver.machine.networkLost(now));
    }

    /**
     * The system says that there is a network again, or another one: connections are asked whether they live, and what waited
     * for the network is tried at once. A wait that a server asked for goes on.
     */
    networkBack(): void {
        this.driver.tell((now) => this.driver.machine.networkBack(now));
    }

    /** Ends all its sessions: connections say goodbye, where they have a mail client; nothing is left behind. */
    async close(): Promise<void> {
        await Promise.all([...this.#sessions].map((sessions) => sessions.letGo()));
        this.#end();
    }

    [Symbol.asyncDispose](): Promise<void> {
        return this.close();
    }

    /** One of its sessions is over, and so is an account that is of this one alone. @internal */
    leave(sessions: Sessions<unknown>, key: number | undefined): void {
        if (this.#isOfOne) {
            this.#end();
        } else {
            this.#sessions.delete(sessions);
            if (key !== undefined) {
                this.driver.remove(key);
            }
        }
    }

    #end(): void {
        this.#isClosed = true;
        this.#ignore();
        this.#sessions.forEach((sessions) => sessions.detach());
        this.driver.close();
    }
}

/**
 * Stays logged in: an {@link Account} of one session. Iterate, and get a connection each time that one is due.
 *
 *     for await (const connection of sessions({ protocol: "imap", user: "joe@gmail.com", token: getAccessToken })) {
 *         await connection.use(async () => { ... connection.socket ... });
 *     }
 *
 * Leaving the loop closes all. With a mail client: `mailbearer/imapflow` and `mailbearer/nodemailer`.
 */
export function sessions(options: SessionOptions & { protocol: MailProtocol }): Sessions<undefined> {
    known(options, SOCKET_SESSION_OPTIONS, "options of sessions");
    const { protocol, ...others } = options;
    return sessionsOf(protocol, others, NO_CLIENT);
}

/** Options of a session: with those of its account, or with an account. */
export type OwnedSessionOptions = SessionOptions | (AccountSessionOptions & { account: Account });

/** The sessions of an account that is given, or of one that is made for them. @internal */
export function sessionsOf<Client>(
    protocol: MailProtocol,
    options: OwnedSessionOptions,
    adapter: Adapter<Client>,
): Sessions<Client> {
    const { account, session } = accountOf(protocol, options);
    return account.add(protocol, session, adapter);
}

/** Options of a front door besides those of its sessions: they are checked, and named, as all of it. */
type Others = Readonly<Record<string, Kind>>;

/** Checks the options of a front door that takes those of sessions, and `others`. @internal */
export function checkedOptions(options: unknown, door: string, others: Others): void {
    if (typeof options === "object" && options !== null && "account" in options) {
        const whole = { account: "own", ...ACCOUNT_SESSION_OPTIONS, ...others } as const;
        known(options, whole, `options of ${door} with an account`);
        if (!(options.account instanceof Account)) {
            throw new ConfigError(`account must be an Account, not ${kindOf(options.account)}`);
        }
    } else {
        known(options, { ...SESSION_OPTIONS, ...others }, `options of ${door}`);
    }
}

/** The account that is given, or one that is made, and what is left for a session of it. @internal */
export function accountOf(
    protocol: MailProtocol,
    options: OwnedSessionOptions,
): { account: Account; session: AccountSessionOptions } {
    if ("account" in options) {
        const { account, ...session } = options;
        return { account, session };
    }
    const { token: _token, policy, snapshot, signal, onEvent, trace, logger, ...login } = options;
    const { user, provider, ...session } = login;
    const token = sourceFor(options);
    const where = placed(protocol, login, token);
    // What is looked up later tells no lifetime of tokens: those of the source count.
    const settings = resolve(protocol, isToDiscover(where) ? { ...where, host: "stand-in.invalid" } : where);
    const own = { user, token, provider, policy, snapshot, signal, onEvent, trace, logger };
    return { account: new Account(own, settings), session };
}
