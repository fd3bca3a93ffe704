import { sessions } from "mailbearer/imapflow";
sessions({ user: "joe@gmail.com", imapflow: { host: "imap.example.org" } }); // wrong
