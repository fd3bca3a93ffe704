// From node-imap: the base64 of the token and the events go; the client is ImapFlow, logged in, with promises.
import { connect } from "mailbearer/imapflow";
import { at, token, user } from "./my-account.mjs";

const client = await connect({ user, token, ...at("imap") });
await client.mailboxOpen("INBOX", { readOnly: true });
for await (const message of client.fetch("1:*", { envelope: true })) {
    console.log(message.envelope.subject);
}
await client.logout();
