import { Account, connect } from "mailbearer";
await using account = new Account({ user: "joe@gmail.com" });
await using connection = await connect({ protocol: "imap", user: "joe@gmail.com" });
account.status().stops.map(({ sentence }) => sentence.toUpperCase());
connection.capabilities.includes("IDLE");
