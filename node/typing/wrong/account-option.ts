import { Account } from "mailbearer";
new Account({ user: "joe@gmail.com", providr: "gmail" }); // wrong
