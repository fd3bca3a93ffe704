/** `mailbearer token USER`: an access token, for programs that have no OAuth of their own. */
import { StoredGrant } from "../login/grant";
import { AccountFile } from "../login/store";
import { type Command, oneUser } from "./arguments";

export const TOKEN: Command = {
    usage: "token USER",
    summary: "print an access token, for mutt, msmtp, mbsync and the like",
    help: `usage: mailbearer token USER

Prints an access token of an account that is logged in, which lives for a minute at least, and nothing else. It is refreshed where
that is due: programs may ask for it at the same time.
`,
    options: {},
    async run(positionals) {
        const { token } = await new StoredGrant(new AccountFile(oneUser(positionals))).token();
        process.stdout.write(`${token}\n`);
        return 0;
    },
};
