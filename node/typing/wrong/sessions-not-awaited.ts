import { sessions } from "mailbearer";
export const all = [...sessions({ protocol: "imap", user: "joe@gmail.com" })]; // wrong
