// Keep the mail library that you have: mailbearer makes the login's octets, and says what the errors mean.
import { explain, initialResponse } from "mailbearer";
import Imap from "imap";
import { user } from "./my-account.mjs";

export function boxes({ token, host = "imap.gmail.com", port = 993, tlsOptions }) {
    const xoauth2 = initialResponse("XOAUTH2", { user }, token).toString("base64");
    const client = new Imap({ user, xoauth2, host, port, tls: true, tlsOptions });
    return new Promise((resolve) => {
        // Not once: after a refusal node-imap may tell the end of the connection as an error, too.
        client.on("error", (error) => {
            client.destroy();
            const { cause, advice, message } = explain(error, { user, host });
            resolve({ cause, advice, message });
        });
        client.once("ready", () => client.openBox("INBOX", true, (error, box) => (client.end(), resolve(box))));
        client.connect();
    });
}
