import { clientCredentials } from "mailbearer";
clientCredentials({ provider: "google", keyFile: "k", subject: "s" }); // wrong
