import { sessions } from "mailbearer";
sessions({ protocol: "imap", user: "joe@gmail.com", token: async () => ({ accessTokn: "abc" }) }); // wrong
