// Archives a mailbox for months: what is in it, and then what comes. Stop it whenever you like, and start it again.
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sessions } from "mailbearer/imapflow";
import { at, token, user } from "./my-account.mjs";

const folder = process.argv[2];
const stored = join(folder, "cursor");
await mkdir(folder, { recursive: true });

for await (const connection of sessions({ user, token, ...at("imap") })) {
    // An end of the session in here is no error: the loop goes on.
    await connection.use(async ({ client }) => {
        const since = await readFile(stored, "utf8").catch(() => firstCursor(client));
        for await (const event of connection.newMessages("INBOX", { since, readOnly: true })) {
            for (const uid of event.kind === "messages" ? event.uids : []) {
                await save(client, uid);
            }
            await writeFile(stored, event.cursor); // only now: a message that was not saved is told again
        }
    });
}

// Where a mailbox begins: its UIDVALIDITY, and UID 1.
async function firstCursor(client) {
    const { uidValidity } = await client.status("INBOX", { uidValidity: true });
    return `${uidValidity}:1`;
}

async function save(client, uid) {
    const message = await client.fetchOne(String(uid), { source: true }, { uid: true });
    if (message) {
        const file = join(folder, `${uid}.eml`);
        await writeFile(`${file}.part`, message.source);
        await rename(`${file}.part`, file);
    }
}
