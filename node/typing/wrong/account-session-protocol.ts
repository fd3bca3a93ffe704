import { Account } from "mailbearer";
new Account({ user: "joe@gmail.com" }).sessions("imap"); // wrong
