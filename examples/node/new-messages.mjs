// Tells each new message once: while this runs, and also those that came while it did not.
import { readFile, writeFile } from "node:fs/promises";
import { sessions } from "mailbearer/imapflow";
import { at, token, user } from "./my-account.mjs";

const stored = process.argv[2];
let since = await readFile(stored, "utf8").catch(() => undefined); // undefined: what comes from now on

for await (const connection of sessions({ user, token, ...at("imap") })) {
    await connection.use(async ({ client }) => {
        for await (const event of connection.newMessages("INBOX", { since, readOnly: true })) {
            for (const uid of event.kind === "messages" ? event.uids : []) {
                const message = await client.fetchOne(String(uid), { envelope: true }, { uid: true });
                console.log(message && message.envelope.subject); // false: it is gone by now
            }
            since = event.cursor;
            await writeFile(stored, since);
        }
    });
}
