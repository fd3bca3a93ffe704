import { ConfidentialClientApplication, PublicClientApplication } from "@azure/msal-node";
import { sessions } from "mailbearer";
const auth = { clientId: "c", clientSecret: "s" };
sessions({ protocol: "imap", user: "joe@outlook.com", token: new PublicClientApplication({ auth }) });
sessions({ protocol: "imap", user: "joe@outlook.com", token: new ConfidentialClientApplication({ auth }) });
