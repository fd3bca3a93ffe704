import { sessions } from "mailbearer";
sessions({ protocol: "imap", user: "joe@gmail.com", token: Promise.resolve("abc") }); // wrong
