import { Account } from "mailbearer";
import { sessions } from "mailbearer/imapflow";
import { transport } from "mailbearer/nodemailer";
const account = new Account({ user: "joe@gmail.com", token: "abc", localAddress: "192.0.2.7" });
const inbox = sessions({ account, policy: { renewal: "at_end" } });
const outgoing = transport({ account, maxConnections: 2 });
const bare = account.sessions({ protocol: "imap", host: "imap.example.org" });
export const all = [inbox, outgoing, bare];
