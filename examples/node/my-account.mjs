// Who you are and where your tokens come from: the one file that is yours. Every other example imports it.
import { readFileSync } from "node:fs";
import { command, stored } from "mailbearer";

// To try an example without a provider: the file MAIL_SERVER has what `npx mailbearer-testing --json` prints.
const file = process.env.MAIL_SERVER;
const testing = file === undefined ? undefined : JSON.parse(readFileSync(file, "utf8"));

export const user = process.env.MAIL_USER ?? testing?.users[0].user ?? "joe@gmail.com";

// After `mailbearer login joe@gmail.com` it is what that stored, and mailbearer renews it by itself. Else a command that
// prints a token, as in MAIL_TOKEN_COMMAND="gcloud auth print-access-token"; or a function of your own.
const words = process.env.MAIL_TOKEN_COMMAND;
export const token = words !== undefined ? command(words) : (testing?.users[0].token ?? stored(user));

// Where the servers are: that need not be said of a provider's. Leave it out in a program of your own.
export function at(protocol) {
    if (testing === undefined) {
        return {};
    }
    const { host, ports, flavour, ca_file } = testing;
    const provider = { gmail: "gmail", outlook: "microsoft" }[flavour];
    return {
        host,
        port: ports[protocol].implicit,
        tls: "implicit",
        provider,
        tlsOptions: { ca: readFileSync(ca_file) },
    };
}
