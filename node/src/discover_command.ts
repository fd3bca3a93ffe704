/** `mailbearer discover USER`: finds the servers of a mail address, and says from where, and how sure it is. */
import { readFileSync } from "node:fs";
import { type Command, oneUser, proxyOf, type Values } from "./commands/arguments";
import { discover } from "./discover";
import { MailbearerError } from "./errors";

/** The options of the command, as `util.parseArgs` reads them. */
const DISCOVER_OPTIONS = {
    "ca-file": { type: "string" },
    proxy: { type: "string" },
    timeout: { type: "string", default: "15" },
    json: { type: "boolean", default: false },
} as const;

const DISCOVER_HELP = `usage: mailbearer discover [options] USER

USER is the mail address; its local part is told to nobody.

options:
  --ca-file FILE           certificate authorities to trust, in place of the system's
  --proxy URL              go through a proxy, which looks names up: DNS is not asked then; environment: what ALL_PROXY says
  --timeout SECONDS        for all of it (default: 15)
  --json                   print JSON for programs

Asked are: DNS; then the domain itself, over https; and only where it says nothing, Thunderbird's database and the hoster
that the MX records name. Exit status: 0, there is a server to log in to; 1, there is none, or it takes no tokens, or a
person must confirm it; 2, the address or an argument is wrong.
`;

export const DISCOVER: Command = {
    usage: "discover USER",
    summary: "find the servers of a mail address, and where their tokens come from",
    help: DISCOVER_HELP,
    options: DISCOVER_OPTIONS,
    run: (positionals, values) => run(oneUser(positionals), values),
};

async function run(user: string, values: Values): Promise<number> {
    try {
        const file = values["ca-file"];
        const tlsOptions = typeof file === "string" ? { ca: readFileSync(file) } : undefined;
        const proxy = proxyOf(values);
        const found = await discover(user, { timeout: Number(values["timeout"]) * 1000, tlsOptions, proxy });
        console.log(values["json"] === true ? JSON.stringify(found, undefined, 2) : found.lines().join("\n"));
        return found.outcome === "found" ? 0 : 1;
    } catch (error) {
        if (!(error instanceof MailbearerError) && !(error instanceof Error && "syscall" in error)) {
            throw error;
        }
        console.error(`mailbearer: ${error.message}`);
        return 2;
    }
}
