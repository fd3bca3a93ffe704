/** `mailbearer logout USER`: takes a login back at the provider, and forgets it. */
import { ConfigError } from "../errors";
import { shown } from "../foreign";
import { configured, metadataOf, openid, wordsOf } from "../login/server";
import { AccountFile } from "../login/store";
import type { RouteOptions } from "../route";
import { type Command, oneUser, PROXY_HELP, PROXY_OPTION, routeOf } from "./arguments";

export const LOGOUT: Command = {
    usage: "logout USER",
    summary: "take a login back at the provider, and forget it",
    help: `usage: mailbearer logout [options] USER

USER is the mail address, as it was given to mailbearer login.

options:
${PROXY_HELP}

It is forgotten on this machine in any case. Exit status: 0; 1, it could not be taken back at the provider; 2, it is not stored.
`,
    options: PROXY_OPTION,
    async run(positionals, values) {
        const [file, route] = [new AccountFile(oneUser(positionals)), routeOf(values)];
        return file.locked(undefined, () => loggedOut(file, route));
    },
};

/** Why a grant still holds. */
class NotTakenBack extends Error {}

async function loggedOut(file: AccountFile, route: RouteOptions): Promise<number> {
    try {
        const said = await takenBack(file, route);
        await file.remove(file.required());
        console.log(said);
        return 0;
    } catch (error) {
        const isDamaged = error instanceof ConfigError && file.isThere;
        if (!isDamaged && !(error instanceof NotTakenBack)) {
            throw error;
        }
        await file.remove(isDamaged ? undefined : file.required());
        console.error(`${file.user} is forgotten here, but not taken back at the provider: ${error.message}`);
        return 1;
    }
}

/** Revokes what was granted (RFC 7009), where that can be done. */
async function takenBack(file: AccountFile, route: RouteOptions): Promise<string> {
    const account = file.required();
    const { authorization, client_id: id, user } = account;
    if (typeof authorization.revocation_endpoint !== "string") {
        return (
            `${user} is forgotten here. Its provider lets no program take a login back: ` +
            "that can be done in the settings of the account, where the programs with access are."
        );
    }
    const grant = await file.grant(account);
    const library = await openid();
    const configuration = await configured(metadataOf(authorization), { id, secret: grant.client_secret }, {}, route);
    try {
        await library.tokenRevocation(configuration, grant.refresh_token, { token_type_hint: "refresh_token" });
    } catch (error) {
        throw new NotTakenBack(shown(wordsOf(error)));
    }
    return `${user} is taken back at the provider, and forgotten here.`;
}
