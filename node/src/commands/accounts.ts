/** `mailbearer accounts`: lists the logins that are stored on this machine, without their secrets. */
import { counted } from "../counting";
import { ConfigError } from "../errors";
import { AccountFile, type StoredAccount, storedAccounts } from "../login/store";
import { type Command, type Values, WrongUse } from "./arguments";

export const ACCOUNTS: Command = {
    usage: "accounts",
    summary: "list the logins that are stored on this machine",
    help: `usage: mailbearer accounts [--json]

options:
  --json    print JSON for programs

The time is that of the access token, which is renewed by itself when somebody asks for one. Exit status: 0; 1, where something that
is stored cannot be used.
`,
    options: { json: { type: "boolean", default: false } },
    run,
};

async function run(positionals: readonly string[], values: Values): Promise<number> {
    if (positionals.length > 0) {
        throw new WrongUse("there is nothing to give but options");
    }
    const found = await Promise.all((await storedAccounts()).map(described));
    const known = found.flatMap((one) => (one instanceof ConfigError ? [] : [one]));
    const problems = found.flatMap((one) => (one instanceof ConfigError ? [one] : []));
    if (values["json"] === true) {
        console.log(JSON.stringify(known, undefined, 2));
    } else if (found.length === 0) {
        console.log("No login is stored. `mailbearer login USER` makes one.");
    } else {
        known.forEach((one) => console.log(lineOf(one)));
    }
    problems.forEach((problem) => console.error(`mailbearer: ${problem.message}`));
    return problems.length > 0 ? 1 : 0;
}

/** What may be shown of an account: nothing that is secret. */
interface Described {
    readonly user: string;
    readonly provider: string | null;
    readonly store: string;
    /** Seconds since 1970; `null`: the provider did not say. */
    readonly expires_at: number | null;
}

async function described(account: StoredAccount | ConfigError): Promise<Described | ConfigError> {
    if (account instanceof ConfigError) {
        return account;
    }
    try {
        const { expires_at = null } = await new AccountFile(account.user).grant(account);
        const { user, provider = null, store } = account;
        return { user, provider, store, expires_at };
    } catch (error) {
        if (error instanceof ConfigError) {
            return error;
        }
        throw error;
    }
}

function lineOf({ user, provider, store, expires_at: at }: Described): string {
    return `${user}  ${provider ?? "another provider"}, ${store}; its access token lives ${until(at)}`;
}

function until(at: number | null): string {
    if (at === null) {
        return "until it is refused";
    }
    const minutes = Math.floor((at - Date.now() / 1000) / 60);
    return minutes > 0 ? `for ${counted(minutes, "minute")} more` : "no more: it is renewed when it is needed";
}
