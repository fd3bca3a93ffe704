import { sessions } from "mailbearer";
for await (const { client } of sessions({ protocol: "imap", user: "joe@gmail.com" })) {
    await client.mailboxOpen("INBOX"); // wrong
}
