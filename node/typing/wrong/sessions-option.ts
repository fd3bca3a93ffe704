import { sessions } from "mailbearer";
sessions({ protocol: "imap", user: "joe@gmail.com", onevent: console.log }); // wrong
