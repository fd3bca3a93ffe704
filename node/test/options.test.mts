/** Each front door knows its options, names them all where one is none of them, and says what one must be: as its types do. */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
    Account,
    AccountMachine,
    command,
    ConfigError,
    clientCredentials,
    connect,
    discover,
    explain,
    Negotiation,
    type Provider,
    Session,
    sessions,
    stored,
} from "mailbearer";
import { connect as imapConnect, sessions as imapSessions } from "mailbearer/imapflow";
import { login, transport } from "mailbearer/nodemailer";
import { Server } from "mailbearer/testing";
import ts from "typescript";
import { rejection } from "./waiting.mjs";

const USER = "joe@gmail.com";
const OWN = { user: USER, token: "ya29.a-token-of-a-test" };
const MACHINE = { protocol: "imap", user: USER, host: "localhost" } as const;

/** A front door: what its options are as types, options with which it works, and how it is entered. */
interface Door {
    readonly name: string;
    /** In the words of TypeScript. */
    readonly type: string;
    readonly good: object;
    readonly enter: (options: never) => unknown;
    /** What may be a bigint. */
    readonly bigints?: readonly string[];
}

const account = new Account(OWN);
let testing: Server;
const DOORS: readonly Door[] = [
    { name: "connect", type: "M.ConnectOptions", good: { ...OWN, protocol: "imap" }, enter: connect },
    {
        name: "sessions",
        type: "Parameters<typeof M.sessions>[0]",
        good: { ...OWN, protocol: "imap" },
        enter: (options) => sessions(options),
    },
    { name: "Account", type: "M.AccountOptions", good: OWN, enter: (options) => new Account(options) },
    {
        name: "Account.sessions",
        type: "Parameters<M.Account['sessions']>[0]",
        good: { protocol: "imap" },
        enter: (options) => account.sessions(options),
    },
    { name: "imapflow.connect", type: "I.ImapConnectOptions", good: OWN, enter: imapConnect },
    {
        name: "imapflow.sessions",
        type: "Exclude<I.ImapSessionOptions, { account: M.Account }>",
        good: OWN,
        enter: (options) => imapSessions(options),
    },
    {
        name: "imapflow.sessions of an account",
        type: "Extract<I.ImapSessionOptions, { account: M.Account }>",
        good: { account },
        enter: (options) => imapSessions(options),
    },
    { name: "nodemailer.login", type: "N.NodemailerLoginOptions", good: OWN, enter: (options) => login(options) },
    {
        name: "nodemailer.transport",
        type: "Exclude<N.TransportOptions, { account: M.Account }>",
        good: OWN,
        enter: (options) => transport(options),
    },
    {
        name: "nodemailer.transport of an account",
        type: "Extract<N.TransportOptions, { account: M.Account }>",
        good: { account },
        enter: (options) => transport(options),
    },
    { name: "discover", type: "M.DiscoverOptions", good: {}, enter: (options) => discover(USER, options) },
    { name: "stored", type: "M.StoredOptions", good: {}, enter: (options) => stored(USER, options) },
    { name: "command", type: "M.CommandOptions", good: {}, enter: (options) => command("true", options) },
    {
        name: "clientCredentials of Microsoft",
        type: "M.MicrosoftAppOptions",
        good: { provider: "microsoft", clientId: "a", tenant: "b", clientSecret: "c" },
        enter: clientCredentials,
    },
    {
        name: "clientCredentials of Google",
        type: "M.GoogleServiceAccountOptions",
        good: { provider: "gmail", keyFile: "a", subject: USER },
        enter: clientCredentials,
    },
    { name: "explain", type: "M.ExplainOptions", good: {}, enter: (options) => explain(new Error("x"), options) },
    {
        name: "policy",
        type: "M.SessionPolicy",
        good: {},
        enter: (policy) => new Account({ ...OWN, policy }),
    },
    {
        name: "a provider's profile",
        type: "M.Provider",
        good: { name: "own", domains: [], services: [] },
        enter: (provider: Provider) => sessions({ ...OWN, protocol: "imap", host: "localhost", provider }),
    },
    {
        name: "AccountMachine",
        type: "M.AccountMachineOptions",
        good: { seed: 1n },
        enter: (options) => new AccountMachine(options),
        bigints: ["seed"],
    },
    {
        name: "Session",
        type: "ConstructorParameters<typeof M.Session>[1]",
        good: { seed: 1n },
        enter: (options) => new Session(MACHINE, options),
        bigints: ["seed"],
    },
    {
        name: "Session's policy",
        type: "M.SessionSettings",
        good: {},
        enter: (policy) => new Session(MACHINE, { seed: 1n, policy }),
    },
    {
        name: "AccountMachine's policy",
        type: "M.AccountSettings",
        good: {},
        enter: (policy) => new AccountMachine({ seed: 1n, policy }),
    },
    {
        name: "Negotiation",
        type: "M.LoginSettings",
        good: MACHINE,
        enter: (settings) => new Negotiation(settings, "a-token"),
    },
    {
        name: "testing.Server",
        type: "T.ServerOptions",
        good: {},
        enter: (options) => Server.start(options),
        bigints: ["seed"],
    },
    {
        name: "testing.Server.issueToken",
        type: "T.IssueOptions",
        good: {},
        enter: (options) => testing.issueToken(USER, options),
    },
    {
        name: "testing.Server.deliver",
        type: "T.DeliverOptions",
        good: {},
        enter: (options) => testing.deliver(USER, "Subject: hello\n\n", options),
    },
];

/** Further types of what a program gives, as an argument or in an option. */
const GIVEN = [
    "M.Service",
    "M.OAuth",
    "M.NewMessagesOptions",
    "M.IdleOptions",
    "M.NextOptions",
    "NonNullable<ConstructorParameters<typeof M.TokenSourceFailed>[1]>",
    "NonNullable<T.ServerOptions['ports']>",
];

/** What the compiler says of the types of the installed package: the names of the members of each door's options. */
function namesOfTypes(): Map<string, string[]> {
    const all = namesIn(DOORS.map(({ type }) => `keyof (${type})`));
    return new Map(DOORS.map(({ name }, at) => [name, all[at] as string[]]));
}

/** The names that types of the installed package are unions of. */
function namesIn(types: readonly string[]): string[][] {
    // In the project, so that its packages are found from there.
    const file = join(import.meta.dirname, "option_doors.mts");
    const keys = types.map((type, at) => `export type D${at} = ${type};`);
    const modules = { M: "mailbearer", I: "mailbearer/imapflow", N: "mailbearer/nodemailer", T: "mailbearer/testing" };
    const imports = Object.entries(modules).map(([name, path]) => `import type * as ${name} from "${path}";`);
    writeFileSync(file, [...imports, ...keys].join("\n"));
    const [module, moduleResolution] = [ts.ModuleKind.NodeNext, ts.ModuleResolutionKind.NodeNext];
    const program = ts.createProgram([file], {
        strict: true,
        exactOptionalPropertyTypes: true,
        module,
        moduleResolution,
        skipLibCheck: true,
        types: ["node"],
    });
    const source = program.getSourceFile(file) as ts.SourceFile;
    const checker = program.getTypeChecker();
    rmSync(file);
    const aliases = source.statements.filter(ts.isTypeAliasDeclaration);
    return aliases.map((alias) => {
        const type = checker.getTypeAtLocation(alias);
        const all = type.isUnion() ? type.types : (type.flags & ts.TypeFlags.Never) > 0 ? [] : [type];
        return all.map((one) => (one as ts.StringLiteralType).value).sort();
    });
}

/** The names of optional members that may not be `undefined`. */
function strict(type: string): string {
    return `{ [K in keyof (${type})]-?: undefined extends Required<${type}>[K] ? never : {} extends Pick<${type}, K> ? K : never }[keyof (${type})]`;
}

async function refused({ enter }: Door, options: object): Promise<string> {
    const error = await rejection(ConfigError, (async () => enter(options as never))());
    return error.message;
}

describe("the options of each front door", () => {
    let names: Map<string, string[]>;
    before(async () => {
        names = namesOfTypes();
        testing = await Server.start();
    });
    after(() => Promise.all([account.close(), testing.stop()]));

    it("may be undefined where they may be left out", () => {
        const types = [...DOORS.map(({ type }) => type), ...GIVEN];
        const [known, ...found] = namesIn([
            strict("{ a?: string; b?: string | undefined; c: string }"),
            ...types.map(strict),
        ]);
        assert.deepEqual(known, ["a"], "the test sees nothing");
        assert.deepEqual(
            types.map((type, at) => [type, ...(found[at] as string[])]).filter(({ length }) => length > 1),
            [],
        );
    });

    for (const door of DOORS) {
        it(`of ${door.name} are all listed where one is unknown, as its types have them`, async () => {
            const said = await refused(door, { ...door.good, nonsense: 1 });
            assert.match(said, /has no option nonsense: they are /);
            assert.deepEqual(said.split("they are ")[1]?.split(", ").sort(), names.get(door.name));
        });

        it(`of ${door.name} are told by name where their value is of a wrong type`, async () => {
            for (const name of names.get(door.name) ?? []) {
                if (door.bigints?.includes(name) !== true) {
                    const said = await refused(door, { ...door.good, [name]: 7n });
                    assert.ok(said.includes(name), `${name}: ${said}`);
                }
            }
        });
    }

    it("of a policy are told by name where a number is out of range", async () => {
        const doors = { protocol: "imap", ...OWN } as const;
        for (const name of ["first", "lead", "sessionLimit", "backoffMax", "loginInterval", "answer", "tokenTimeout"]) {
            for (const value of [-1, Number.NaN, 1e300]) {
                const policy = { [name]: value };
                assert.throws(
                    () => sessions({ ...doors, policy }),
                    (error: Error) => {
                        return error instanceof ConfigError && error.message.startsWith(`${name} `);
                    },
                    `${name} ${value}`,
                );
            }
        }
    });

    it("of another front door are sent there", async () => {
        const said = (what: string, option: string, door: string, good: object = {}) =>
            DOORS.filter(({ name }) => name === what).map(async (one) => {
                const words = await refused(one, { ...one.good, ...good, [option]: 1 });
                assert.ok(words.includes(`has no option ${option}${door}`), words);
            });
        const all = [
            ...said("Account", "host", ": give it to account.sessions({ … }). They are user, "),
            ...said("Account", "maxConnections", ": give it to transport({ … }) of mailbearer/nodemailer. They are "),
            ...said("Account.sessions", "token", ": give it to new Account({ … })"),
            ...said("connect", "onEvent", ": give it to sessions({ … })"),
            ...said("connect", "renewal", ": give it to policy: { … }"),
            ...said("imapflow.connect", "policy", ": give it to sessions({ … }) of mailbearer/imapflow"),
            ...said("imapflow.sessions", "since", ": give it to connection.newMessages({ … })"),
            ...said("imapflow.sessions of an account", "user", ": give it to new Account({ … })"),
            ...said("nodemailer.login", "rateLimit", ": give it to transport({ … }) of mailbearer/nodemailer"),
            ...said("nodemailer.transport of an account", "token", ": give it to new Account({ … })"),
            ...said("testing.Server.issueToken", "flags", ": give it to server.deliver({ … })"),
            ...said("connect", "greylist", ": they are "),
            ...said("connect", "email", ", did you mean user?"),
            ...said("connect", "access_token", ", did you mean token?"),
            ...said("Account", "server", ": give it to account.sessions({ … }) as host. They are "),
        ];
        assert.equal(all.length, 15);
        await Promise.all(all);
    });

    it("are said to be of their front door", async () => {
        for (const door of DOORS) {
            const said = await refused(door, { ...door.good, nonsense: 1 });
            const name = door.name.replace(/^(imapflow|nodemailer|testing)\./, "").split(" ")[0] as string;
            const plain = /policy|profile|Machine|^Session\b|Negotiation/.test(door.name);
            assert.ok(plain || said.toLowerCase().startsWith(`options of ${name.toLowerCase()}`), said);
        }
    });

    it("are guessed where they are misspelt", async () => {
        const [door] = DOORS as [Door];
        const meant = async (name: string) =>
            /did you mean (\w+)\? They are /.exec(await refused(door, { ...door.good, [name]: 1 }))?.[1];
        assert.equal(await meant("time_out"), "timeout");
        assert.equal(await meant("ehloname"), "ehloName");
        assert.equal(await meant("tlsOption"), "tlsOptions");
        assert.equal(await meant("sginal"), "signal");
        assert.equal(await meant("prot"), "port");
        assert.equal(await meant("constructor"), undefined);
    });
});
