import { sessions } from "mailbearer/imapflow";
sessions({ account: { user: "joe@gmail.com" } }); // wrong
