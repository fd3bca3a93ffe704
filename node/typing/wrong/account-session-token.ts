import { Account } from "mailbearer";
new Account({ user: "joe@gmail.com" }).sessions({ protocol: "imap", token: "abc" }); // wrong
