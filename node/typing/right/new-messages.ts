import { sessions } from "mailbearer/imapflow";
let cursor: string | undefined;
for await (const connection of sessions({ user: "joe@gmail.com" })) {
    for await (const event of connection.newMessages("INBOX", { since: cursor, readOnly: true, reissue: 60_000 })) {
        const uids: readonly number[] = event.kind === "messages" ? event.uids : [];
        console.log(uids.length);
        cursor = event.cursor;
    }
}
