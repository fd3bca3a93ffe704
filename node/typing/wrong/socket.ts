import { sessions } from "mailbearer";
sessions({ protocol: "imap", user: "joe@gmail.com", socket: () => ({ host: "localhost" }) }); // wrong
