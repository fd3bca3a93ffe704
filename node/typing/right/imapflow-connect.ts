import { connect } from "mailbearer/imapflow";
const client = await connect({ user: "joe@gmail.com", token: "abc", imapflow: { logger: false } });
await client.mailboxOpen("INBOX");
await client.logout();
