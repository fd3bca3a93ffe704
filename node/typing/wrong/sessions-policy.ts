import { sessions } from "mailbearer";
sessions({ protocol: "imap", user: "joe@gmail.com", policy: { tokenLifeTime: 5 } }); // wrong
