/** `mailbearer token USER`: an access token, for programs that have no OAuth of their own. */
import { StoredGrant } from "../login/grant";
import { AccountFile } from "../login/store";
import { type Command, oneUser, PROXY_HELP, PROXY_OPTION, routeOf } from "./arguments";

export const TOKEN: Command = {
    usage: "token USER",
    summary: "print an access token, for mutt, msmtp, mbsync and the like",
    help: `usage: mailbearer token [options] USER

Prints an access token of an account that is logged in, which lives for a minute at least, and nothing else. It is refreshed where
that is due: programs may ask for it at the same time.

options:
${PROXY_HELP}
`,
    options: PROXY_OPTION,
    async run(positionals, values) {
        const file = new AccountFile(oneUser(positionals));
        const { token } = await new StoredGrant(file, {}, routeOf(values)).token();
        process.stdout.write(`${token}\n`);
        return 0;
    },
};
