// One process, many accounts: each by itself, so that one whose owner must act disturbs no other.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Account, LoginFailed } from "mailbearer";
import { sessions } from "mailbearer/imapflow";
import { at, token, user } from "./my-account.mjs";

// Until the signal is aborted.
export async function watch({ user, token, folder, onMail, signal }) {
    if (signal.aborted) {
        return;
    }
    const files = { account: join(folder, `${user}.account`), cursor: join(folder, `${user}.cursor`) };
    const snapshot = await readFile(files.account).catch(() => undefined);
    const account = new Account({ user, token, snapshot });
    // To close it ends the loop without an error. A signal that is given to the account would throw its reason here.
    const close = () => account.close();
    signal.addEventListener("abort", close);
    try {
        for await (const connection of sessions({ account, ...at("imap") })) {
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
        signal.removeEventListener("abort", close);
        await writeFile(files.account, account.snapshot());
        await account.close();
    }
}

// `node worker.mjs FOLDER`: all accounts, until SIGTERM or ^C.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
    const stop = new AbortController();
    for (const name of ["SIGTERM", "SIGINT"]) {
        process.once(name, () => stop.abort());
    }
    const accounts = [{ user, token }]; // one for each mailbox
    const common = { folder: process.argv[2], onMail: (of, uid) => console.log(of, uid), signal: stop.signal };
    await mkdir(common.folder, { recursive: true });
    await Promise.all(accounts.map((one) => watch({ ...one, ...common })));
}
