// One process, many accounts: each by itself, so that one whose owner must act disturbs no other.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Account, LoginFailed } from "mailbearer";
import { sessions } from "mailbearer/imapflow";

export async function watch({ user, token, folder, onMail, signal }) {
    const files = { account: join(folder, `${user}.account`), cursor: join(folder, `${user}.cursor`) };
    const snapshot = await readFile(files.account).catch(() => undefined);
    const account = new Account({ user, token, snapshot, signal });
    try {
        for await (const connection of sessions({ account })) {
            await connection.use(async () => {
                const since = await readFile(files.cursor, "utf8").catch(() => undefined);
                for await (const event of connection.newMessages("INBOX", { since })) {
                    for (const uid of event.kind === "messages" ? event.uids : []) {
                        await onMail(user, uid);
                    }
                    await writeFile(files.cursor, event.cursor);
                }
            });
        }
    } catch (stop) {
        if (!(stop instanceof LoginFailed)) {
            throw stop;
        }
        // The stop is in the snapshot, and holds in the next process as well: nobody hammers a locked account. Once its
        // owner has consented anew, delete the file, or call retry().
        console.log(`${user}: ${stop.message}`);
    } finally {
        await writeFile(files.account, account.snapshot());
        await account.close();
    }
}
