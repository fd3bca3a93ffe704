import { sessions } from "mailbearer";
sessions({ protocol: "imap", user: "joe@gmail.com", token: 7 }); // wrong
