import { sessions } from "mailbearer/imapflow";
for await (const connection of sessions({ user: "joe@gmail.com" })) {
    for await (const event of connection.newMessages("INBOX")) {
        console.log(event.uids); // wrong
    }
}
