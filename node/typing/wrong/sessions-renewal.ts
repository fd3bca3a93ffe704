import { sessions } from "mailbearer";
sessions({ protocol: "imap", user: "joe@gmail.com", policy: { renewal: "early" } }); // wrong
