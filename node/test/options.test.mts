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
];

/** What the compiler says of the types of the installed package: the names of the members of each door's options. */
function namesOfTypes(): Map<string, string[]> {
    // In the project, so that its packages are found from there.
    const file = join(import.meta.dirname, "option_doors.mts");
    const keys = DOORS.map(({ type }, at) => `export type D${at} = keyof (${type});`);
    const modules = { M: "mailbearer", I: "mailbearer/imapflow", N: "mailbearer/nodemailer", T: "mailbearer/testing" };
    const imports = Object.entries(modules).map(([name, path]) => `import type * as ${name} from "${path}";`);
    writeFileSync(file, [...imports, ...keys].join("\n"));
    const [module, moduleResolution] = [ts.ModuleKind.NodeNext, ts.ModuleResolutionKind.NodeNext];
    const program = ts.createProgram([file], {
        strict: true,
        module,
        moduleResolution,
        skipLibCheck: true,
        types: ["node"],
    });
    const source = program.getSourceFile(file) as ts.SourceFile;
    const checker = program.getTypeChecker();
    rmSync(file);
    const aliases = source.statements.filter(ts.isTypeAliasDeclaration);
    return new Map(
        aliases.map((alias, at) => {
            const type = checker.getTypeAtLocation(alias);
            const all = type.isUnion() ? type.types : [type];
            return [(DOORS[at] as Door).name, all.map((one) => (one as ts.StringLiteralType).value).sort()];
        }),
    );
}

async function refused({ enter }: Door, options: object): Promise<string> {
    const error = await rejection(ConfigError, (async () => enter(options as never))());
    return error.message;
}

describe("the options of each front door", () => {
    let names: Map<string, string[]>;
    before(() => (names = namesOfTypes()));
    after(() => account.close());

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
