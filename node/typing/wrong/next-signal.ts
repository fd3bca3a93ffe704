import { sessions } from "mailbearer";
await sessions({ protocol: "imap", user: "joe@gmail.com" }).next({ signal: new AbortController() }); // wrong
