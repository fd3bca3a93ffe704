import { sessions } from "mailbearer";
sessions({ protocol: "imap", user: "joe@gmail.com", logger: { info: console.info } }); // wrong
