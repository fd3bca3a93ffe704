import { OAuth2Client } from "google-auth-library";
import { sessions } from "mailbearer";
sessions({ protocol: "imap", user: "joe@gmail.com", token: new OAuth2Client({ clientId: "c" }) });
