import { Account } from "mailbearer";
declare const cache: Map<string, string>;
new Account({ user: "joe@gmail.com", token: () => cache.get("joe") }); // wrong
